"""The space of a search: which keys are tried and in which ranges, checked before anything trains."""

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from covidnet.errors import UserError, did_you_mean
from covidnet.files.home import at_home
from covidnet.files.reading import parse_yaml, read_yaml

Space = dict[str, BaseDistribution]

DEFAULT = {  # of every model that takes them, around what the recipes have; what was typed stays as it is
    "model.learning_rate": [1e-5, 1e-2, "log"],
    "model.dropout": [0.0, 0.7],
    "model.weight_decay": [1e-4, 0.3, "log"],
    "model.label_smoothing": [0.0, 0.15],
}
SECTIONS = ("model", "data", "trainer", "early_stopping")  # whose keys may be tried
FIXED = {  # those of them that may not
    "it says how a test is reported, and a trial is not tested": ("data.subgroups", "data.age_bins"),
    "which images train, validate and test must be the same in all trials": (
        "data.root",
        "data.roots",
        "data.views",
        "data.patient_pattern",
        "data.patient_across_classes",
        "data.use_split",
        "data.use_val",
        "data.table",
        "data.header",
        "data.columns",
        "data.path_suffix",
        "data.labels",
        "data.separator",
        "data.uncertain",
        "data.disagree",
        "data.classes",
        "data.seed",
        "data.val_fraction",
        "data.test_per_class",
        "data.test_root",
        "data.split_lists",
        "data.split_file",
        "data.metadata",
        "data.duplicates",
        "data.on_error",
        "data.body_part",
        "data.orientation",
        "data.masks",
        "data.opacity",
        "data.shortcut",
        "data.test_shortcut",
    ),
    "what trials are judged by must be the same for all": (
        "early_stopping.monitor",
        "early_stopping.mode",
        "trainer.limit_val_batches",
        "trainer.fast_dev_run",
        "trainer.overfit_batches",
    ),
    "it is where a trial runs, not what it learns": (
        "trainer.default_root_dir",
        "trainer.logger",
        "trainer.callbacks",
        "trainer.plugins",
        "trainer.model_registry",
        "trainer.profiler",
        "trainer.accelerator",
        "trainer.devices",
        "trainer.num_nodes",
        "trainer.strategy",
        "data.num_workers",
        "data.cache",
        "data.cache_dir",
        "model.capture",
    ),
}
FORMS = "[low, high], [low, high, log], [low, high, int] or {choices: [a, b]}"
WORDS = ("log", "int")
LARGEST = 2**53  # of the ends of a range: up to it a float tells whole numbers apart


def read_space(given: Mapping[str, Any] | str, hints: Mapping[str, Any]) -> Space:
    """Return the range or the choices of each key of a space.

    Args:
        given: A mapping of keys to ``[low, high]``, ``[low, high, log]``, ``[low, high, int]`` or
            ``{choices: [a, b]}``, or a YAML file of one. A key that takes whole numbers alone is tried in these.
        hints: The type of every key of the command line.

    Raises:
        UserError: Naming the key, what was found and what was expected.
    """
    entries = _read_file(given) if isinstance(given, str) else given
    if not isinstance(entries, Mapping) or not entries:
        raise UserError(
            f"space={given} must be a mapping of keys to ranges, such as "
            "space='{model.learning_rate: [1e-5, 1e-2, log], data.augment: {choices: [none, mild]}}', or a YAML file "
            "that holds one."
        )
    return {str(key): _distribution(str(key), entries[key], hints) for key in sorted(entries, key=str)}


def default_space(hints: Mapping[str, Any], typed: Sequence[str]) -> Space:
    """Return the space where none is given: what of ``DEFAULT`` the model takes and the user did not set."""
    entries = {key: written for key, written in DEFAULT.items() if key in hints and key not in typed}
    if not entries:
        raise UserError(f"Nothing is left to search, as you set {', '.join(DEFAULT)} yourself: give space={{...}}.")
    return read_space(entries, hints)


def plain_space(space: Space) -> dict[str, Any]:
    """Return a space as plain types, the same for every spelling of it."""
    return {key: _written(distribution) for key, distribution in space.items()}


def space_size(space: Space) -> int | None:
    """Return of how many combinations a space consists; None where a range is continuous."""
    size = 1
    for distribution in space.values():
        values = _values(distribution)
        if values is None:
            return None
        size *= len(values)
    return size


def combination(space: Space, number: int) -> dict[str, Any]:
    """Return combination ``number``, below ``space_size``, of a space without continuous ranges."""
    chosen = {}
    for key, distribution in space.items():
        values = _values(distribution)
        assert values is not None
        number, place = divmod(number, len(values))
        chosen[key] = values[place]
    return chosen


def corners(space: Space) -> Iterator[dict[str, Any]]:
    """Yield combinations that together hold both ends of each range and each choice."""
    listed = {key: _ends(distribution) for key, distribution in space.items()}
    for place in range(max(map(len, listed.values()))):
        yield {key: values[place % len(values)] for key, values in listed.items()}


def _read_file(name: str) -> Any:
    file = at_home(name)
    try:
        content = parse_yaml(name) if name.lstrip().startswith("{") else read_yaml(file)
    except OSError as error:
        raise UserError(
            f"space={name} cannot be read: {error.strerror or error}. Give {{key: range}} or a file."
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"space={name} is no YAML: {' '.join(str(error).split())}") from error
    if isinstance(content, dict) and set(content) == {"space"}:
        return content["space"]
    return content


def _distribution(key: str, written: Any, hints: Mapping[str, Any]) -> BaseDistribution:
    _check_key(key, hints)
    if isinstance(written, Mapping):
        return _choices(key, written, hints[key])
    if isinstance(written, list):
        return _range(key, written, hints[key])
    raise UserError(
        f"space: {key}: {written} is one value. To set it, type {key}={written}; to try more, give {FORMS}."
    )


def _check_key(key: str, hints: Mapping[str, Any]) -> None:
    for why, keys in FIXED.items():
        if key in keys:
            raise UserError(f"space: {key} cannot be searched: {why}.")
    known = [name for name in hints if name.partition(".")[0] in SECTIONS and name.count(".") == 1]
    if key == "seed_everything":
        raise UserError("space: seed_everything cannot be searched: a lucky seed is no better configuration.")
    if key.partition(".")[0] == "checkpoint":
        raise UserError(f"space: {key} cannot be searched: what trials are judged by must be the same for all.")
    if key not in known:
        raise UserError(f"space: unknown key '{key}'.{did_you_mean(key, known)}")


def _range(key: str, written: list[Any], hint: Any) -> BaseDistribution:
    words = [word for word in written if word in WORDS]
    numbers = [_number(value) for value in written if value not in WORDS]
    found = f"space: {key}: {_told(written)}"
    if any(number is None for number in numbers) or len(words) != len(set(words)):
        raise UserError(f"{found} is no range: give {FORMS}.")
    if len(numbers) != 2:
        raise UserError(f"{found} must hold two numbers, low and high: give {FORMS}.")
    low, high = float(numbers[0]), float(numbers[1])  # type: ignore[arg-type]  # None is refused above
    taken = _types(hint)
    if not taken & {int, float}:
        raise UserError(f"{found}: {key} takes no numbers. Give {{choices: [a, b]}}.")
    whole = "int" in words or float not in taken
    if max(abs(low), abs(high)) > LARGEST:
        raise UserError(f"{found}: its ends must lie between -{LARGEST:,} and {LARGEST:,}.")
    if not low < high:
        raise UserError(f"{found}: the first number must be below the second.")
    if whole and not (low.is_integer() and high.is_integer()):
        raise UserError(f"{found}: {key} is tried in whole numbers, so both ends must be whole.")
    if "log" in words and low <= 0:
        raise UserError(f"{found}: with log, the first number must be above 0.")
    if whole:
        return IntDistribution(int(low), int(high), log="log" in words)
    return FloatDistribution(low, high, log="log" in words)


def _choices(key: str, written: Mapping[str, Any], hint: Any) -> BaseDistribution:
    values = written.get("choices")
    found = f"space: {key}: {_told(written)}"
    if set(written) != {"choices"} or not isinstance(values, list):
        raise UserError(f"{found} is no range: give {FORMS}.")
    if not all(value is None or isinstance(value, bool | int | float | str) for value in values):
        raise UserError(f"{found}: a choice must be one word, number, true, false or null.")
    if _types(hint) & {int, float}:  # YAML reads 1e-3, which has no point, as a word
        values = [value if isinstance(value, bool) or _number(value) is None else _number(value) for value in values]
    if len({repr(value) for value in values}) != len(values) or len(values) < 2:
        raise UserError(f"{found}: give two or more different choices.")
    return CategoricalDistribution(values)


def _number(value: Any) -> int | float | None:
    """Return a number that YAML may have read as a word, None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _types(hint: Any) -> set[Any]:
    """Return the plain types that a key takes; a Literal's are not among them."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return set().union(*(_types(part) for part in get_args(hint)))
    return set() if origin is Literal else {hint}


def _values(distribution: BaseDistribution) -> Sequence[Any] | None:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1)
    return None


def _ends(distribution: BaseDistribution) -> Sequence[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return (distribution.low, distribution.high)


def _written(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return {"choices": list(distribution.choices)}
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    words = ["int"] * isinstance(distribution, IntDistribution) + ["log"] * distribution.log
    return [distribution.low, distribution.high, *words]


def _told(written: Any) -> str:
    return yaml.safe_dump(written, default_flow_style=True, width=1000).strip()
