"""Lightning's parser with short messages: what was found, which key, and the nearest name that exists."""

import importlib
import json
import re
import stat
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NoReturn

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader
from pytorch_lightning.cli import LightningArgumentParser

from covidnet.errors import UserError, did_you_mean, short
from covidnet.files.reading import LONGEST_YAML, keep_names, parse_yaml, read_bytes, read_text, read_yaml
from covidnet.files.store import Store, is_url
from covidnet.runs.trust import how_to_trust, refuse_bomb, refuse_bomb_in
from covidnet.training.args import COMMANDS, NAMES, PROGRESS, own_of
from covidnet.training.lightning import types_of_keys

CONFIG_HOLDS = "It must be YAML of keys and values, such as a run's config.yaml, or 'data: {batch_size: 32}'."
MOST_BYTES = 10_000_000  # of a configuration
ANYWHERE = ("trainer", "early_stopping", "checkpoint")  # sections in which a file may stand for any key
SUBCLASS_SECTIONS = ("model", "data")  # whose keys depend on the class that is chosen
_load = get_loader("yaml")
# A default of a class that is a constant, as Lightning's Timer has one, is written as its text.
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, constant: dumper.represent_data(constant.value))
# In a file, too, a class may be called 0, 10, yes or NO.
set_loader("yaml", lambda text: _load(keep_names(text, NAMES)), (yaml.YAMLError,))


class CommandParser(LightningArgumentParser):
    """The parser of one command."""

    typed: Mapping[str, str] = {}  # the keys that the user set, as text

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End with one short message, as a ``UserError`` within the exit: libraries would catch and reword an error."""
        if not self.exit_on_error:  # a parser that jsonargparse makes for a class: its caller says more
            super().error(message, ex)
        sys.exit(UserError(self._readable(message)))  # type: ignore[arg-type]  # ``run_line`` tells it

    def dump(self, *args: Any, **kwargs: Any) -> str:
        """Return a configuration as text, unchecked: it was checked when it was parsed."""
        return str(super().dump(*args, **{**kwargs, "skip_validation": True}))

    def print_help(self, *args: Any, **kwargs: Any) -> None:
        """Print Lightning's help, then the keys of the chosen model and data."""
        super().print_help(*args, **kwargs)
        for section in SUBCLASS_SECTIONS:
            print()
            self._section_parser(section).print_help(*args, **kwargs)

    def _section_parser(self, section: str) -> ArgumentParser:
        """Return a parser of what the class chosen for ``section`` takes."""
        chosen = self.get_defaults()[section]
        class_path = chosen.class_path
        module, _, name = class_path.rpartition(".")
        parser = ArgumentParser(usage=f"{section}.<key>=<value>, for {class_path}", add_help=False)
        parser.add_class_arguments(getattr(importlib.import_module(module), name), section)
        parser.set_defaults({f"{section}.{key}": value for key, value in chosen.init_args.items()})
        return parser

    def hints(self) -> dict[str, Any]:
        """Return the type of every key of this command, of the chosen model and data."""
        sections = [self._section_parser(section) for section in SUBCLASS_SECTIONS]
        return types_of_keys((self, *sections))

    def _readable(self, message: str) -> str:
        """Shorten jsonargparse's message to the user's key, what it expects and what was given."""
        denied = re.search(r"Importing '([^']+)' is not allowed", message)
        if denied:
            return f"{denied[1]} is named in a file. {how_to_trust(denied[1])}"
        unknown = re.search(r"nrecognized arguments: --([^\s=]+)|Option '([^']+)' is not accepted", message)
        if unknown:
            key = self._full(unknown[1] or unknown[2])
            return f"Unknown key '{key}'.{did_you_mean(key, self.hints())}"
        types = re.findall(r"Expected (?:a )?(.+?)(?:\. Got value.*)?$", message, re.MULTILINE)
        expected = [text for text in dict.fromkeys(map(_plain_type, types)) if text != "NoneType"]
        named = re.findall(r'Parser key "([^"]+)"', message)
        nested = re.search(r"NestedArg\(key='([^']+)'", message)
        key = self._full(nested[1] if nested else named[-1] if named else "")
        if not key or not expected:
            return re.sub(r"\s+", " ", message)
        told = next(iter(re.findall(r"(?:Got|Given) value: (.+)", message)), "")
        given = self.typed.get(key, told)
        return f"{key}={given} is not accepted: expected {' or '.join(expected)}."

    def _full(self, key: str) -> str:
        """Return the typed key that ``key``, perhaps only its last part, stands for."""
        return next((typed for typed in self.typed if typed == key or typed.endswith(f".{key}")), key)


def add_own(parser: ArgumentParser, name: str, kind: Any, command: str = "") -> None:
    """Add a key of a command, whose default and meaning its help has too."""
    own = own_of(command, name)
    parser.add_argument(f"--{name}", type=kind, default=own.default, help=own.text)


def add_own_keys(parser: LightningArgumentParser, command: str) -> None:
    """Add the keys of a run that are neither Lightning's nor of model and data."""
    kinds = {"tensorboard": bool, "progress": Literal[PROGRESS], "table": bool, "report": bool, "shortcuts": bool}
    for name, kind in kinds.items():
        if name in COMMANDS[command].keys:
            add_own(parser, name, kind)


def read_once(config: str) -> str:
    """Return a ``--config`` as it is; of a pipe, which can be read but once, or a URL what it holds, on one line.

    Raises:
        UserError: Where it holds far too many values, or cannot be fetched.
    """
    if is_inline(config):
        return config
    try:
        if is_url(config):
            text = _fetched(config)
        elif stat.S_ISFIFO(Path(config).stat().st_mode):
            text = read_bytes(Path(config), LONGEST_YAML, pipes=True).decode()
        else:
            return config
        refuse_bomb_in(text, config)
        content = parse_yaml(keep_names(text, NAMES))
    except UserError:
        raise
    except (OSError, ValueError, yaml.YAMLError):  # told by the parser
        return config
    return json.dumps(content, default=str) if isinstance(content, dict) else config  # a date as its text


def _fetched(url: str) -> str:
    folder, _, name = url.rpartition("/")
    store = Store(folder, "--config")
    found = store.file(name)
    if found is None:
        raise UserError(f"--config={url} is not there.")
    if found.size > LONGEST_YAML:
        raise UserError(f"--config={url} is no configuration: it has more than {LONGEST_YAML:,} bytes.")
    with TemporaryDirectory() as place:
        store.get(found, Path(place, name))
        return read_text(Path(place, name), LONGEST_YAML)


def is_inline(config: str) -> bool:
    """Tell keys and values that were typed themselves from the name of a file that holds them."""
    return config.lstrip().startswith("{")


def check_config(file: Path) -> None:
    """Refuse a ``--config`` file that holds no keys: jsonargparse's own messages do not name it.

    Raises:
        UserError: Where it is no UTF-8, no YAML, something other than keys and values, or far too many of them.
    """
    try:
        if not file.is_file():  # told by the parser; or a pipe, which can be read but once
            return
    except OSError:  # keys and values themselves, which are no name of a file
        return
    refuse_bomb(file)
    try:
        content = read_yaml(file)
    except ValueError as error:
        raise UserError(f"--config={file} is no text, or none of a configuration: {error}. {CONFIG_HOLDS}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UserError(f"--config={file}{where}: {problem}. {CONFIG_HOLDS}") from error
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"holds a {type(content).__name__}"
        raise UserError(f"--config={file} {found}. {CONFIG_HOLDS}")
    _check_inner(content, file.parent, {file.resolve()})


def _check_inner(content: Mapping[str, Any], folder: Path, seen: set[Path]) -> None:
    """Refuse, of the files that a configuration names in the place of keys, what would not end or stands for too much.

    What they say is checked with the rest.
    """
    if not isinstance(content.get("config"), str | None):
        raise UserError(f"config={short(content['config'])} is no file: within a configuration it names one more.")
    # Of model and data a file may stand for the whole alone: their keys name files of other kinds.
    whole = ("config", *SUBCLASS_SECTIONS)
    sections = [key for key in content if str(key).partition(".")[0] in (*ANYWHERE, *whole)]
    parts = [(content[key], key, folder) for key in sections]
    while parts:
        part, key, folder = parts.pop()
        if isinstance(part, dict | list) and key not in whole:
            parts += [(one, key, folder) for one in (part.values() if isinstance(part, dict) else part)]
        file = _existing(folder / part) if isinstance(part, str) else None  # where the parser looks for it
        if file is None or file in seen:
            continue
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            raise UserError(f"A configuration names {file}, which is no file of keys and values.")
        seen.add(file)
        refuse_bomb(file)
        try:
            inner = read_yaml(file)
        except (OSError, ValueError, yaml.YAMLError):  # told by the parser
            continue
        if key == "config" and isinstance(inner, dict):
            _check_inner(inner, file.parent, seen)
        parts.append((inner, key, file.parent))


def reason_of(error: Exception) -> str:
    """Return why a constructor refused its arguments; the parser tells of each type that a value could have had."""
    told = re.findall(r"^\s+- (?!Expected )(.+)", str(error), re.MULTILINE)
    return " ".join("; ".join(told or [str(error)]).split())


def _existing(place: Path) -> Path | None:
    """Return what lies under a name and is no folder; None for a text that names nothing."""
    try:
        file = place.resolve()
        return file if file.exists() and not file.is_dir() else None
    except (OSError, ValueError, RuntimeError):  # which is no name of a file
        return None


def _plain_type(text: str) -> str:
    text = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", text.strip())
    text = re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", text)
    return {"int": "a whole number", "float": "a number", "bool": "true or false"}.get(text, text)
