"""What a report shows of a kept threshold: what it says and gives, and what it calls an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.evaluation.decision import Decision, decide
from covidnet.runs.predictions import Predictions
from covidnet.runs.run import Run

LEAST = 1e-300  # what a probability of 0 in predictions.csv is taken as when its logarithm is needed


@dataclass(frozen=True)
class Decided:
    """A threshold and what it gives."""

    name: str
    sentence: str
    sides: list[tuple[str, Mapping[str, Any]]]  # where it was measured, and its scores
    lines: list[tuple[str, list[int]]]  # of each true class, how many test images are called each class


def decided(run: Run) -> Decided | None:
    """Return the decision that the results of a run hold."""
    scores = run.scores.get("decision")
    if not scores:
        return None
    kept = Decision.of(scores)
    sides = [("Validation", scores.get("validation")), ("Test", scores)]
    lines = list(zip(run.classes, scores["confusion_matrix"], strict=False))
    return Decided(kept.name, kept.sentence, [(side, one) for side, one in sides if one], lines)


def decisions(run: Run, predictions: Predictions) -> list[str] | None:
    """Return what each image of ``predictions.csv`` is called (N); None where the best model keeps no threshold."""
    calibration = run.best.calibration if run.best else {}
    kept = Decision.kept(calibration)
    if kept is None:
        return None
    calibrated = calibrate(predictions.probabilities, calibration["temperature"])
    return [run.classes[number] for number in decide(calibrated, *kept.at(run.classes))]


def calibrate(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return probabilities (N, C) after temperature scaling."""
    scaled: NDArray[np.float64] = softmax(np.log(np.maximum(probabilities, LEAST)) / temperature, axis=1)
    return scaled
