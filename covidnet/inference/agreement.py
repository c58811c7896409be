"""What an exported model must say of images, by the predictor, and how far what it says is from that."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.evaluation.decision import wrong_by
from covidnet.evaluation.ensembles import disagreement
from covidnet.inference.predictor import Pixels, Predictor


def outputs(predictor: Predictor, pixels: Sequence[Pixels]) -> list[NDArray[np.float64]]:
    """Return what ``Deployed`` must return before the decision, by the predictor."""
    found = predictor.outputs(pixels)
    said = [softmax(found.mean, axis=1)]
    if predictor.temperature is not None:
        said.append(softmax(found.mean / predictor.temperature, axis=1))
    novelty = predictor.novelty_of(found)
    if novelty is not None:
        said.append(novelty)
    if predictor.several:
        said.append(disagreement(found.logits))
    return said


def difference_of(predictor: Predictor, found: list[NDArray[np.float32]], expected: list[NDArray[np.float64]]) -> float:
    """Return the greatest difference of a number; of a decision, that of a probability which would explain it."""
    decision = predictor.decision
    numbers = found if decision is None else found[:-1]
    greatest = max(_greatest(*pair) for pair in zip(numbers, expected, strict=True))
    if decision is None:
        return greatest
    called, calibrated = found[-1].astype(np.int64), expected[1]
    return max(greatest, wrong_by(called, calibrated, *decision.at(predictor.classes)))


def _greatest(found: NDArray[np.float32], expected: NDArray[np.float64]) -> float:
    """Return the greatest difference, above 1 as a share: novelty has no bound."""
    return float((np.abs(found - expected) / np.maximum(1, expected)).max())
