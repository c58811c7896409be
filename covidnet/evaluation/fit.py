"""What is fitted on validation images, so that a model's numbers can be used."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.evaluation.calibration import fit_temperature
from covidnet.evaluation.conformal import fit_conformal
from covidnet.evaluation.thresholds import choose_thresholds


def fit_calibration(
    logits: NDArray[np.floating], labels: NDArray[np.integer], classes: Sequence[str]
) -> dict[str, Any] | None:
    """Return temperature, thresholds and prediction sets, as plain types; None where the model has diverged.

    Args:
        logits: (N, C) of the validation split.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
    """
    if not np.isfinite(logits).all():
        return None
    temperature = fit_temperature(logits, labels)
    probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
    return {
        "temperature": temperature,
        "thresholds": choose_thresholds(probabilities, labels, classes),
        "conformal": fit_conformal(probabilities, labels, classes),
    }
