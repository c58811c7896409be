"""The 95 % interval of the average precision, by the same model as that of the area under the ROC curve.

``python -m bench.coverage --only average`` measures what comes of it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import norm

from covidnet.evaluation.areas import Relations, placements, relations, spread_of
from covidnet.evaluation.intervals import Interval, Z, groups_of
from covidnet.evaluation.metrics import Floats, average_precision

STEP = 0.04
SCORES = np.arange(-8, 8, STEP) + STEP / 2  # of positives, in their standard deviations
SHARES = norm.pdf(SCORES) * STEP  # of the positives that have them
CURVES = np.concatenate([np.linspace(-4, 4, 120), np.linspace(4.1, 8, 40)])[:, None]  # normal quantiles of their AUROC
DEGREE = 8  # of the polynomials that tell how two images of a patient agree


def average_precision_interval(
    scores: NDArray[np.floating], truth: NDArray[np.bool_], groups: NDArray[np.integer] | None = None
) -> Interval | None:
    """Return the limits of the average precision: those of the binormal curves at which what was seen is within chance.

    Args:
        scores: (N,) higher where the class is more likely.
        truth: (N,) whether the image is of the class.
        groups: (N,) a number for each patient; every image is its own where left out.

    Returns:
        None where either side has no case.
    """
    if truth.all() or not truth.any():
        return None
    groups = groups_of(groups, len(truth))
    seen = float(average_precision(scores, truth)[0])
    sides = [relations(scores[side], groups[side]) for side in (truth, ~truth)]
    precisions, variances = _curves(spread_of(*placements(scores, truth), *sides), *sides)
    # How far each curve lies from what was seen; it rises with the curve, but for rounding.
    distance = np.maximum.accumulate((precisions - seen) / np.sqrt(variances))
    low, high = np.interp([-Z, Z], distance, precisions)
    return min(float(low), seen), max(float(high), seen) if seen < 1 else 1.0


def _curves(spread: float, positives: Relations, negatives: Relations) -> tuple[Floats, Floats]:
    """Return the average precision of each curve and the variance of one that is seen, each (160,).

    The variance is that of the influence of single images (Hampel 1974, JASA 69:383-393).
    """
    width = np.sqrt(spread / (1 - spread))
    standard = width * SCORES + np.hypot(1, width) * CURVES  # (160, 400) the same scores in negatives' deviations
    negative_shares = norm.pdf(standard) * STEP * width
    share = positives[0][0] / (positives[0][0] + negatives[0][0])
    true, false = share * ndtr(-SCORES), (1 - share) * ndtr(-standard)
    called = true + false
    precision = true / called
    by_positive = precision + np.cumsum(share * false / called**2 * SHARES, axis=1)
    by_negative = -np.cumsum((1 - share) * true / called**2 * SHARES, axis=1)
    variance = _variance(by_positive, np.broadcast_to(SCORES, standard.shape), SHARES, positives)
    variance += _variance(by_negative, standard, negative_shares, negatives)
    return (precision * SHARES).sum(axis=1), variance


def _variance(influence: Floats, scores: Floats, shares: Floats, related: Relations) -> Floats:
    """Return the variance of the mean influence of one side's images.

    Two images of a patient agree, at each degree of Hermite's polynomials, by a power of their correlation (Mehler
    1866).
    """
    (count, _), (same, correlation), _ = related
    variance = (influence**2 * shares).sum(axis=1) - (influence * shares).sum(axis=1) ** 2
    before, polynomial, told = np.ones_like(scores), scores, np.zeros(len(scores))
    agreement = np.zeros(len(scores))
    for degree in range(1, DEGREE + 1) if same else ():
        part = (influence * polynomial * shares).sum(axis=1) ** 2
        told += part
        agreement += correlation**degree * part
        before, polynomial = polynomial, (scores * polynomial - np.sqrt(degree) * before) / np.sqrt(degree + 1)
    agreement += correlation ** (DEGREE + 1) * np.maximum(variance - told, 0)
    return np.asarray((count * variance + same * agreement) / count**2)
