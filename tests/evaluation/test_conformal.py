import numpy as np
import pytest
from scipy.special import softmax

from covidnet.evaluation.conformal import fit_conformal, prediction_sets, set_scores, too_few

CLASSES = ["a", "b", "c"]


def made_scores(counts, seed=0):
    """Return probabilities (N, 3) and labels (N,) of a model that knows the first class best."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), counts)
    logits = rng.normal(size=(len(labels), 3))
    logits[np.arange(len(labels)), labels] += np.array([4.0, 1.5, 0.5])[labels]
    return softmax(logits, axis=1), labels


def test_sets_hold_the_true_class_of_each_class_as_often_as_stated_over_200_splits():
    probabilities, labels = made_scores([150, 300, 250])
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(200):
        first = rng.random(len(labels)) < 0.5
        conformal = fit_conformal(probabilities[first], labels[first], CLASSES)
        scores = set_scores(probabilities[~first], labels[~first], conformal)
        shares.append([scores["coverage"], *(one["coverage"] for one in scores["per_class"].values())])
    assert all(0.88 <= share <= 0.92 for share in np.mean(shares, axis=0))


@pytest.mark.parametrize(("images", "reached"), [(9, 9), (18, 18), (19, 18), (29, 27), (99, 90), (109, 99)])
def test_the_least_is_reached_by_ninety_per_cent_of_one_image_more(images, reached):
    own = np.linspace(0.1, 0.9, images)
    probabilities = np.stack([own, 1 - own], axis=1)
    least = fit_conformal(probabilities, np.zeros(images, dtype=int), ["a", "b"])["least"]["a"]
    assert (own >= least).sum() == reached
    assert least in own


def test_a_class_with_too_few_images_is_in_every_set_and_told():
    probabilities, labels = made_scores([8, 9, 0])
    conformal = fit_conformal(probabilities, labels, CLASSES)
    assert too_few(conformal) == ["a", "c"]
    assert prediction_sets(probabilities, conformal["least"])[:, [0, 2]].all()


def test_a_higher_coverage_gives_larger_sets():
    probabilities, labels = made_scores([100, 100, 100])
    sizes = [
        prediction_sets(probabilities, fit_conformal(probabilities, labels, CLASSES, coverage)["least"]).sum()
        for coverage in (0.8, 0.9, 0.95)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_set_may_hold_one_class_several_or_none():
    least = {"a": 0.5, "b": 0.3, "c": 0.9}
    probabilities = np.array([[0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.4, 0.2, 0.4]])
    expected = [[True, False, False], [True, True, False], [False, False, False]]
    assert prediction_sets(probabilities, least).tolist() == expected
    assert prediction_sets(probabilities, np.array([*least.values()])).tolist() == expected


def test_the_scores_count_what_the_sets_hold():
    conformal = {"coverage": 0.9, "least": {"a": 0.5, "b": 0.3, "c": 0.9}}
    probabilities = np.array([[0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.4, 0.2, 0.4], [0.1, 0.8, 0.1]])
    scores = set_scores(probabilities, np.array([0, 1, 0, 1]), conformal)
    assert (scores["stated"], scores["coverage"], scores["size"], scores["empty"]) == (0.9, 0.75, 1.0, 0.25)
    assert [one["coverage"] for one in scores["per_class"].values()] == [0.5, 1.0, None]
    assert [one["support"] for one in scores["per_class"].values()] == [2, 2, 0]
    low, high = scores["intervals"]["coverage"]
    assert low < 0.75 < high
    assert scores["per_class"]["c"]["intervals"] == {}


def test_images_of_one_patient_widen_the_interval_of_the_coverage():
    probabilities, labels = made_scores([60, 60, 60])
    conformal = fit_conformal(probabilities, labels, CLASSES)
    held = prediction_sets(probabilities, conformal["least"])[np.arange(180), labels]
    patients = np.where(held, np.arange(180) % 6, 6 + np.arange(180) % 2)  # whose images are all held, or none is
    alone, linked = (set_scores(probabilities, labels, conformal, groups) for groups in (None, patients))
    width = [np.diff(scores["intervals"]["coverage"])[0] for scores in (alone, linked)]
    assert width[1] > width[0]
