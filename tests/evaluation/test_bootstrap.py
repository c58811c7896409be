import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from covidnet.evaluation.bootstrap import (
    mirrored_interval,
    percentile_interval,
    resamplable,
    resample,
)
from covidnet.evaluation.metrics import average_precision


def kept(labels, groups, **options):
    """Return the weights that the resamples gave, (B, N), and what they add to the confusion matrix, (B, C, C)."""
    return resample(lambda weights, cells: {"weights": weights, "cells": cells[0]}, labels, groups, 3, **options)


def test_each_class_keeps_its_number_of_images():
    labels = np.repeat([0, 1, 2], [5, 20, 40])
    weights = kept(labels, np.arange(65))["weights"]
    assert weights.shape == (2000, 65)
    for label, count in enumerate((5, 20, 40)):
        np.testing.assert_allclose(weights[:, labels == label].sum(axis=1), count)


def test_images_of_a_patient_stay_together():
    groups = np.repeat(np.arange(15), 4)
    weights = kept(np.repeat([0, 1, 2], 20), groups)["weights"]
    np.testing.assert_allclose(weights[:, ::4], weights[:, 3::4])
    assert len(np.unique(weights[0])) == 15


def test_resamples_repeat():
    labels = np.repeat([0, 1, 2], 10)
    np.testing.assert_array_equal(kept(labels, np.arange(30))["weights"], kept(labels, np.arange(30))["weights"])
    assert (kept(labels, np.arange(30), seed=1)["weights"] != kept(labels, np.arange(30))["weights"]).any()


def test_the_standard_error_of_a_mean_is_the_known_one():
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=200), np.zeros(200, dtype=int)
    means = resample(lambda weights, _: {"mean": weights @ values / 200}, labels, np.arange(200), 2)["mean"]
    assert means.std() == pytest.approx(values.std() / np.sqrt(200), rel=0.05)


def test_a_class_without_images_gains_none():
    assert (kept(np.repeat([0, 2], 10), np.arange(20))["cells"][:, 1] == 0).all()


def test_the_patient_that_a_class_gains_weighs_the_same_in_each_model_and_is_as_likely_right_as_wrong():
    cells = resample(lambda _, cells: {"cells": np.stack(cells, axis=1)}, np.arange(60) % 3, np.arange(60), 3, models=7)
    rows = cells["cells"].sum(axis=3)  # (B, 7, 3)
    np.testing.assert_allclose(rows[:, 1:], rows[:, :-1], rtol=1e-9)
    assert rows[:, 0].sum(axis=1).mean() == pytest.approx(1, rel=0.1)  # a third of a patient of each class
    right = np.diagonal(cells["cells"], axis1=2, axis2=3)
    np.testing.assert_allclose(right.sum(axis=(0, 1, 2)) / rows.sum(axis=(0, 1, 2)), 0.5, atol=0.02)
    assert abs(np.corrcoef((right / rows)[:, :, 0].T)[0, 1:]).max() < 0.1  # each by itself


def test_limits_hold_the_estimate():
    assert percentile_interval(np.linspace(0.2, 0.4, 101), 1.0) == pytest.approx((0.205, 1.0))
    assert mirrored_interval(np.linspace(0.2, 0.4, 101), 0.25) == pytest.approx((0.105, 0.295))


def test_one_patient_of_a_class_cannot_be_resampled():
    labels = np.array([0, 0, 1, 1])
    assert resamplable(labels, np.array([0, 1, 2, 3]))
    assert not resamplable(labels, np.array([0, 1, 2, 2]))


@pytest.mark.parametrize("decimals", [1, 9], ids=["ties", "no ties"])
def test_average_precision_agrees_with_scikit_learn(decimals):
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.3
    scores = np.round(rng.normal(size=200) + truth, decimals)
    weights = rng.exponential(size=(4, 200))
    expected = [average_precision_score(truth, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(average_precision(scores, truth, weights), expected)
    assert average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores))
