"""The outputs of a model -> what a run reports of it: its scores, and those after what validation fitted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidnet.data.radiographs import Radiographs
from covidnet.errors import DivergedError
from covidnet.evaluation.scores import fitted_scores, score_outputs
from covidnet.evaluation.use import use_scores


def scores_of_test(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    data: Radiographs,
    class_weights: NDArray[np.floating],
    calibration: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what results.json holds of a model: its scores on the test images of ``data``.

    Raises:
        DivergedError: As ``score_model``.
    """
    patients = data.patients("test")
    scores = score_model(logits, labels, data.classes, class_weights, patients, calibration)
    scores |= model_use(logits, labels, data.classes, patients, calibration)
    return {"notice": data.notice.strip(), **scores} if data.notice else scores


def score_model(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    class_weights: NDArray[np.floating],
    groups: NDArray[np.integer] | None,
    calibration: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return ``score_outputs``, and ``fitted_scores`` where there is a ``calibration`` as a checkpoint keeps it.

    Raises:
        DivergedError: A logit is not finite; the message says what to change.
    """
    try:
        scores = score_outputs(logits, labels, classes, class_weights, groups)
    except DivergedError as error:
        raise DivergedError(
            f"{error} Its training has diverged: lower model.learning_rate, or give trainer.precision=32."
        ) from error
    return scores | (fitted_scores(logits, labels, classes, calibration, groups) if calibration else {})


def model_use(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    groups: NDArray[np.integer] | None,
    calibration: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return ``use``: ``use_scores`` of the calibrated probabilities, or of those that a model without them gives."""
    temperature = calibration["temperature"] if calibration else 1.0
    return {"use": use_scores(np.asarray(logits, dtype=np.float64) / temperature, labels, classes, groups)}
