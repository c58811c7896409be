import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, precision_recall_fscore_support

from covidnet.evaluation.scores import pooled_counts, score_outputs

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
