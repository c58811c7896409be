"""Sets of classes instead of one: each holds the true class as often as stated, whatever that class is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidnet.evaluation.intervals import groups_of, proportion_interval

COVERAGE = 0.9  # share of the images of each class whose set is to hold it
ROUNDING = 1e-9  # of (n + 1) * coverage, which may miss a whole number by as little


def fit_conformal(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    coverage: float = COVERAGE,
) -> dict[str, Any]:
    """Return from which probability upward a class is in the set of an image, for each class.

    Split conformal prediction within each class (Vovk 2012, "Conditional validity of inductive conformal predictors";
    Sadinle et al. 2019, arXiv:1609.00451): of n validation images of a class, the least is the probability that at
    least (n + 1) * coverage of them reach. A new image of the class reaches it with a probability of ``coverage`` or
    more, as long as it was drawn as those were: from the same hospitals, not with the patients of the validation.

    Args:
        probabilities: (N, C) of the validation split, as they will be when sets are made.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        coverage: In (0, 1).

    Returns:
        ``coverage``; ``least``, of each class in their order, 0 where it has too few images to state the coverage (less
        than 9 for 90 %): it is then in every set.
    """
    least = {
        name: _least(np.asarray(probabilities, dtype=np.float64)[labels == label, label], coverage)
        for label, name in enumerate(classes)
    }
    return {"coverage": coverage, "least": least}


def too_few(conformal: Mapping[str, Any]) -> list[str]:
    """Return the classes that are in every set, for want of validation images."""
    return [name for name, least in conformal["least"].items() if least == 0]


def prediction_sets(
    probabilities: NDArray[np.floating], least: Mapping[str, float] | NDArray[np.floating] | Sequence[float]
) -> NDArray[np.bool_]:
    """Return which classes are in the set of each image, (N, C).

    A set of several classes says that the model cannot tell them apart here. An empty one says that the image is less
    like each class than nearly all images of that class are: it is unusual, or of none of them.

    Args:
        probabilities: (N, C), made as those that ``least`` was fitted on.
        least: Of each of the C classes, in their order.
    """
    lowest = np.array([*least.values()] if isinstance(least, Mapping) else least, dtype=np.float64)
    sets: NDArray[np.bool_] = np.asarray(probabilities) >= lowest
    return sets


def set_scores(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    conformal: Mapping[str, Any],
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Return how often the sets hold the true class, and how large they are.

    Args:
        probabilities: (N, C), made as those that the sets were fitted on.
        labels: (N,) in 0 .. C - 1.
        conformal: As `fit_conformal` returns it.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.

    Returns:
        ``stated``, the coverage that was asked for; ``coverage``, ``size`` (classes a set, on average) and ``empty``
        (share of sets without a class) over all images; ``per_class`` ``coverage``, ``least`` and ``support``;
        ``intervals`` of the shares.
    """
    sets = prediction_sets(probabilities, conformal["least"])
    scores = scores_of_sets(sets, labels, [*conformal["least"]], conformal["coverage"], groups)
    for name, least in conformal["least"].items():
        scores["per_class"][name]["least"] = least
    return scores


def scores_of_sets(
    sets: NDArray[np.bool_],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    stated: float,
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Return what ``set_scores`` does but for ``least``, of sets however they were made.

    Args:
        sets: (N, C) which classes are in the set of each image.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        stated: The coverage that was asked for.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.
    """
    patients = groups_of(groups, len(labels))
    held = sets[np.arange(len(labels)), labels]
    empty: NDArray[np.bool_] = np.logical_not(sets.any(axis=1))
    per_class = {}
    for label, name in enumerate(classes):
        among = labels == label
        per_class[name] = {
            "coverage": float(held[among].mean()) if among.any() else None,
            "support": int(among.sum()),
            "intervals": _limits({"coverage": (held[among], patients[among])}),
        }
    return {
        "stated": stated,
        "coverage": float(held.mean()),
        "size": float(sets.sum(axis=1).mean()),
        "empty": float(empty.mean()),
        "intervals": _limits({"coverage": (held, patients), "empty": (empty, patients)}),
        "per_class": per_class,
    }


def _least(own: NDArray[np.float64], coverage: float) -> float:
    """Return the probability that (n + 1) * coverage of n images reach or exceed, 0 where that is more than n."""
    wanted = math.ceil((len(own) + 1) * coverage - ROUNDING)
    return float(np.sort(own)[len(own) - wanted]) if wanted <= len(own) else 0.0


def _limits(shares: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.intp]]]) -> dict[str, list[float]]:
    limits = {name: proportion_interval(hits, groups) for name, (hits, groups) in shares.items()}
    return {name: list(ends) for name, ends in limits.items() if ends is not None}
