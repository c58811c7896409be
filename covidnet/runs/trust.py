"""Which classes a text from elsewhere may name: those of this program and of what it is built on.

A class's name in a configuration or a checkpoint is code to import and to call. What the user types is the user's own
word; a file may be a stranger's.
"""

import inspect
import os
import re
import sys
from collections.abc import Container, Iterable, Mapping
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TypeVar

import yaml

from covidnet.errors import UserError
from covidnet.files.names import harm_of
from covidnet.files.reading import LONGEST_YAML, count_yaml, read_text
from covidnet.machine.parallel import cores
from covidnet.runs.listed import FEW, FORMS, LISTED, NAMES, OWN, REFUSED_ARGUMENTS, SECTIONS

KNOWN = ("pytorch_lightning", "lightning_fabric", "torch", "torchmetrics")  # of these a file may name what is listed
ONLY = (
    "A file may name classes of covidnet and those of Lightning that are listed (SECURITY.md), because to name a class "
    "is to run code."
)

TYPE_IT = "If you know what it does, type it on the command line."
VARIABLE = "COVIDNET_TRUST"  # in the environment: more packages, with commas between them
MOST_VALUES = 2_000  # of a configuration, counted as often as an alias repeats them; each costs the parser milliseconds
NEVER = sys.stdlib_module_names | {"jsonargparse"}  # not even then: they start programs and remove files
_NAME = re.compile(r"(?<![\w./\\-])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)")  # a dotted name

_NOTHING = object()  # unlike any value

Kind = TypeVar("Kind")


def trusted_packages() -> list[str]:
    """Return the packages that the user trusts: whatever they hold, a file may name."""
    named = {name.strip() for name in os.environ.get(VARIABLE, "").split(",")}
    return sorted(name for name in named - NEVER if name.isidentifier())


def limit_names(typed: Iterable[str] = ()) -> None:
    """Let the command line's parser import what a file may name, and the very names that the user typed.

    Both where a class was found and where it was defined count: ``torch.os.system`` is none of torch's. Of the standard
    library nothing is let in, whoever names it.
    """
    from jsonargparse import set_parsing_settings  # a program that loads a model goes without it

    own = {name for text in typed for name in _NAME.findall(text) if name.partition(".")[0] not in NEVER}
    # Of what is imported already the very name; of the user's own code the package, which is not imported to find out.
    known = {name for name in own if name.partition(".")[0] in (*KNOWN, "covidnet")}
    classes = LISTED.keys() - {SECTIONS["trainer"]}
    named = {place for path in (*classes, *known) for place in _places_of(path)}
    named |= {name.partition(".")[0] for name in own - known}
    # A dictionary that names a class stays a dictionary where a key may hold anything.
    set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=sorted({*OWN, *trusted_packages(), *named}),
        instantiate_subclass_spec_in_any=False,
        config_read_mode_fsspec_enabled=False,  # Lightning's: a value that is a URL would be fetched, to see what it is
    )


def find_class(path: object, kind: type[Kind], where: object) -> type[Kind]:
    """Return the class that a file names, if it is a ``kind`` of covidnet or of a trusted package.

    Raises:
        UserError: Naming ``where`` it stands, before anything is imported that is not trusted.
    """
    if not isinstance(path, str) or not _is_own(path, [*OWN, *trusted_packages()]):
        raise UserError(f"{where} names the class {path!r}. {how_to_trust(str(path))}")
    try:
        found = resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where} names the class {path!r}, which is not here: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(f"{where} names {path!r}, which is no {kind.__name__}.")
    return found


def refuse_unlisted(config: Mapping[str, Any], where: str, typed: Container[str] = ()) -> None:
    """Refuse what no file may set: classes and arguments that are not listed, and places elsewhere.

    Args:
        config: What files alone say, parsed: each class with its ``class_path``, each argument by its name.
        where: The files, for messages.
        typed: Keys that the user set on the command line, whose values in a file do not hold.

    Raises:
        UserError: Naming the class, the argument or the key.
    """
    for section, path in SECTIONS.items():
        given = config.get(section)
        if isinstance(given, Mapping):  # what else it may be is told later
            # "__path__" is the parser's own: the file that stood for the section.
            own = {key: given[key] for key in given if key != "__path__" and f"{section}.{key}" not in typed}
            _refuse_arguments(path, own, f"{where} sets {section}.")
    alone = {key: config[key] for key in ("storage", "ckpt_path") if config.get(key) and key not in typed}
    if "storage" in alone:
        raise UserError(f"{where} sets storage, which {REFUSED_ARGUMENTS['storage']}. {TYPE_IT}")
    _refuse_values(alone, f"{where} sets ")
    for value in config.values():
        _refuse_classes(value, where)


def how_to_trust(path: str) -> str:
    """Return what a file may name, and how to let it name more."""
    package = path.partition(".")[0]
    if package in NEVER or not package.isidentifier() or package == "covidnet":
        return ONLY
    if package in KNOWN:
        return f"{ONLY} If you know what it does, type the name on the command line."
    return f"{ONLY} If you know that code and trust it, set {VARIABLE}={package} in the environment, or type the name."


def _refuse_classes(value: Any, where: str) -> None:
    """Refuse unlisted classes and arguments anywhere in a value; a trusted package is the user's own word."""
    value = value.as_dict() if hasattr(value, "as_dict") else value  # as the parser keeps what is nested
    if isinstance(value, list | tuple):
        for part in value:
            _refuse_classes(part, where)
        return
    if not isinstance(value, Mapping):
        return
    path = value.get("class_path")
    if isinstance(path, str) and not _is_own(path, trusted_packages()):
        _refuse_class(path, value, where)
    for part in value.values():
        _refuse_classes(part, where)


def _refuse_class(path: str, spec: Mapping[str, Any], where: str) -> None:
    name = _listed_as(path)
    more = spec.get("dict_kwargs") or {}
    if name is not None:
        given = {**(spec.get("init_args") or {}), **more}
        _refuse_arguments(name, given, f"{where}: {path}: ")
    elif not _is_class_of_ours(path):
        raise UserError(f"{where} names the class {path!r}. {how_to_trust(path)}")
    elif more:
        raise UserError(f"{where}: {path} takes no {next(iter(more))}.")


def _refuse_arguments(name: str, given: Mapping[str, Any], where: str) -> None:
    """Refuse arguments that are not listed, unless they are what holds without them."""
    defaults = _defaults(name)
    other = [key for key in given if key not in LISTED[name] and given[key] != defaults.get(key, _NOTHING)]
    if other:
        why = f", which {REFUSED_ARGUMENTS[other[0]]}" if other[0] in REFUSED_ARGUMENTS else ""
        few = f" Of this class a file may set {', '.join(LISTED[name])}." if name not in SECTIONS.values() else ""
        raise UserError(f"{where}{other[0]}={given[other[0]]}{why}: no file may set that.{few} {TYPE_IT}")
    _refuse_values({key: given[key] for key in given if given[key] != defaults.get(key, _NOTHING)}, where)


def _refuse_values(given: Mapping[str, Any], where: str) -> None:
    """Refuse a text that names a place elsewhere, or a part of Lightning that is not listed."""
    for key, (form, told) in FORMS.items():
        value = given.get(key)
        if not isinstance(value, os.PathLike | str):
            continue
        below = key != "save_dir" or Path(value).resolve().is_relative_to(Path.cwd())  # a link may lead elsewhere
        if not (form.fullmatch(str(value)) and below) or (key in NAMES and harm_of(str(value))):
            raise UserError(f"{where}{key}={value}, but a file may only give {told}. {TYPE_IT}")
    most = max(FEW, cores())
    if _processes(given.get("devices")) > most:
        raise UserError(
            f"{where}devices={given['devices']}, but a file may start {most} processes of a training. {TYPE_IT}"
        )


def _processes(devices: Any) -> int:
    """Return how many processes a trainer's ``devices`` ask for; 0 where that hangs on the machine."""
    if isinstance(devices, list | tuple):
        return len(devices)
    try:
        return int(devices)
    except (TypeError, ValueError):  # "auto", nothing, or what Lightning refuses
        return 0


@cache
def _defaults(name: str) -> dict[str, Any]:
    """Return the value of each argument of a listed class where none is given, also of those that it hands on."""
    from jsonargparse import ArgumentParser  # a program that loads a model goes without it

    if name in SECTIONS.values():
        return {key: one.default for key, one in inspect.signature(resolve_name(name)).parameters.items()}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(resolve_name(name), "one", fail_untyped=False)
    found = parser.get_defaults().get("one")  # None of a class that takes nothing
    return dict(found.as_dict()) if found is not None else {}


def _is_class_of_ours(path: str) -> bool:
    """Tell a class that is defined in a room whose classes a file may name: no method, and none that it imports."""
    if not _is_own(path, OWN):
        return False
    try:
        found = resolve_name(path)
    except (ImportError, AttributeError, ValueError):
        return False
    return inspect.isclass(found) and _is_own(found.__module__, OWN)


def _is_own(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith((f"{place}.", f"{place}:")) for place in places)


def _listed_as(path: str) -> str | None:
    """Return the name under which a class is listed, by whichever name it is called."""
    named = path.partition(".")[0] in KNOWN
    places = {path} if named else _places_of(path) if _is_own(path, OWN) else set()
    return next((name for name in LISTED if name != SECTIONS["trainer"] and places & _places_of(name)), None)


@cache
def _places_of(path: str) -> frozenset[str]:
    """Return the name of a class, and where it was defined, if it is here."""
    try:
        found = resolve_name(path)
    except (ImportError, AttributeError, ValueError):
        return frozenset({path})
    module, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    return frozenset({path, f"{module}.{name}"} if module and name else {path})


def refuse_bomb(file: Path) -> None:
    """Refuse a YAML file of a few bytes that stands for millions of values.

    Raises:
        UserError: Where it does. What else is wrong with a file is told by who reads it.
    """
    try:
        text = read_text(file, LONGEST_YAML)
    except UnicodeDecodeError:
        return
    except ValueError as error:
        raise UserError(f"{file} is no configuration: {error}.") from error
    except OSError:
        return
    refuse_bomb_in(text, str(file))


def refuse_bomb_in(text: str, name: str) -> None:
    """Refuse such a text, which messages call ``name``."""
    try:
        most = count_yaml(text)
    except (ValueError, yaml.YAMLError, RecursionError):
        return
    if most > MOST_VALUES:
        raise UserError(f"{name} stands for more than {MOST_VALUES:,} values: no configuration does.")
