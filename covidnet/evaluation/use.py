"""Whether the probability of each class is of use: joins decision curve, recalibration and the spread of the scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from covidnet.evaluation.intervals import groups_of
from covidnet.evaluation.metrics import bin_of
from covidnet.evaluation.net_benefit import decision_curve
from covidnet.evaluation.recalibration import calibration_curve, recalibration

SCORE_BINS = 20


def use_scores(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    groups: NDArray[np.integer] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return of each class against the rest what Van Calster et al. ask of a report, besides the AUROC.

    (2025, The Lancet Digital Health; arXiv:2412.10288, abstract: calibration plot, net benefit with decision curve,
    distributions of the scores.) Classes of which the images are all or none are left out.

    Args:
        logits: (N, C), divided by the temperature where there is one.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.

    Returns:
        ``calibration_slope`` and ``calibration_intercept`` with ``intervals`` (`recalibration`), ``net_benefit``
        (`decision_curve`), ``calibration_curve`` and ``score_counts``: of each true class how many of its images have
        a probability in each of 20 bins of equal width.
    """
    logits = np.asarray(logits, dtype=np.float64)
    groups = groups_of(groups, len(labels))
    found = {}
    for label, name in enumerate(classes):
        truth = labels == label
        if truth.all() or not truth.any():
            continue
        log_odds = logits[:, label] - logsumexp(np.delete(logits, label, axis=1), axis=1)
        probability = expit(log_odds)
        bins = bin_of(probability, SCORE_BINS)
        counts = {
            other: np.bincount(bins[labels == number], minlength=SCORE_BINS).tolist()
            for number, other in enumerate(classes)
        }
        found[name] = {
            **recalibration(log_odds, truth, groups),
            "net_benefit": decision_curve(probability, truth, groups),
            "calibration_curve": calibration_curve(probability, truth, groups),
            "score_counts": counts,
        }
    return found
