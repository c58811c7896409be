"""Metrics under any weights of the images: weights of one give the value, resampled ones its distribution."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

BINS = 15
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outputs:
    """What one model says of one split.

    Attributes:
        log_probabilities: (N, C) natural logarithms.
        labels: (N,) in 0 .. C - 1.
    """

    log_probabilities: Floats
    labels: NDArray[np.integer]

    @classmethod
    def of_probabilities(cls, probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> "Outputs":
        """Return what probabilities (N, C) say."""
        return cls(logarithms(probabilities), labels)

    @cached_property
    def predicted(self) -> NDArray[np.integer]:
        """(N,) the most probable class."""
        return np.asarray(self.log_probabilities.argmax(axis=1))

    @property
    def num_classes(self) -> int:
        """C."""
        return int(self.log_probabilities.shape[1])

    @cached_property
    def columns(self) -> Floats:
        """(N, C * C + C + 1 + 15): cell of the confusion matrix, loss by class, squared error, gap by bin."""
        images = np.arange(len(self.labels))
        truth = np.eye(self.num_classes)[self.labels]
        cells = np.eye(self.num_classes**2)[self.labels * self.num_classes + self.predicted]
        losses = -self.log_probabilities[images, self.labels]
        probabilities = np.exp(self.log_probabilities)
        confidence = probabilities[images, self.predicted]
        gaps = (confidence - (self.predicted == self.labels))[:, None] * np.eye(BINS)[bin_of(confidence)]
        squared = ((probabilities - truth) ** 2).sum(axis=1)
        return np.concatenate([cells, truth * losses[:, None], squared[:, None], gaps], axis=1)


def logarithms(probabilities: NDArray[np.floating]) -> Floats:
    """Return the natural logarithms of probabilities; one of 0 was rounded, so the smallest number stands for it."""
    logs: Floats = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny, dtype=np.float64))
    return logs


def bin_of(confidence: NDArray[np.floating], bins: int = BINS) -> NDArray[np.intp]:
    """Return the bin of each confidence in 0 .. 1: bin i holds those in (i / bins, (i + 1) / bins]."""
    index: NDArray[np.intp] = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return index


def overall_metrics(
    outputs: Outputs, weights: Floats, class_weights: Floats, extra_cells: Floats | float = 0.0
) -> dict[str, Floats]:
    """Return each overall metric under each of B weightings, (B,).

    ``loss`` is the mean cross-entropy and ``weighted_loss`` sum(w_i * l_i) / sum(w_i) by class weights w. ``brier`` is
    the multi-class sum of squares, mean_i sum_c (p_ic - y_ic)^2 in 0 .. 2 (Brier 1950). ``ece`` is the expected
    calibration error of the most probable class in 15 bins of equal width (Guo et al. 2017).

    Args:
        outputs: Of N images.
        weights: (B, N).
        class_weights: (C,) of the training loss.
        extra_cells: (B, C, C) added to the confusion matrix.
    """
    count = outputs.num_classes
    sums = weights @ outputs.columns
    cells, losses, squared, gaps = np.split(sums, np.cumsum([count**2, count, 1]), axis=1)
    matrix = cells.reshape(-1, count, count)
    images = matrix.sum(axis=2)  # (B, C) of each class
    total = images.sum(axis=1)
    return {
        "loss": losses.sum(axis=1) / total,
        "weighted_loss": losses @ class_weights / (images @ class_weights),
        **confusion_metrics(matrix + extra_cells),
        "brier": squared[:, 0] / total,
        "ece": np.abs(gaps).sum(axis=1) / total,
    }


def confusion_metrics(matrix: Floats) -> dict[str, Floats]:
    """Return accuracy, balanced accuracy, MCC and macro F1 of confusion matrices (B, C, C), rows the true class.

    Balanced accuracy and macro F1 are means over the classes that have images. MCC (Gorodkin 2004) is 0 where one class
    alone is predicted, and NaN where one class alone has images.
    """
    hits = np.diagonal(matrix, axis1=1, axis2=2)
    true, predicted, total = matrix.sum(axis=2), matrix.sum(axis=1), matrix.sum(axis=(1, 2))
    present = true > 0
    spread = total**2 - (true**2).sum(axis=1)
    predicted_spread = total**2 - (predicted**2).sum(axis=1)
    covariance = total * hits.sum(axis=1) - (true * predicted).sum(axis=1)
    known = (present.sum(axis=1) > 1) & (predicted_spread > 0)
    mcc = np.divide(
        covariance,
        np.sqrt(spread * predicted_spread, where=known, out=np.ones_like(total)),
        out=np.zeros_like(total),
        where=known,
    )
    return {
        "accuracy": hits.sum(axis=1) / total,
        "balanced_accuracy": np.mean(_ratio(hits, true), axis=1, where=present),
        "mcc": np.where(present.sum(axis=1) > 1, mcc, np.nan),
        "macro_f1": np.mean(_ratio(2 * hits, true + predicted), axis=1, where=present),
    }


def average_precision(scores: NDArray[np.floating], truth: NDArray[np.bool_], weights: Floats | None = None) -> Floats:
    """Return the average precision, sum of precision times step in recall, under each of B weightings, (B,).

    Args:
        scores: (N,) higher where the class is more likely; equal scores make one step.
        truth: (N,) whether the image is of the class.
        weights: (B, N); one weighting of ones where left out.
    """
    weights = np.ones((1, len(truth))) if weights is None else weights
    order = np.argsort(-scores)
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of each run of equal scores
    ordered = weights[:, order]
    found = np.cumsum(ordered * truth[order], axis=1)[:, last]
    listed = np.cumsum(ordered, axis=1)[:, last]
    steps = np.diff(found, axis=1, prepend=0)
    return np.asarray((steps * _ratio(found, listed)).sum(axis=1) / found[:, -1])


def _ratio(part: Floats, whole: Floats) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
    return ratio
