"""95 % intervals of proportions, where images may come in groups of one patient.

The interval is Wilson's, at an effective number of images. A variance that is estimated from the few images that
went wrong is far too small by chance when a model is nearly right, and zero when it is perfect. So it is drawn towards
the largest variance possible, the more, the fewer went wrong. ``python -m bench.coverage`` measures what comes of it.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

LEVEL = 0.95
Z = float(ndtri((1 + LEVEL) / 2))

# The largest variance weighs as much as so many images that went wrong: the value at which bench.coverage holds.
PRIOR = 1.0

Interval = tuple[float, float]


def wilson(proportion: float, size: float) -> Interval:
    """Return the limits of a proportion seen in ``size`` independent cases (Wilson 1927, JASA 22:209-212)."""
    spread = Z**2 / size
    centre = (proportion + spread / 2) / (1 + spread)
    half = math.sqrt(proportion * (1 - proportion) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, min(proportion, centre - half)), min(1.0, max(proportion, centre + half))


def proportion_interval(
    hits: NDArray[np.bool_], groups: NDArray[np.integer] | None = None, weights: NDArray[np.floating] | None = None
) -> Interval | None:
    """Return the limits of the share of hits.

    Args:
        hits: (N,).
        groups: (N,) a number for each patient; every image is its own where left out.
        weights: (N,) how much each image counts; all alike where left out.

    Returns:
        None where there are no images.
    """
    if not len(hits):
        return None
    return wilson(float(np.average(hits, weights=weights)), effective_cases(hits, groups, weights))


def effective_cases(
    hits: NDArray[np.bool_], groups: NDArray[np.integer] | None = None, weights: NDArray[np.floating] | None = None
) -> float:
    """Return how many independent images would tell the share of hits as surely as these; as `proportion_interval`.

    The variance is that of a ratio of sums over groups (Cochran 1977, Sampling Techniques, 3rd edition). Its ratio to
    that of independent images, the design effect, lies between 1 and that of groups which are all right or all wrong.
    Unequal weights w count as sum(w)^2 / sum(w^2) images (Kish 1965, Survey Sampling, section 11.7).
    """
    weights = np.ones(len(hits)) if weights is None else weights
    groups = groups_of(groups, len(hits))
    rate = float(np.average(hits, weights=weights))
    total, squares = float(weights.sum()), float((weights**2).sum())
    size = total**2 / squares
    variance = _between(np.bincount(groups, weights * (hits - rate)).astype(np.float64)) / total**2
    independent = rate * (1 - rate) / size
    largest = float((np.bincount(groups, weights) ** 2).sum()) / squares
    most = largest * float(weights.max()) * total / squares  # where what goes wrong is what weighs most
    effect = min(max(variance / independent, 1.0), most) if independent else largest
    return _effective_size(size, rate, effect, largest)


def cases_for(proportion: float, half_width: float) -> float:
    """Return how many independent cases make the limits of a proportion, as `wilson`, twice ``half_width`` apart."""
    # Of x = Z^2 / cases, half_width^2 (1 + x)^2 = p (1 - p) x + x^2 / 4.
    square, linear = 0.25 - half_width**2, proportion * (1 - proportion) - 2 * half_width**2
    return Z**2 * 2 * square / (math.sqrt(linear**2 + 4 * square * half_width**2) - linear)


def groups_of(groups: NDArray[np.integer] | None, size: int) -> NDArray[np.intp]:
    """Return the numbers of N groups from 0 without gaps; every image is its own group where ``groups`` is None."""
    if groups is None:
        return np.arange(size)
    assert len(groups) == size
    numbers: NDArray[np.intp] = np.unique(groups, return_inverse=True)[1]
    return numbers


def worst_effect(sizes: NDArray[np.integer]) -> float:
    """Return the design effect of groups whose images all go right or wrong together, from their sizes (G,)."""
    return float((sizes**2).sum() / sizes.sum())


def _effective_size(size: float, rate: float, effect: float, largest: float) -> float:
    rare = size * min(rate, 1 - rate)
    return size * (rare + PRIOR) / (effect * rare + largest * PRIOR)


def _between(sums: NDArray[np.float64]) -> float:
    """Return the variance of a total of G independent sums (G,) with mean 0; infinite where one group tells nothing."""
    return float((sums**2).sum()) * len(sums) / (len(sums) - 1) if len(sums) > 1 else math.inf
