"""Facts about the mean over folds."""

import numpy as np
import pytest

from covidnet.evaluation.folds import mean_balanced_accuracy
from covidnet.evaluation.scores import score_outputs


def cases(*folds):
    """Return right, folds, labels, sources of ``(label, source, right, wrong)`` in each fold, every image its own."""
    rows = [
        (hit, fold, label, source)
        for fold, cells in enumerate(folds)
        for label, source, right, wrong in cells
        for hit in [True] * right + [False] * wrong
    ]
    right, *others = np.array(rows).T
    return [right.astype(bool), *others]


ONE = [(0, 0, 30, 10), (1, 1, 54, 6)]


def test_it_is_the_mean_over_folds_of_the_mean_over_classes():
    right, folds, labels, sources = cases(ONE, [(0, 2, 10, 10)])
    mean, _ = mean_balanced_accuracy(right, folds, labels, sources, np.arange(len(right)))
    assert mean == pytest.approx(((0.75 + 0.9) / 2 + 0.5) / 2)


@pytest.mark.parametrize("cells", [ONE, [(0, 0, 40, 0), (1, 1, 60, 0)]], ids=["some wrong", "all right"])
def test_one_fold_has_the_limits_of_its_balanced_accuracy(cells):
    right, folds, labels, sources = cases(cells)
    patients = np.arange(len(right)) // 2
    mean, limits = mean_balanced_accuracy(right, folds, labels, sources, patients)
    logits = 5.0 * np.eye(2)[np.where(right, labels, 1 - labels)]
    scores = score_outputs(logits, labels, ["A", "B"], np.ones(2), patients)
    assert mean == pytest.approx(scores["balanced_accuracy"])
    assert limits == pytest.approx(scores["intervals"]["balanced_accuracy"], abs=0.01)


def test_the_same_images_in_two_folds_are_no_more_evidence_but_others_are():
    right, folds, labels, sources = cases(ONE)
    patients = np.arange(len(right))
    once = np.ptp(mean_balanced_accuracy(right, folds, labels, sources, patients)[1])
    twice = [np.tile(part, 2) for part in (right, labels)]
    both = np.repeat([0, 1], len(right))
    again = mean_balanced_accuracy(twice[0], both, twice[1], np.tile(sources, 2), np.tile(patients, 2))
    assert np.ptp(again[1]) == pytest.approx(once, rel=0.05)
    other = mean_balanced_accuracy(twice[0], both, twice[1], np.tile(sources, 2) + 2 * both, np.arange(2 * len(right)))
    assert np.ptp(other[1]) == pytest.approx(once / np.sqrt(2), rel=0.1)


def test_own_images_that_two_folds_share_in_part_weigh_as_often_as_they_are_told():
    # Each fold has 100 images of an unseen source of class 0, and 100 of class 1 of which the other has half.
    right, folds, labels, sources = cases(*[[(0, fold, 80, 20), (1, 2, 40, 10), (1, 3, 40, 10)] for fold in (0, 1)])
    patients = np.arange(400)
    patients[350:] = patients[150:200]  # source 3 of the second fold is that of the first
    mean, (low, high) = mean_balanced_accuracy(right, folds, labels, sources, patients)
    shares = np.bincount(patients, np.full(400, 1 / 400))  # of each patient in the mean
    assert mean == pytest.approx(0.8)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 * (shares**2).sum()), rel=0.1)


def test_faultless_folds_are_not_certain():
    right, folds, labels, sources = cases([(0, 0, 40, 0), (1, 1, 40, 0)], [(0, 2, 40, 0), (1, 1, 40, 0)])
    mean, (low, high) = mean_balanced_accuracy(right, folds, labels, sources, np.arange(160))
    assert mean == high == 1
    assert 0.9 < low < 0.99


def test_one_patient_does_not_tell_how_patients_differ():
    right, folds, labels, sources = cases([(0, 0, 3, 0), (1, 1, 3, 0)])
    assert mean_balanced_accuracy(right, folds, labels, sources, np.array([0, 0, 0, 1, 2, 3])) == (1.0, None)


def test_it_repeats():
    right, folds, labels, sources = cases(ONE)
    patients = np.arange(len(right))
    first, second = (mean_balanced_accuracy(right, folds, labels, sources, patients) for _ in range(2))
    assert first == second
