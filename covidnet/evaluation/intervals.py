"""95 % intervals of proportions and of areas under curves, where images may come in groups of one patient.

Every interval here is Wilson's, at an effective number of images. A variance that is estimated from the few images that
went wrong is far too small by chance when a model is nearly right, and zero when it is perfect. So it is drawn towards
the largest variance possible, the more, the fewer went wrong. ``python -m bench.coverage`` measures what comes of it.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

LEVEL = 0.95
Z = float(norm.ppf((1 + LEVEL) / 2))

# The largest variance weighs as much as so many images that went wrong: the values at which bench.coverage holds.
PROPORTION_PRIOR = 1.0
AREA_PRIOR = 0.1

Interval = tuple[float, float]


def wilson(proportion: float, size: float) -> Interval:
    """Return the limits of a proportion seen in ``size`` independent cases (Wilson 1927, JASA 22:209-212)."""
    spread = Z**2 / size
    centre = (proportion + spread / 2) / (1 + spread)
    half = math.sqrt(proportion * (1 - proportion) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, min(proportion, centre - half)), min(1.0, max(proportion, centre + half))


def proportion_interval(hits: NDArray[np.bool_], groups: NDArray[np.integer] | None = None) -> Interval | None:
    """Return the limits of the share of hits.

    The variance is that of a ratio of sums over groups (Cochran 1977, Sampling Techniques, 3rd edition). Its ratio to
    that of independent images, the design effect, lies between 1 and that of groups which are all right or all wrong.

    Args:
        hits: (N,).
        groups: (N,) a number for each patient; every image is its own where left out.

    Returns:
        None where there are no images.
    """
    if not len(hits):
        return None
    rate = float(hits.mean())
    sizes, residuals = _per_group(groups_of(groups, len(hits)), hits - rate)
    variance = _between(residuals) / len(hits) ** 2
    independent = rate * (1 - rate) / len(hits)
    largest = worst_effect(sizes)
    effect = min(max(variance / independent, 1.0), largest) if independent else largest
    return wilson(rate, _effective_size(len(hits), rate, effect, largest, PROPORTION_PRIOR))


def auroc(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve of ``scores`` (N,) for ``truth`` (N,); None where either side has no case."""
    if truth.all() or not truth.any():
        return None
    return float(_placements(scores, truth)[0].mean())


def auroc_interval(
    scores: NDArray[np.floating], truth: NDArray[np.bool_], groups: NDArray[np.integer] | None = None
) -> Interval | None:
    """Return the limits of the area under the ROC curve.

    The variance is that of placement values (DeLong et al. 1988; over groups: Obuchowski 1997), computed by ranks in
    O(N log N) (Sun and Xu 2014).

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
    placements = _placements(scores, truth)
    area = float(placements[0].mean())
    share = np.empty(len(truth))  # of each image in the error of the area
    share[truth], share[~truth] = ((values - area) / len(values) for values in placements)
    positive, negative = (np.bincount(groups, share * side) for side in (truth, ~truth))
    count = len(positive)
    covariance = float(positive @ negative) * count / (count - 1) if count > 1 else 0.0
    variance = sum(_between(_per_group(groups[side], share[side])[1]) for side in (truth, ~truth)) + 2 * covariance
    return area_interval(area, variance, truth, groups, both_sides=True)


def area_interval(
    area: float, variance: float, truth: NDArray[np.bool_], groups: NDArray[np.integer], *, both_sides: bool
) -> Interval:
    """Return the limits of an area under a curve from its estimated variance.

    The variance of an area A is at most A (1 - A) / n, n the independent images on the smaller side (Birnbaum and Klose
    1957); of the precision-recall curve n counts the positives (Boyd et al. 2013).

    Args:
        area: In 0 .. 1.
        variance: As estimated; infinite where it cannot be.
        truth: (N,) whether the image is of the class.
        groups: (N,) numbers of patients from 0.
        both_sides: Whether n is of the smaller side, or of the positives.
    """
    sides = [groups[truth], groups[~truth]] if both_sides else [groups[truth]]
    bounds = [(len(side), worst_effect(np.unique(side, return_counts=True)[1])) for side in sides]
    size, largest = min(bounds, key=lambda bound: bound[0] / bound[1])
    independent = area * (1 - area) / size
    effect = min(max(variance, 0.0) / independent, largest) if independent else largest
    return wilson(area, _effective_size(size, area, effect, largest, AREA_PRIOR))


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


def _effective_size(size: float, rate: float, effect: float, largest: float, prior: float) -> float:
    rare = size * min(rate, 1 - rate)
    return size * (rare + prior) / (effect * rare + largest * prior)


def _per_group(
    groups: NDArray[np.intp], values: NDArray[np.floating]
) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
    """Return how many images each group that has any holds, and the sum of their values: (G,) and (G,)."""
    sizes, sums = np.bincount(groups), np.bincount(groups, values).astype(np.float64)
    return sizes[sizes > 0], sums[sizes > 0]


def _between(sums: NDArray[np.float64]) -> float:
    """Return the variance of a total of G independent sums (G,) with mean 0; infinite where one group tells nothing."""
    return float((sums**2).sum()) * len(sums) / (len(sums) - 1) if len(sums) > 1 else math.inf


def _placements(
    scores: NDArray[np.floating], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return of each positive the share of negatives below it, and of each negative the share of positives above it."""
    positives, negatives = scores[truth], scores[~truth]
    ranks = rankdata(scores)
    above = (ranks[truth] - rankdata(positives)) / len(negatives)
    below = 1 - (ranks[~truth] - rankdata(negatives)) / len(positives)
    return above, below
