"""What a checkpoint's recipe may hold: a type and a range for each key that this program reads."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from covidnet.data.walk import MOST_CLASSES, is_class_name
from covidnet.evaluation.decision import WISHES
from covidnet.files.names import harm_of
from covidnet.files.plain import is_mapping, is_number, is_whole, measure
from covidnet.models.parts.appearance import SIDE
from covidnet.models.parts.sources import is_elsewhere

NEEDED = frozenset({"name", "model", "data", "classes"})
MOST_VALUES = 100_000  # of a recipe and of a model's arguments, each
NEVER = 2  # above 1 a least probability keeps its class out of every set
COLDEST, HOTTEST = 0.01, 100.0  # a temperature that was fitted lies well between them
_PATH = re.compile(r"\w+(\.\w+)+")  # a class has one name, by which its plain network is found
_NAME = re.compile(r"\w[\w.-]{0,199}")  # of a run's folder: no way out of the one that it is laid in


def check_recipe(recipe: Mapping[str, Any], arguments: object) -> None:
    """Refuse a recipe that this program has not written.

    Args:
        recipe: With the keys that are ``NEEDED``.
        arguments: The model's, as Lightning keeps them beside the recipe.

    Raises:
        ValueError: Saying which key is not what it has to be.
    """
    _require(is_mapping(recipe), "its keys are no texts")
    _measured(recipe)
    _measured(arguments)
    sections = [recipe["model"], recipe["data"]]
    _require(all(map(_is_section, sections)), "its model or data names no class with arguments")
    _require(_is_name(recipe["name"]), "its name is no plain word")
    _require(_are_classes(recipe["classes"]), "its classes are no plain names, or one is there twice")
    _require(isinstance(recipe.get("version", ""), str), "its version is no text")
    training = recipe.get("training", {})
    _require(is_mapping(training) and all(map(is_mapping, training.values())), "what ends its training is no keys")
    _require(is_mapping(arguments), "the model's arguments are no keys")
    assert isinstance(arguments, dict)
    # Lightning takes one of these for a function to import and to call.
    _require(not any(key.startswith("_") for key in arguments), "one of the model's arguments is a private name")
    asking = [held for held in (arguments, recipe["model"]["init_args"]) if is_elsewhere(str(held.get("backbone", "")))]
    known = all(is_mapping(held.get("architecture")) for held in asking)  # else to open it would ask a hub
    _require(known, "its backbone is named by a place, but it does not tell the architecture")
    calibration = recipe.get("calibration") or {}
    _require(is_mapping(calibration), "its calibration is no keys")
    if calibration:
        _check_calibration(calibration, recipe["classes"])
    if recipe.get("novelty") is not None:
        _check_novelty(recipe["novelty"])


def _measured(value: object) -> None:
    def leaf(one: Any) -> None:
        if not isinstance(one, Tensor):
            raise ValueError(f"it holds a {type(one).__name__}, which is no plain value")

    measure(value, leaf, most=MOST_VALUES, longest=10_000)


def _is_section(section: object) -> bool:
    if not isinstance(section, dict) or not is_mapping(section):
        return False
    path = section.get("class_path")
    return isinstance(path, str) and _PATH.fullmatch(path) is not None and is_mapping(section.get("init_args"))


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and harm_of(name) is None


def _are_classes(classes: object) -> bool:
    if not isinstance(classes, list) or not 1 < len(classes) <= MOST_CLASSES:
        return False
    return all(map(is_class_name, classes)) and len(set(classes)) == len(classes)


def _check_calibration(calibration: Mapping[str, Any], classes: Sequence[str]) -> None:
    warm = is_number(calibration.get("temperature"), COLDEST, HOTTEST)
    _require(warm, f"its temperature is not a number from {COLDEST:g} to {HOTTEST:g}")
    _require(
        _of_classes(calibration.get("thresholds"), classes, lambda one: one is None or is_number(one, 0, 1)),
        "its thresholds are no probability, or nothing, for some of its classes",
    )
    if "decision" in calibration:
        _check_decision(calibration["decision"], classes)
    if "conformal" not in calibration:  # as in an older checkpoint
        return
    conformal = calibration["conformal"]
    _require(is_mapping(conformal), "its conformal calibration is no keys")
    coverage = conformal.get("coverage")
    _require(is_number(coverage, 0, 1) and 0 < coverage < 1, "its coverage is no share")
    _require(
        _by_class(conformal.get("least"), classes, lambda one: is_number(one, 0, NEVER)),
        "the least probabilities of its prediction sets are no probability for each of its classes, in their order",
    )


def _check_decision(decision: object, classes: Sequence[str]) -> None:
    _require(is_mapping(decision), "its decision is no keys")
    assert isinstance(decision, dict)
    _require(decision.get("class") in classes, "its decision is of none of its classes")
    _require(is_number(decision.get("threshold"), 0, 1), "the threshold of its decision is no probability")
    _require(decision.get("wish") in WISHES, f"the wish of its decision is none of {', '.join(WISHES)}")
    _require(is_number(decision.get("wanted"), 0, 1), "what its decision is to reach is no share")


def _of_classes(values: object, classes: Sequence[str], holds: Callable[[Any], bool]) -> bool:
    return isinstance(values, Mapping) and set(values) <= set(classes) and all(map(holds, values.values()))


def _by_class(values: object, classes: Sequence[str], holds: Callable[[Any], bool]) -> bool:
    return isinstance(values, dict) and list(values) == list(classes) and all(map(holds, values.values()))


def _check_novelty(state: object) -> None:
    """Refuse what `covidnet.evaluation.novelty.novelty_scores` cannot reckon with."""
    _require(is_mapping(state), "its novelty is no keys")
    assert isinstance(state, dict)
    side, limits = state.get("side"), state.get("limits")
    _require(is_whole(side, SIDE, SIDE), f"the side of its novelty's pattern is not {SIDE}")
    limited = isinstance(limits, list) and len(limits) == 2 and all(is_number(one, 1e-6, 1e6) for one in limits)
    _require(limited, "the limits of its novelty are not two numbers above 0")
    looks, network = state.get("looks"), state.get("network")
    known = _are_features(looks, SIDE * SIDE + 1) and _are_features(network)
    _require(known, "the images of its novelty are no numbers, a row each")


def _are_features(value: object, count: int | None = None) -> bool:
    """Tell whether a value is a tensor (N, F) of one or more rows of finite numbers, F the ``count`` if given."""
    if not isinstance(value, Tensor) or value.dim() != 2 or not value.is_floating_point() or not value.numel():
        return False
    return bool(torch.isfinite(value).all()) and count in (None, value.shape[1])


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
