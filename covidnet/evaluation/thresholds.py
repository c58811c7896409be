"""Operating points: thresholds chosen on validation, and what a call means at a stated prevalence."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from covidnet.errors import UserError
from covidnet.evaluation.intervals import Interval


def choose_thresholds(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
) -> dict[str, float | None]:
    """Return the threshold of each class, as `choose_threshold` does of its probability against all other classes.

    Args:
        probabilities: (N, C) of the validation split.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
    """
    return {name: choose_threshold(probabilities[:, label], labels == label) for label, name in enumerate(classes)}


def choose_threshold(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float | None:
    """Return the score from which upward a class is called present.

    It is the one of the highest Youden's J, sensitivity + specificity - 1 (Youden 1950), halfway to the next lower
    score, for what was seen at one side of it may come at the other.

    Args:
        scores: (N,) probabilities of the class.
        truth: (N,) whether the image is of the class.

    Returns:
        None where either side has no case.
    """
    if truth.all() or not truth.any():
        return None
    specificity_lost, reached, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    best = np.argmax(reached - specificity_lost)
    lower = thresholds[best + 1] if best + 1 < len(thresholds) else 0.0
    # The first threshold of all calls nothing: it stands for any number above the highest score.
    return float((min(thresholds[best], 1.0) + lower) / 2)


def ppv_at_prevalence(
    sensitivity: float | None,
    specificity: float | None,
    prevalence: float,
    intervals: tuple[Interval, Interval] | None = None,
) -> tuple[float | None, Interval | None]:
    """Return the share of calls that would be right at a prevalence (Bayes), and its limits.

    With the rates of right calls r and of wrong ones w, a share t is a limit where a limit of r (1 - t) - w t is 0;
    that follows from the limits of sensitivity and specificity, whose distances add by squares (Donner and Zou 2012).

    Args:
        sensitivity: In 0 .. 1, or None where unknown.
        specificity: In 0 .. 1, or None where unknown.
        prevalence: Share of the class where the model is to be used, in 0 .. 1.
        intervals: Limits of sensitivity and specificity; without them there are no limits.

    Returns:
        None where nothing would be called.

    Raises:
        UserError: The prevalence is no share.
    """
    if not 0 <= prevalence <= 1:
        raise UserError(f"The prevalence is {prevalence}; give a share between 0 and 1, as 0.02 for 2 %.")
    if sensitivity is None or specificity is None:
        return None, None
    right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    if right + wrong == 0:
        return None, None
    ppv = right / (right + wrong)
    if intervals is None:
        return ppv, None

    def limit(right_limit: float, wrong_limit: float, sign: int) -> float:
        def excess(share: float) -> float:
            spread = math.hypot((right_limit - right) * (1 - share), (wrong_limit - wrong) * share)
            return right * (1 - share) - wrong * share + sign * spread

        return float(brentq(excess, 0, 1))

    (low, high), (least, most) = intervals
    lower = limit(low * prevalence, (1 - least) * (1 - prevalence), -1)
    upper = limit(high * prevalence, (1 - most) * (1 - prevalence), +1)
    return ppv, (min(lower, ppv), max(upper, ppv))
