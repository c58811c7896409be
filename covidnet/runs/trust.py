"""Which classes a text from elsewhere may name: those of this program and of what it is built on.

A class's name in a configuration or a checkpoint is code to import and to call. What the user types is the user's own
word; a file may be a stranger's.
"""

import inspect
import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from pkgutil import resolve_name
from typing import Any, TypeVar

import yaml

from covidnet.errors import UserError
from covidnet.files.reading import LONGEST_YAML, count_yaml, read_text
from covidnet.runs.listed import LISTED, OWN, PLACES, REFUSED_KEYS

KNOWN = ("pytorch_lightning", "lightning_fabric", "torch", "torchmetrics")  # of these a file may name what is listed
ONLY = (
    "A file may name classes of covidnet and those of Lightning that are listed (SECURITY.md), because to name a class "
    "is to run code."
)

VARIABLE = "COVIDNET_TRUST"  # in the environment: more packages, with commas between them
MOST_VALUES = 100_000  # of a configuration, counted as often as an alias repeats them
NEVER = sys.stdlib_module_names | {"jsonargparse"}  # not even then: they start programs and remove files
_NAME = re.compile(r"(?<![\w./\\-])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)")  # a dotted name

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
    named = {place for path in (*LISTED, *known) for place in _places_of(path)}
    named |= {name.partition(".")[0] for name in own - known}
    # A dictionary that names a class stays a dictionary where a key may hold anything.
    set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=sorted({*OWN, *trusted_packages(), *named}),
        instantiate_subclass_spec_in_any=False,
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


def refuse_unlisted(config: Mapping[str, Any], where: str) -> None:
    """Refuse what no file may set: classes and arguments that are not listed, and places elsewhere.

    Args:
        config: What files alone say, parsed: each class with its ``class_path``, each argument by its name.
        where: The files, for messages.

    Raises:
        UserError: Naming the class, the argument or the key.
    """
    sections = {name: value for name, value in config.items() if isinstance(value, Mapping)}  # another is told later
    for key, why in REFUSED_KEYS.items():
        if sections.get("trainer", {}).get(key):
            raise UserError(f"{where} sets trainer.{key}, which {why}. {ONLY} Type it instead.")
    if config.get("storage"):
        raise UserError(f"{where} sets storage, to which a search would connect. Type it on the command line instead.")
    for section in ("early_stopping", "checkpoint"):
        _refuse_places(sections.get(section, {}), f"{where}: {section}")
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
    if isinstance(path, str) and not _is_own(path, [*OWN, *trusted_packages()]):
        _refuse_arguments(path, value, where)
    for part in value.values():
        _refuse_classes(part, where)


def _refuse_arguments(path: str, spec: Mapping[str, Any], where: str) -> None:
    name = _listed_as(path)
    if name is None:
        raise UserError(f"{where} names the class {path!r}. {how_to_trust(path)}")
    given = {**(spec.get("init_args") or {}), **(spec.get("dict_kwargs") or {})}
    defaults = inspect.signature(resolve_name(path)).parameters
    for key, value in given.items():
        default = defaults[key].default if key in defaults else inspect.Parameter.empty
        if key not in LISTED[name] and value != default:
            raise UserError(
                f"{where} sets {key} of {path}. {ONLY} Of this class a file may set {', '.join(LISTED[name])}. If you "
                "know what it does, type it on the command line."
            )
    _refuse_places(given, f"{where}: {path}")


def _refuse_places(given: Mapping[str, Any], where: str) -> None:
    """Refuse arguments that have something written outside of the folder in which the command runs."""
    for key in PLACES:
        value = given.get(key)
        if isinstance(value, os.PathLike | str) and not _lies_below(str(value)):
            raise UserError(
                f"{where} sets {key}={value}, which lies elsewhere. A file may only name a place below the folder in "
                "which the command runs; if you want it there, type it on the command line."
            )


def _lies_below(place: str) -> bool:
    """Tell a relative path that leads nowhere else, on any system; a URL, a drive and a home folder do."""
    parts = [*PurePosixPath(place).parts, *PureWindowsPath(place).parts]
    absolute = PurePosixPath(place).is_absolute() or PureWindowsPath(place).drive or PureWindowsPath(place).root
    return not absolute and ".." not in parts and not place.startswith("~") and "://" not in place


def _is_own(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith((f"{place}.", f"{place}:")) for place in places)


def _listed_as(path: str) -> str | None:
    """Return the name under which a class is listed, by whichever name it is called."""
    return next((name for name in LISTED if path in _places_of(name)), None)


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
