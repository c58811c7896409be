"""Whether the probability of a class means what it says: recalibration, and a smooth curve with its band."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from covidnet.evaluation.intervals import Interval, Z, groups_of, proportion_interval
from covidnet.evaluation.metrics import Floats

BANDWIDTH = 0.05  # of probability: half a bin of a reliability diagram to either side, and some
GRID = np.linspace(0, 1, 26)
LEAST = 10  # images that a point of the curve stands for, or it is left out
FARTHEST = 1e4  # a slope or an intercept is sought up to here
MARGIN = 40.0  # of log-odds: expit(40) is 1 to the last bit
TINY = float(np.finfo(float).tiny)

Statistic = Callable[[float], float]  # falls as a parameter rises; 0 at its estimate, Z and -Z at its limits


def recalibration(
    log_odds: Floats, truth: NDArray[np.bool_], groups: NDArray[np.integer] | None = None
) -> dict[str, Any]:
    """Return ``calibration_slope`` and ``calibration_intercept`` of the probability of a class, and ``intervals``.

    The slope b is that of the logistic regression log-odds(class) = a + b * stated log-odds; the intercept is that of
    the same with b = 1 (Cox 1958, Biometrika 45:562-565, section 2; Van Calster et al. 2019, BMC Medicine 17:230, table
    1). 1 and 0 are right.

    The limits are those values that a score test does not reject (Rao 1948; Boos 1992, The American Statistician
    46:327-333, section 2). The variance of the slope's score is its information times the design effect of the
    patients, at least 1: alone, a variance that is estimated from the few images on the wrong side is far too small.
    The limits hold for the test's share of the class.

    Args:
        log_odds: (N,) as stated.
        truth: (N,) whether the image is of the class; both sides have an image.
        groups: (N,) a number for each patient; every image is its own where left out.

    Returns:
        The slope is None where a threshold tells the class without error: then no slope would be too steep. A limit
        that the images do not set takes the interval with it.
    """
    groups = groups_of(groups, len(truth))
    intercept = _intercept(log_odds, truth)

    def level(intercept: float) -> float:
        scores = truth - expit(log_odds + intercept)
        return _by_error(scores.sum(), _variance(scores, truth, groups))

    def scores_of(slope: float) -> tuple[Floats, float]:
        """Return the score (N,) of a slope beside the best intercept, and its information."""
        offset = slope * log_odds
        stated = expit(offset + _intercept(offset, truth))
        spread = stated * (1 - stated)
        centred = log_odds - (spread @ log_odds) / max(spread.sum(), TINY)
        return (truth - stated) * centred, float(spread @ centred**2)

    def steepness(slope: float, effect: float = 1.0) -> float:
        scores, information = scores_of(slope)
        return _by_error(scores.sum(), effect * information)

    slope = None
    limits = {"calibration_intercept": _limits(level, intercept)}
    if log_odds[truth].min() < log_odds[~truth].max() and log_odds[truth].max() > log_odds[~truth].min():
        slope = _crossing(steepness, 0.0, 1.0)
    if slope is not None:
        scores, information = scores_of(slope)
        effect = max(1.0, _variance(scores, truth, groups) / max(information, TINY))
        limits["calibration_slope"] = _limits(lambda value: steepness(value, effect), slope)
    return {
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "intervals": {name: list(pair) for name, pair in limits.items() if pair},
    }


def calibration_curve(
    probability: NDArray[np.floating], truth: NDArray[np.bool_], groups: NDArray[np.integer] | None = None
) -> dict[str, list[float | None]]:
    """Return how often images of about one probability are of the class, over all probabilities.

    Both axes are means under a Gaussian kernel of width 0.05, so that probabilities which hold lie on the diagonal
    wherever they crowd (Copas 1983, Applied Statistics 32:25-31, "Plotting p against x"; Blasiok and Nakkiran 2023,
    arXiv:2309.12236, section 3). The band holds at each point: Wilson's at the effective number of images there, by
    patient, as `proportion_interval`.

    Args:
        probability: (N,) of the class.
        truth: (N,) whether the image is of the class.
        groups: (N,) a number for each patient; every image is its own where left out.

    Returns:
        Lists of 26: mean ``probability``, ``share`` of the class, ``low``, ``high``; None where there are fewer than 10
        images.
    """
    groups = groups_of(groups, len(truth))
    curve: dict[str, list[float | None]] = {"probability": [], "share": [], "low": [], "high": []}
    for place in GRID:
        weights = np.exp(-0.5 * ((probability - place) / BANDWIDTH) ** 2)
        point: tuple[float | None, ...] = (None,) * 4
        if weights.sum() ** 2 >= LEAST * (weights**2).sum() and weights.sum() > 1:
            limits = proportion_interval(truth, groups, weights)
            assert limits is not None
            means = (float(np.average(values, weights=weights)) for values in (probability, truth))
            point = (*means, *limits)
        for name, value in zip(curve, point, strict=True):
            curve[name].append(value)
    return curve


def _intercept(offset: Floats, truth: NDArray[np.bool_]) -> float:
    """Return what is added to log-odds (N,) so that they expect as many images of the class as there are."""
    share = truth.mean()

    def excess(intercept: float) -> float:
        return float(expit(offset + intercept).mean() - share)

    return float(brentq(excess, -offset.max() - MARGIN, -offset.min() + MARGIN, xtol=1e-12))


def _variance(scores: Floats, truth: NDArray[np.bool_], groups: NDArray[np.intp]) -> float:
    """Return the variance of the sum of scores (N,) over patients, where the number of images of each side is given."""
    labels = truth.astype(np.intp)
    means = np.bincount(labels, scores) / np.bincount(labels)
    sums = np.bincount(groups, scores - means[labels])
    return float((sums**2).sum()) * len(sums) / max(len(sums) - 2, 1)


def _by_error(total: float, variance: float) -> float:
    return float(total) / math.sqrt(max(variance, TINY))


def _limits(statistic: Statistic, estimate: float) -> Interval | None:
    low, high = (_crossing(statistic, level, estimate) for level in (Z, -Z))
    return None if low is None or high is None else (low, high)


def _crossing(statistic: Statistic, level: float, start: float) -> float | None:
    """Return where a falling statistic has a level, None where it has it nowhere that counts."""

    def excess(value: float) -> float:
        return statistic(value) - level

    step = math.copysign(0.5, excess(start))  # up where it is still above
    near, far = start, start + step
    while excess(far) * step > 0:
        if abs(far) > FARTHEST:
            return None
        step *= 2
        near, far = far, far + step
    return float(brentq(excess, near, far, xtol=1e-10))
