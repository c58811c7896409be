"""The area under the ROC curve and its 95 % interval, where images may come in groups of one patient.

The limits are the areas at which the one that was seen lies just within chance. What is chance at an area is told by
the binormal model (Dorfman and Alf 1969, J Math Psychol 6:487-496), not by the few images that went wrong: a variance
of those is far too small by chance when a model is nearly right, and zero when it is perfect. Newcombe (2006, Stat Med
25:559-573) takes such limits from another model. ``python -m bench.coverage --only AUROC`` measures what comes of it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, owens_t
from scipy.stats import rankdata

from covidnet.evaluation.intervals import Interval, Z, groups_of

# How much two first guesses weigh: that both sides spread alike, and that images of a patient rank alike. The values at
# which bench.coverage holds.
SPREAD_PRIOR = 0.3
ALIKE_PRIOR = 0.5

SPREADS = np.linspace(0.05, 0.95, 37)  # the positives' share of the variance of a difference of two scores
TINY = 1e-12

Relations = list[tuple[float, float]]


def auroc(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve of ``scores`` (N,) for ``truth`` (N,); None where either side has no case."""
    if truth.all() or not truth.any():
        return None
    return float(placements(scores, truth)[0].mean())


def auroc_interval(
    scores: NDArray[np.floating], truth: NDArray[np.bool_], groups: NDArray[np.integer] | None = None
) -> Interval | None:
    """Return the limits of the area under the ROC curve.

    They depend on the ranks alone: on the area, on how much wider one side lies than the other, as far as the placement
    values tell (DeLong et al. 1988), and on how far images of one patient rank alike within their side. So they rise
    with the area as long as the two others stay.

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
    placed = placements(scores, truth)
    area = float(placed[0].mean())
    sides = [relations(scores[side], groups[side]) for side in (truth, ~truth)]
    spread = spread_of(*placed, *sides)

    def beyond_chance(truly: float) -> float:
        return (area - truly) ** 2 - Z**2 * _variance(truly, spread, *sides)

    low = float(brentq(beyond_chance, 0.0, min(area, 1 - TINY))) if area else 0.0
    high = float(brentq(beyond_chance, max(area, TINY), 1.0)) if area < 1 else 1.0
    return low, high


def spread_of(positives: NDArray[np.float64], negatives: NDArray[np.float64], *sides: Relations) -> float:
    """Return the positives' share of the variance of a difference of scores, from the placement values of both sides.

    Few wrong pairs tell little: the fewer, the nearer to one half.

    Args:
        positives: (P,) as :func:`placements` gives them.
        negatives: (N - P,) as :func:`placements` gives them.
        sides: What :func:`relations` tells of both.
    """
    area = float(positives.mean())
    fewest = min(count**2 / (count + same * alike) for (count, _), (same, alike), _ in sides)  # as if independent
    if min(len(positives), len(negatives)) == 1 or not 0 < area < 1:
        return 0.5
    prior = SPREAD_PRIOR * max(min(area, 1 - area), 1 / fewest) / fewest
    ratio = (positives.var(ddof=1) + prior) / (negatives.var(ddof=1) + prior)
    expected = np.log(_agreement(area, SPREADS) / _agreement(area, SPREADS[::-1]))
    return float(np.interp(np.log(ratio), expected, SPREADS))


def relations(scores: NDArray[np.floating], groups: NDArray[np.intp]) -> Relations:
    """Return how many ordered pairs of a side's images are one image, one patient's, or neither, and their correlation.

    The correlation within a patient is that of ranks in a one-way analysis of variance (Donner 1986, Int Stat Rev
    54:67-82), as one of normal scores (Pearson 1907).

    Args:
        scores: (P,) of the images of one side.
        groups: (P,) a number for each patient.
    """
    sizes = np.bincount(groups)
    count, patients = len(groups), np.count_nonzero(sizes)
    same = float((sizes**2).sum()) - count
    alike = 1.0
    if 1 < patients < count:
        ranks = rankdata(scores)
        means = np.bincount(groups, ranks) / np.maximum(sizes, 1)
        within = ((ranks - means[groups]) ** 2).sum() / (count - patients)
        between = (sizes * (means - ranks.mean()) ** 2)[sizes > 0].sum() / (patients - 1)
        usual = (count - (sizes**2).sum() / count) / (patients - 1)  # images of a patient
        if between or within:
            alike = max(0.0, float((between - within) / (between + (usual - 1) * within)))
        alike = (alike * (patients - 1) + ALIKE_PRIOR) / (patients - 1 + ALIKE_PRIOR)
    correlation = min(1.0, 2 * float(np.sin(np.pi / 6 * alike)))
    return [(count, 1.0), (same, correlation), (count**2 - count - same, 0.0)]


def placements(
    scores: NDArray[np.floating], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return of each positive the share of negatives below it, and of each negative the share of positives above it."""
    positives, negatives = scores[truth], scores[~truth]
    ranks = rankdata(scores)
    above = (ranks[truth] - rankdata(positives)) / len(negatives)
    below = 1 - (ranks[~truth] - rankdata(negatives)) / len(positives)
    return above, below


def _variance(area: float, spread: float, positives: Relations, negatives: Relations) -> float:
    """Return the variance of an area that is seen, if ``area`` is the true one.

    The area is the share of pairs of a positive and a negative that are ranked rightly. Of two pairs, the positives are
    one image, two of a patient, or of two patients, and so are the negatives: that tells how far the two agree.
    """
    pairs, total = 0.0, 0.0
    for above, alike in positives:
        for below, likewise in negatives:
            count = above * below
            pairs += count
            total += count * float(_agreement(area, spread * alike + (1 - spread) * likewise))
    return total / pairs


def _agreement(area: float, correlation: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance of two normal scores' being positive, each with the chance ``area`` (Owen 1956)."""
    angle = np.sqrt((1 - correlation) / (1 + correlation))
    return np.asarray(area - 2 * owens_t(ndtri(area), angle) - area**2)
