"""Whether acting on a model helps: decision curves."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidnet.evaluation.intervals import groups_of, proportion_interval
from covidnet.evaluation.metrics import Floats

# Each per cent where rare and grave diseases are decided on, then each fifth.
THRESHOLDS = np.array([*range(1, 20), *range(20, 96, 5)]) / 100


def decision_curve(
    probability: NDArray[np.floating],
    truth: NDArray[np.bool_],
    groups: NDArray[np.integer] | None = None,
    thresholds: Floats = THRESHOLDS,
) -> dict[str, list[float]]:
    """Return the net benefit of acting on each image whose probability reaches a threshold, and of acting on all.

    Net benefit is TP / N - FP / N * t / (1 - t) (Vickers and Elkin 2006, Med Decis Making 26:565-574, "Methods").
    Who acts from the probability t on takes a needless act for t / (1 - t) of a missed case. Acting on none gives 0.

    The limits hold at each threshold, for the test's share of the class. There net benefit is a sum of the sensitivity
    and the share of false alarms, whose limits, by patient, are those of `proportion_interval`; their distances add by
    squares (Zou and Donner 2008, Statistics in Medicine 27:1693-1702, section 2, MOVER).

    Args:
        probability: (N,) of the class.
        truth: (N,) whether the image is of the class; both sides have an image.
        groups: (N,) a number for each patient; every image is its own where left out.
        thresholds: (T,) in (0, 1).

    Returns:
        Lists of T: ``threshold``, ``model``, ``low``, ``high`` and ``all``.
    """
    groups = groups_of(groups, len(truth))
    share = float(truth.mean())
    odds = thresholds / (1 - thresholds)
    curve: dict[str, list[float]] = {"threshold": thresholds.tolist(), "model": [], "low": [], "high": []}
    for threshold, cost in zip(thresholds.tolist(), odds.tolist(), strict=True):
        called = probability >= threshold
        found, gain = _side(called[truth], groups[truth], share)
        spoilt, loss = _side(called[~truth], groups[~truth], (1 - share) * cost)
        benefit = found - spoilt
        curve["model"].append(benefit)
        curve["low"].append(benefit - math.hypot(found - gain[0], loss[1] - spoilt))
        curve["high"].append(benefit + math.hypot(gain[1] - found, spoilt - loss[0]))
    return curve | {"all": (share - (1 - share) * odds).tolist()}


def helps(curve: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return from where to where the band of a ``decision_curve`` lies above acting on all and on none."""
    above = [low > max(everyone, 0.0) for low, everyone in zip(curve["low"], curve["all"], strict=True)]
    edges = np.flatnonzero(np.diff([False, *above, False]))
    return [(curve["threshold"][first], curve["threshold"][last - 1]) for first, last in edges.reshape(-1, 2)]


def _side(called: NDArray[np.bool_], groups: NDArray[np.intp], weight: float) -> tuple[float, tuple[float, float]]:
    """Return the weighted share of calls (N,), and its limits."""
    limits = proportion_interval(called, groups)
    assert limits is not None
    return weight * float(called.mean()), (weight * limits[0], weight * limits[1])
