"""Plain values, from a file of a stranger or a caller: how many, how deep, and whether they are what is asked for."""

import inspect
import math
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from covidnet.errors import UserError, did_you_mean

MOST_VALUES = 1_000_000  # counted as often as they are met; the rows of a very long training are a tenth
DEEPEST = 64  # lists within lists: what this program writes has ten
LONGEST = 100_000  # characters of one text; config.yaml and the model card are no single values
WIDEST = 128  # bits of an integer: a file's number on any disk, and no float overflows
LARGEST = 2**63  # of an integer that a key takes
OTHER = "something else"


def measure(
    value: Any,
    leaf: Callable[[Any], None] | None = None,
    *,
    finite: bool = False,
    most: int = MOST_VALUES,
    longest: int = LONGEST,
) -> None:
    """Refuse what a walk over it would not end with, soon and in little memory.

    Values are counted as often as a walk would meet them, so that a list which holds itself, or another one many times,
    exceeds the limits like any other of that size.

    Args:
        value: None, truth values, numbers, texts, bytes, and lists, tuples, sets and dicts of them.
        leaf: What else there may be: raises a ValueError for anything wrong.
        finite: Refuse nan and inf.
        most: Values.
        longest: Characters of a text.

    Raises:
        ValueError: Saying what is wrong, of a kind that names neither the file nor the value.
    """
    count, waiting = 0, [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        count += 1
        kind = type(one)
        if isinstance(one, dict):
            inner = [*dict.keys(one), *dict.values(one)]
        elif isinstance(one, list | tuple | set | frozenset):
            inner = list(one)
        else:
            _check_leaf(one, kind, leaf, longest, finite=finite)
            continue
        count += len(inner)
        if count + len(waiting) > most:
            raise ValueError(f"it stands for more than {most:,} values")
        if depth >= DEEPEST and inner:
            raise ValueError(f"its values lie more than {DEEPEST} deep in one another")
        count -= len(inner)
        waiting += [(part, depth + 1) for part in inner]


def _check_leaf(one: Any, kind: type, leaf: Callable[[Any], None] | None, longest: int, *, finite: bool) -> None:
    if kind is str or kind is bytes:
        if len(one) > longest:
            raise ValueError(f"it holds a text of {len(one):,} characters")
    elif kind is int:
        if one.bit_length() > WIDEST:
            raise ValueError(f"it holds an integer of {one.bit_length():,} bits")
    elif kind is float:
        if finite and not math.isfinite(one):
            raise ValueError(f"it holds {one}, which is no number to reckon with")
    elif one is not None and kind is not bool:
        if leaf is None:
            raise ValueError(f"it holds a {kind.__name__}, which is no plain value")
        leaf(one)


def is_number(value: object, low: float = -math.inf, high: float = math.inf) -> bool:
    """Tell whether a value is a finite number, no truth value, from ``low`` to ``high``."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    wide = isinstance(value, int) and value.bit_length() > WIDEST  # which no float holds
    return not wide and math.isfinite(value) and low <= value <= high


def is_whole(value: object, low: int = 1 - LARGEST, high: int = LARGEST - 1) -> bool:
    """Tell whether a value is an integer, no truth value, from ``low`` to ``high``."""
    return type(value) is int and low <= value <= high


def is_mapping(value: object) -> bool:
    """Tell whether a value is a dict with texts for keys."""
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def misfit(call: Callable[..., Any], arguments: Mapping[str, Any]) -> str | None:
    """Return which argument is not of the plain type that ``call`` says it takes, and what it takes; None if all are.

    What takes ``**options`` hands them to its parent class, whose word counts for them.
    """
    hints = hints_of(call)
    for name, value in arguments.items():
        if name in hints and not fits(value, hints[name]):
            return f"{name}={_shown(value)} is no {_name(hints[name])}"
    return None


def refuse_misfits(call: Callable[..., Any], arguments: Mapping[str, Any], section: str = "") -> None:
    """Refuse an argument that is a number or one of some words, and was given something else: Python looks at no type.

    Args:
        call: What says what each argument may be.
        arguments: By name. Those that ``call`` does not know, or that may be texts or lists, are left alone.
        section: What stands before the names, as ``"data."``.

    Raises:
        UserError: Naming the argument, its value and what was expected.
    """
    hints = hints_of(call)
    for name, value in arguments.items():
        kinds = _kinds(hints.get(name))
        given = value.item() if getattr(value, "ndim", None) == 0 else value  # a number of numpy's or torch's
        given = str(given) if isinstance(given, str) else given  # a text of numpy's
        if OTHER not in kinds and not fits(given, hints[name]):
            near = did_you_mean(given, kinds) if isinstance(given, str) else ""
            raise UserError(f"{section}{name}={_shown(given)} must be {' or '.join(kinds)}.{near}")


def hints_of(call: Callable[..., Any]) -> dict[str, Any]:
    """Return the type of each argument of a function, or of a class and its parents."""
    return {name: hint for name, (hint, _) in _arguments_of(call).items()}


def defaults_of(call: Callable[..., Any]) -> dict[str, Any]:
    """Return what each argument that may be left out is taken for, of a function, or of a class and its parents."""
    return {
        name: default for name, (_, default) in _arguments_of(call).items() if default is not inspect.Parameter.empty
    }


def _arguments_of(call: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Return type and default of each argument; what takes ``**options`` hands them to its parent class."""
    lines = [kind.__dict__.get("__init__") for kind in call.__mro__] if isinstance(call, type) else [call]
    found: dict[str, tuple[Any, Any]] = {}
    for maker in lines:
        if not inspect.isfunction(maker):
            continue
        hints = get_type_hints(maker)
        taken = inspect.signature(maker).parameters.values()
        named = [each for each in taken if each.kind != each.VAR_KEYWORD and each.name in hints]
        found = {**{each.name: (hints[each.name], each.default) for each in named}, **found}
        if not any(each.kind == each.VAR_KEYWORD for each in taken):
            break
    return found


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a plain value is of a type as a signature names it; a type that is not plain lets all pass."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in get_args(hint))
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(hint))
    if origin is list:
        return isinstance(value, list) and all(fits(one, get_args(hint)[0]) for one in value)
    if origin is dict:
        of_key, of_value = get_args(hint)
        return isinstance(value, dict) and all(fits(k, of_key) and fits(v, of_value) for k, v in value.items())
    plain: dict[Any, Callable[[Any], bool]] = {
        bool: lambda one: type(one) is bool,
        int: is_whole,
        float: is_number,
        str: lambda one: type(one) is str,
        NoneType: lambda one: one is None,
    }
    return plain[hint](value) if hint in plain else True


def _kinds(hint: Any) -> list[str]:
    """Return what a type of numbers and words takes, in words; ``OTHER`` among them where it takes more."""
    if get_origin(hint) in (Union, UnionType):
        return [kind for one in get_args(hint) for kind in _kinds(one)]
    if get_origin(hint) is Literal:
        return [str(word) for word in get_args(hint)]
    plain = {bool: ["true", "false"], NoneType: ["null"], int: ["a whole number"], float: ["a number"]}
    return plain.get(hint, [OTHER])


def _name(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) else str(hint).replace("typing.", "")


def _shown(value: Any) -> str:
    """Return a value for a message; of a long one, its type."""
    return repr(value) if value is None or isinstance(value, bool | float) or _is_short(value) else type(value).__name__


def _is_short(value: Any) -> bool:
    return (isinstance(value, str) and len(value) < 50) or is_whole(value)
