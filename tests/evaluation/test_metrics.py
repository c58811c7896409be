import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, matthews_corrcoef
from torchmetrics.functional.classification import multiclass_calibration_error

from covidnet.evaluation.metrics import Outputs, confusion_metrics, overall_metrics


def drawn(images, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, images)
    return rng.normal(size=(images, 3)) + 1.5 * np.eye(3)[labels], labels


def values(logits, labels, weights, class_weights=(1, 1, 1)):
    outputs = Outputs(log_softmax(logits, axis=1), labels)
    return {name: v[0] for name, v in overall_metrics(outputs, weights[None], np.array(class_weights)).items()}


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_agree_with_scikit_learn_under_any_weights(weighted):
    logits, labels = drawn(300)
    weights = np.random.default_rng(1).exponential(size=300) if weighted else np.ones(300)
    predicted, probabilities = logits.argmax(axis=1), softmax(logits, axis=1)
    own = values(logits, labels, weights, (5.0, 0.7, 0.9))
    by_class = np.array([5.0, 0.7, 0.9])[labels]
    assert own["loss"] == pytest.approx(log_loss(labels, probabilities, sample_weight=weights))
    assert own["weighted_loss"] == pytest.approx(log_loss(labels, probabilities, sample_weight=weights * by_class))
    assert own["accuracy"] == pytest.approx(accuracy_score(labels, predicted, sample_weight=weights))
    assert own["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted, sample_weight=weights))
    assert own["mcc"] == pytest.approx(matthews_corrcoef(labels, predicted, sample_weight=weights))
    assert own["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro", sample_weight=weights))
    squares = ((probabilities - np.eye(3)[labels]) ** 2).sum(axis=1)
    assert own["brier"] == pytest.approx(np.average(squares, weights=weights))


def test_the_calibration_error_agrees_with_torchmetrics():
    logits, labels = drawn(500)
    expected = multiclass_calibration_error(
        torch.from_numpy(softmax(logits, axis=1)), torch.from_numpy(labels), num_classes=3, n_bins=15, norm="l1"
    )
    assert values(logits, labels, np.ones(500))["ece"] == pytest.approx(float(expected), abs=1e-6)


def test_means_over_classes_leave_out_a_class_without_images():
    matrix = np.array([[[8.0, 1, 1], [0, 0, 0], [2, 0, 8]]])
    metrics = confusion_metrics(matrix)
    assert metrics["balanced_accuracy"] == pytest.approx([0.8])
    assert metrics["macro_f1"] == pytest.approx([(16 / 20 + 16 / 19) / 2])


def test_mcc_is_zero_for_one_answer_and_undefined_for_one_class():
    assert confusion_metrics(np.array([[[5.0, 0], [3, 0]]]))["mcc"] == [0.0]
    assert np.isnan(confusion_metrics(np.array([[[5.0, 3], [0, 0]]]))["mcc"])
