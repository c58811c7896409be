"""Logits and labels of a test split -> the numbers that a run reports."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix

THRESHOLD = 0.5


def score_outputs(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    class_weights: NDArray[np.floating],
) -> dict[str, Any]:
    """Return everything that is reported of one model on one split, as plain numbers.

    Args:
        logits: (N, C).
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        class_weights: (C,) of the training loss.

    Returns:
        ``loss`` mean(l_i) and ``weighted_loss`` sum(w_i * l_i) / sum(w_i) of the cross-entropies l; ``accuracy`` of the
        most probable class; the pooled Keras counts with their precision and recall; ``per_class``; and
        ``confusion_matrix``, rows the true class.
    """
    log_probabilities = log_softmax(np.asarray(logits, dtype=np.float64), axis=1)
    losses = -log_probabilities[np.arange(len(labels)), labels]
    weights = np.asarray(class_weights, dtype=np.float64)[labels]
    matrix = confusion_matrix(labels, log_probabilities.argmax(axis=1), labels=np.arange(len(classes)))
    return {
        "loss": float(losses.mean()),
        "weighted_loss": float((weights * losses).sum() / weights.sum()),
        "accuracy": float(matrix.trace() / matrix.sum()),
        **pooled_counts(np.exp(log_probabilities), labels),
        "per_class": per_class(matrix, classes),
        "confusion_matrix": matrix.tolist(),
    }


def pooled_counts(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, Any]:
    """Count as Keras' TruePositives and its kin do: each of N x C probabilities against 0.5, pooled over classes.

    Precision is TP / (TP + FP) and recall TP / (TP + FN), 0 where nothing was predicted. So TP + FN = N and
    TN + FP = N (C - 1); a row of probabilities (N, C) with none above 0.5 is a false negative without a false positive.
    """
    truth = np.eye(probabilities.shape[1], dtype=bool)[labels]
    predicted = probabilities > THRESHOLD
    true_positives = int((predicted & truth).sum())
    false_positives = int((predicted & ~truth).sum())
    false_negatives = int((~predicted & truth).sum())
    return {
        "true_positives": true_positives,
        "false_positives": false_positives,
        "true_negatives": int((~predicted & ~truth).sum()),
        "false_negatives": false_negatives,
        "precision": _ratio(true_positives, true_positives + false_positives) or 0.0,
        "recall": _ratio(true_positives, true_positives + false_negatives) or 0.0,
    }


def per_class(matrix: NDArray[np.integer], classes: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
    """Return sensitivity, specificity, precision and support of each class from a confusion matrix (C, C).

    A class is predicted where it is the most probable one. A ratio without cases is None.
    """
    total = int(matrix.sum())
    scores: dict[str, dict[str, float | int | None]] = {}
    for label, name in enumerate(classes):
        support, predicted, hits = (int(n) for n in (matrix[label].sum(), matrix[:, label].sum(), matrix[label, label]))
        scores[name] = {
            "sensitivity": _ratio(hits, support),
            "specificity": _ratio(total - support - predicted + hits, total - support),
            "precision": _ratio(hits, predicted),
            "support": support,
        }
    return scores


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
