"""Logits and labels of a split -> the numbers that a run reports, each with its 95 % interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from covidnet.errors import DivergedError
from covidnet.evaluation.areas import auroc, auroc_interval
from covidnet.evaluation.bootstrap import (
    calibration_error_interval,
    percentile_interval,
    resamplable,
    resample,
)
from covidnet.evaluation.conformal import set_scores
from covidnet.evaluation.decision import Decision, decide
from covidnet.evaluation.intervals import Interval, groups_of, proportion_interval
from covidnet.evaluation.metrics import Floats, Outputs, average_precision, overall_metrics
from covidnet.evaluation.precision_recall import average_precision_interval
from covidnet.evaluation.sample_size import images_needed
from covidnet.evaluation.thresholds import ppv_at_prevalence

THRESHOLD = 0.5
PREVALENCES = (0.01, 0.1)  # at which a PPV is told: the test's own share of a class is hardly ever a clinic's
CALIBRATED = ("loss", "nll", "brier", "ece")  # what a temperature changes


def score_outputs(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    class_weights: NDArray[np.floating],
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Return everything that is reported of one model on one split, as plain numbers.

    Args:
        logits: (N, C), N and C at least 1 and 2.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        class_weights: (C,) of the training loss.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.

    Returns:
        ``loss`` (``nll``), ``weighted_loss``, ``accuracy``, ``balanced_accuracy``, ``mcc``, ``macro_f1``, ``brier`` and
        ``ece``; the pooled Keras counts with their precision and recall; ``per_class``; ``confusion_matrix``, rows the
        true class; ``intervals``, of overall metrics. A metric without a case is None and has no interval. Resampled
        metrics have none either where all images of a class are of one patient, who does not tell how patients differ.

    Raises:
        DivergedError: A logit is not finite.
    """
    outputs = _outputs(logits, labels)
    patients = groups_of(groups, len(labels))
    overall, intervals = _overall(outputs, np.asarray(class_weights, dtype=np.float64), patients)
    matrix = outputs.columns[:, : len(classes) ** 2].sum(axis=0).astype(int).reshape(len(classes), -1)
    probabilities = np.exp(outputs.log_probabilities)
    pooled = pooled_counts(probabilities, labels)
    decided = probabilities.max(axis=1) > THRESHOLD  # at most one class of an image exceeds one half
    right = outputs.predicted == labels
    wilson = {
        "accuracy": proportion_interval(right, patients),
        "precision": proportion_interval(right[decided], patients[decided]),
        "recall": proportion_interval(right & decided, patients),
    }
    if len(np.unique(labels)) == 1:  # the accuracy, the balanced one and the sensitivity of the class are one number
        intervals["balanced_accuracy"] = wilson["accuracy"]
    return {
        **overall,
        **pooled,
        "per_class": per_class(outputs, classes, patients),
        "confusion_matrix": matrix.tolist(),
        "intervals": _plain(intervals | wilson),
    }


def calibrated_scores(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    temperature: float,
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Return the ``temperature`` and what it changes, ``loss``, ``nll``, ``brier``, ``ece``, with their ``intervals``.

    Args:
        logits: (N, C), before they are divided by the temperature.
        labels: (N,) in 0 .. C - 1.
        temperature: As fitted on validation.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.
    """
    outputs = _outputs(np.asarray(logits, dtype=np.float64) / temperature, labels)
    overall, intervals = _overall(outputs, np.ones(outputs.num_classes), groups_of(groups, len(labels)))
    return {
        "temperature": temperature,
        **{name: overall[name] for name in CALIBRATED},
        "intervals": _plain({name: intervals.get(name) for name in CALIBRATED}),
    }


def fitted_scores(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    calibration: Mapping[str, Any],
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Return ``calibrated``, ``thresholds`` and, where there are any, ``prediction_sets`` and ``decision``.

    Args:
        logits: (N, C), before they are divided by the temperature.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        calibration: ``temperature``, ``thresholds``, ``conformal`` and ``decision``, as a checkpoint keeps them.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.
    """
    temperature = calibration["temperature"]
    # Of the calibrated probabilities, as thresholds and sets were chosen.
    probabilities = softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
    thresholds = {name: calibration["thresholds"].get(name) for name in classes}
    scores: dict[str, Any] = {
        "calibrated": calibrated_scores(logits, labels, temperature, groups),
        "thresholds": threshold_scores(probabilities, labels, thresholds, groups),
    }
    if "conformal" in calibration:  # an older checkpoint has none
        scores["prediction_sets"] = set_scores(probabilities, labels, calibration["conformal"], groups)
    decision = Decision.kept(calibration)
    return scores | (
        {"decision": decision_scores(probabilities, labels, classes, decision, groups)} if decision else {}
    )


def threshold_scores(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    thresholds: Mapping[str, float | None],
    groups: NDArray[np.integer] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return of each class that has a threshold ``threshold``, ``sensitivity``, ``specificity`` and ``intervals``.

    Args:
        probabilities: (N, C), made as those that the thresholds were chosen on.
        labels: (N,) in 0 .. C - 1.
        thresholds: Of each of the C classes, in their order: it is called present from there upward; None: not called.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.
    """
    patients = groups_of(groups, len(labels))
    scores: dict[str, dict[str, Any]] = {}
    for label, (name, threshold) in enumerate(thresholds.items()):
        if threshold is not None:
            called = probabilities[:, label] >= threshold
            rates, intervals = _rates(called, labels == label, patients)
            chosen = {key: rates[key] for key in ("sensitivity", "specificity")}
            limits = {key: intervals[key] for key in chosen}
            scores[name] = {"threshold": float(threshold), **chosen, "intervals": _plain(limits)}
    return scores


def decision_scores(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    decision: Decision,
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Return a decision as a checkpoint keeps it, with what it gives.

    That is ``sensitivity`` and ``specificity`` of its class with their ``intervals``, and ``confusion_matrix``, rows
    the true class, columns what an image is called.

    Args:
        probabilities: (N, C), calibrated.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        decision: Of one of them.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.
    """
    thresholds = {name: decision.threshold if name == decision.name else None for name in classes}
    rates = threshold_scores(probabilities, labels, thresholds, groups)[decision.name]
    called = decide(probabilities, *decision.at(classes))
    matrix = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(matrix, (labels, called), 1)
    return {**decision.plain, **rates, "confusion_matrix": matrix.tolist()}


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


def per_class(outputs: Outputs, classes: Sequence[str], groups: NDArray[np.intp]) -> dict[str, dict[str, Any]]:
    """Return the scores of each class against the others, with their ``intervals``.

    ``sensitivity``, ``specificity``, ``ppv`` (``precision``) and ``npv`` are of the most probable class, ``auroc`` and
    ``average_precision`` of its probability. ``ppv_at_prevalence_0.01`` and ``..._0.1`` are the PPV where 1 % and 10 %
    of the images are of the class (Bayes). ``images_needed`` of the class would tell its sensitivity to 5 points.

    Args:
        outputs: Of N images.
        classes: Names of the C classes.
        groups: (N,) numbers of patients from 0.
    """
    scores = {}
    for label, name in enumerate(classes):
        truth = outputs.labels == label
        probability = np.exp(outputs.log_probabilities[:, label])
        rates, intervals = _rates(outputs.predicted == label, truth, groups)
        intervals |= {
            "precision": intervals["ppv"],
            "auroc": auroc_interval(probability, truth, groups),
            "average_precision": average_precision_interval(probability, truth, groups),
        }
        for prevalence in PREVALENCES:
            limits = (intervals["sensitivity"], intervals["specificity"])
            known = (limits[0], limits[1]) if limits[0] and limits[1] else None
            key = f"ppv_at_prevalence_{prevalence}"
            rates[key], intervals[key] = ppv_at_prevalence(
                rates["sensitivity"], rates["specificity"], prevalence, known
            )
        needed, intervals["images_needed"] = images_needed((outputs.predicted == label)[truth], groups[truth])
        rankable = truth.any() and not truth.all()
        scores[name] = {
            **rates,
            "precision": rates["ppv"],
            "auroc": auroc(probability, truth),
            "average_precision": float(average_precision(probability, truth)[0]) if rankable else None,
            "support": int(truth.sum()),
            "images_needed": needed,
            "intervals": _plain(intervals),
        }
    return scores


def _outputs(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> Outputs:
    spoilt = int((~np.isfinite(logits).all(axis=1)).sum())
    if spoilt:
        raise DivergedError(
            f"The model gives {spoilt} of {len(labels)} images logits that are not finite numbers, so nothing can be "
            "scored."
        )
    return Outputs(log_softmax(np.asarray(logits, dtype=np.float64), axis=1), np.asarray(labels))


def _overall(
    outputs: Outputs, class_weights: Floats, groups: NDArray[np.intp]
) -> tuple[dict[str, float | None], dict[str, Interval | None]]:
    """Return the overall metrics and their resampled limits."""

    def measure(weights: Floats, cells: Sequence[Floats]) -> dict[str, Floats]:
        return overall_metrics(outputs, weights, class_weights, cells[0])

    values = {name: float(value[0]) for name, value in measure(np.ones((1, len(groups))), [np.zeros(1)]).items()}
    values = {name: value for name, value in values.items() if np.isfinite(value)}
    intervals: dict[str, Interval | None] = {}
    if resamplable(outputs.labels, groups):
        resampled = resample(measure, outputs.labels, groups, outputs.num_classes)
        intervals = {name: percentile_interval(resampled[name], value) for name, value in values.items()}
        intervals["ece"] = calibration_error_interval(resampled["ece"], values["ece"], outputs, groups)
    scores: dict[str, float | None] = {**values, "nll": values["loss"], "mcc": values.get("mcc")}
    return scores, {**intervals, "nll": intervals.get("loss")}


def _rates(
    called: NDArray[np.bool_], truth: NDArray[np.bool_], groups: NDArray[np.intp]
) -> tuple[dict[str, float | None], dict[str, Interval | None]]:
    """Return sensitivity, specificity, PPV and NPV of a call (N,), and their limits."""
    cases = {
        "sensitivity": (called, truth),
        "specificity": (~called, ~truth),
        "ppv": (truth, called),
        "npv": (~truth, ~called),
    }
    rates = {name: _ratio(int(hits[among].sum()), int(among.sum())) for name, (hits, among) in cases.items()}
    return rates, {name: proportion_interval(hits[among], groups[among]) for name, (hits, among) in cases.items()}


def _plain(intervals: Mapping[str, Interval | None]) -> dict[str, list[float]]:
    return {name: list(limits) for name, limits in intervals.items() if limits is not None}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
