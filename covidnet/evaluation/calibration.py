"""Whether a model's probabilities mean what they say: temperature scaling and reliability."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from covidnet.evaluation.intervals import groups_of, proportion_interval
from covidnet.evaluation.metrics import BINS, bin_of

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(
    logits: NDArray[np.floating], labels: NDArray[np.integer], weights: NDArray[np.floating] | None = None
) -> float:
    """Return the temperature T that makes softmax(logits / T) most likely (Guo et al. 2017, arXiv:1706.04599).

    It lies between 0.05 and 20, and is at least 1 where every image is right: then any smaller one is more likely, and
    the images do not tell where to stop.

    Args:
        logits: (N, C) of the validation split, finite.
        labels: (N,) in 0 .. C - 1.
        weights: (N,) how much each image counts; all alike where left out.
    """

    def loss(log_temperature: float) -> float:
        return float(np.average(losses_at(float(np.exp(log_temperature)), logits, labels), weights=weights))

    coldest = 1.0 if (logits.argmax(axis=1) == labels).all() else COLDEST
    bounds = (float(np.log(coldest)), float(np.log(HOTTEST)))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def loss_at(temperature: float, logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean cross-entropy of softmax(logits / temperature).

    Args:
        temperature: Above 0.
        logits: (N, C).
        labels: (N,) in 0 .. C - 1.
    """
    return float(losses_at(temperature, logits, labels).mean())


def losses_at(temperature: float, logits: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the same cross-entropy of each image, (N,)."""
    tempered = log_softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
    return np.asarray(-tempered[np.arange(len(labels)), labels])


def reliability_bins(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], groups: NDArray[np.integer] | None = None
) -> list[dict[str, Any]]:
    """Return the bins of a reliability diagram of the most probable class, in order; those without images are left out.

    Each has ``low`` and ``high``, between which confidence lies, the number of images ``count``, their mean
    ``confidence``, their ``accuracy`` and its ``interval``.

    Args:
        probabilities: (N, C).
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number for each patient; every image is its own where left out.
    """
    groups = groups_of(groups, len(labels))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    index = bin_of(confidence)
    bins = []
    for i in np.unique(index):
        among = index == i
        limits = proportion_interval(right[among], groups[among])
        assert limits is not None
        bins.append(
            {
                "low": float(i / BINS),
                "high": float((i + 1) / BINS),
                "count": int(among.sum()),
                "confidence": float(confidence[among].mean()),
                "accuracy": float(right[among].mean()),
                "interval": list(limits),
            }
        )
    return bins
