import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from covidnet.errors import DivergedError
from covidnet.evaluation.scores import calibrated_scores, pooled_counts, score_outputs, threshold_scores

CLASSES = ["COVID-19", "NORMAL", "Viral Pneumonia"]


def probabilities_with(true_positives: int, false_positives: int, size: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (N, 3) and labels (N,) whose pooled counts are the given ones."""
    labels = np.arange(size) % 3
    probabilities = np.full((size, 3), 1 / 3)  # undecided: no class above 0.5
    for i in range(true_positives):
        probabilities[i] = np.where(np.arange(3) == labels[i], 0.8, 0.1)
    for i in range(true_positives, true_positives + false_positives):
        probabilities[i] = np.where(np.arange(3) == (labels[i] + 1) % 3, 0.8, 0.1)
    return probabilities, labels


@pytest.mark.parametrize(
    ("counts", "precision", "recall"),
    [
        ((101, 17, 223, 19), 0.85593, 0.84167),
        ((106, 13, 227, 14), 0.89076, 0.88333),
        ((110, 8, 232, 10), 0.93220, 0.91667),
    ],
)
def test_the_tutorials_printed_results_follow_from_its_counts(counts, precision, recall):
    scores = pooled_counts(*probabilities_with(counts[0], counts[1]))
    names = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    assert tuple(scores[name] for name in names) == counts
    assert scores["precision"] == pytest.approx(precision, abs=5e-6)
    assert scores["recall"] == pytest.approx(recall, abs=5e-6)


def test_a_probability_of_exactly_one_half_is_negative():
    assert pooled_counts(np.array([[0.5, 0.5]]), np.array([0]))["true_positives"] == 0


def test_nothing_predicted_gives_zero_precision_as_keras_does():
    scores = pooled_counts(np.full((3, 3), 1 / 3), np.arange(3))
    assert scores["precision"] == scores["recall"] == 0.0


def test_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 3)), rng.integers(0, 3, 200)
    weights = np.array([5.0, 0.7, 0.7])
    scores = score_outputs(logits, labels, CLASSES, weights)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predicted = logits.argmax(axis=1)
    precision, recall, _, support = precision_recall_fscore_support(labels, predicted)
    assert scores["loss"] == pytest.approx(log_loss(labels, probabilities))
    assert scores["weighted_loss"] == pytest.approx(log_loss(labels, probabilities, sample_weight=weights[labels]))
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    for label, name in enumerate(CLASSES):
        own = scores["per_class"][name]
        assert own["precision"] == pytest.approx(precision[label])
        assert own["sensitivity"] == pytest.approx(recall[label])
        assert own["support"] == support[label]
        others = labels != label
        assert own["specificity"] == pytest.approx(np.mean(predicted[others] != label))


def test_counts_sum_to_images_and_classes():
    rng = np.random.default_rng(1)
    scores = score_outputs(rng.normal(size=(50, 3)), rng.integers(0, 3, 50), CLASSES, np.ones(3))
    assert scores["true_positives"] + scores["false_negatives"] == 50
    assert scores["true_negatives"] + scores["false_positives"] == 100
    assert np.sum(scores["confusion_matrix"]) == 50


def test_rows_of_the_confusion_matrix_are_the_true_class():
    logits = np.array([[0.0, 9.0, 0.0], [0.0, 9.0, 0.0]])
    scores = score_outputs(logits, np.array([0, 0]), CLASSES, np.ones(3))
    assert scores["confusion_matrix"] == [[0, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert scores["per_class"]["NORMAL"]["sensitivity"] is None  # no NORMAL image: undefined, not 0


def drawn(images, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 3
    return rng.normal(size=(images, 3)) + 2 * np.eye(3)[labels], labels


def test_ranking_scores_agree_with_scikit_learn():
    logits, labels = drawn(150)
    scores = score_outputs(logits, labels, CLASSES, np.ones(3))
    probabilities = softmax(logits, axis=1)
    for label, name in enumerate(CLASSES):
        own, truth = scores["per_class"][name], labels == label
        assert own["auroc"] == pytest.approx(roc_auc_score(truth, probabilities[:, label]))
        assert own["average_precision"] == pytest.approx(average_precision_score(truth, probabilities[:, label]))
        assert own["ppv"] == own["precision"]
        called = logits.argmax(axis=1) == label
        assert own["npv"] == pytest.approx(np.mean(~truth[~called]))


def test_every_metric_has_an_interval_that_holds_it():
    scores = score_outputs(*drawn(120), CLASSES, np.array([5.0, 0.7, 0.7]))
    overall = {"loss", "nll", "weighted_loss", "accuracy", "balanced_accuracy", "mcc", "macro_f1", "brier", "ece"}
    assert set(scores["intervals"]) == {*overall, "precision", "recall"}
    for part in (scores, *scores["per_class"].values()):
        for metric, (low, high) in part["intervals"].items():
            assert low <= part[metric] <= high, metric
            assert low < high, metric
    per_class = {"sensitivity", "specificity", "ppv", "npv", "precision", "auroc", "average_precision"}
    per_class |= {"ppv_at_prevalence_0.01", "ppv_at_prevalence_0.1", "images_needed"}
    assert set(scores["per_class"]["NORMAL"]["intervals"]) == per_class
    assert scores["nll"] == scores["loss"]


def test_scores_are_plain_and_repeat():
    first, second = (json.dumps(score_outputs(*drawn(60), CLASSES, np.ones(3)), allow_nan=False) for _ in range(2))
    assert first == second


def test_a_split_without_errors_leaves_doubt():
    logits = 9.0 * np.eye(3)[np.arange(120) % 3]
    scores = score_outputs(logits, np.arange(120) % 3, CLASSES, np.ones(3))
    for metric in ("accuracy", "balanced_accuracy", "mcc", "macro_f1"):
        low, high = scores["intervals"][metric]
        assert 0.93 < low < 0.99
        assert high == scores[metric] == 1.0
    assert scores["per_class"]["COVID-19"]["intervals"]["sensitivity"][0] == pytest.approx(0.912, abs=5e-4)


def test_patients_widen_the_intervals():
    logits, labels = (np.repeat(part, 3, axis=0) for part in drawn(120))
    patients = np.repeat(np.arange(120), 3)
    alone, together = (score_outputs(logits, labels, CLASSES, np.ones(3), groups) for groups in (None, patients))
    assert together["confusion_matrix"] == alone["confusion_matrix"]
    for metric in alone["intervals"]:
        assert np.ptp(together["intervals"][metric]) > 1.3 * np.ptp(alone["intervals"][metric]), metric


def test_a_class_without_cases_has_none_and_no_interval():
    logits, labels = drawn(60)
    kept = labels < 2
    scores = score_outputs(logits[kept], labels[kept], CLASSES, np.ones(3))
    absent = scores["per_class"]["Viral Pneumonia"]
    for metric in ("sensitivity", "auroc", "average_precision"):
        assert absent[metric] is None
        assert metric not in absent["intervals"]
    assert absent["specificity"] is not None
    assert scores["mcc"] is not None


def test_images_of_one_class_have_no_correlation():
    logits, labels = drawn(60)
    kept = labels == 0
    scores = score_outputs(logits[kept], labels[kept], CLASSES, np.ones(3))
    assert scores["mcc"] is None
    assert "mcc" not in scores["intervals"]
    assert scores["balanced_accuracy"] == scores["accuracy"]


def test_one_patient_has_few_intervals_and_wide_ones():
    scores = score_outputs(*drawn(30), CLASSES, np.ones(3), np.zeros(30, dtype=int))
    assert set(scores["intervals"]) == {"accuracy", "precision", "recall"}
    assert np.ptp(scores["intervals"]["accuracy"]) > 0.6
    json.dumps(scores, allow_nan=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_refused(bad):
    logits, labels = drawn(30)
    logits[[3, 7], 1] = bad
    with pytest.raises(DivergedError, match="2 of 30 images"):
        score_outputs(logits, labels, CLASSES, np.ones(3))


def test_calibrated_scores_are_those_of_the_divided_logits():
    logits, labels = drawn(90)
    plain = score_outputs(logits / 2.5, labels, CLASSES, np.ones(3))
    scores = calibrated_scores(logits, labels, 2.5)
    assert scores["temperature"] == 2.5
    for metric in ("loss", "nll", "brier", "ece"):
        assert scores[metric] == plain[metric]
        assert scores["intervals"][metric] == plain["intervals"][metric]


def test_scores_at_the_threshold_that_decides_between_two_classes_are_the_plain_ones():
    logits, labels = drawn(90)
    logits, labels = logits[labels < 2, :2], labels[labels < 2]
    thresholds = {"COVID-19": 0.5, "NORMAL": None}
    scores = threshold_scores(softmax(logits, axis=1), labels, thresholds)
    plain = score_outputs(logits, labels, list(thresholds), np.ones(2))["per_class"]["COVID-19"]
    assert list(scores) == ["COVID-19"]
    assert scores["COVID-19"]["threshold"] == 0.5
    for metric in ("sensitivity", "specificity"):
        assert scores["COVID-19"][metric] == plain[metric]
        assert scores["COVID-19"]["intervals"][metric] == plain["intervals"][metric]


def test_the_ppv_is_told_at_a_low_prevalence_too():
    labels = np.repeat([0, 1], [50, 50])
    logits = np.where(np.eye(2, dtype=bool)[np.where(np.arange(100) % 10 == 0, 1 - labels, labels)], 2.0, 0.0)
    scores = score_outputs(logits, labels, ["sick", "well"], np.ones(2))["per_class"]["sick"]
    assert scores["ppv"] == pytest.approx(0.9)
    assert scores["ppv_at_prevalence_0.01"] == pytest.approx(0.01 * 0.9 / (0.01 * 0.9 + 0.99 * 0.1))
    low, high = scores["intervals"]["ppv_at_prevalence_0.01"]
    assert low < scores["ppv_at_prevalence_0.01"] < high
