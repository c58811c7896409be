"""Facts about the probes: what each sees, that chance scores as chance, that groups stay whole, and Cramér's V."""

import numpy as np
import pytest
from scipy.stats.contingency import association
from sklearn.metrics import roc_auc_score

from covidnet.evaluation.probes import cramers_v, probe, views, weighted_auroc
from covidnet.lung_box import lung_box


def labelled(number=300, classes=3, features=8, signal=0.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % classes
    return rng.normal(size=(number, features)) + signal * np.eye(classes, features)[labels], labels, np.arange(number)


def test_a_view_sees_what_it_says_and_nothing_else():
    thumbnails = np.random.default_rng(0).integers(1, 256, (2, 48, 48)).astype(np.uint8)
    top, bottom, left, right = lung_box(48, 48)
    thumbnails[1] = thumbnails[0]
    thumbnails[1, top:bottom, left:right] = 0  # two images that differ in their lungs alone
    histograms = np.full((2, 256), 1 / 256)
    seen = views(thumbnails, histograms)
    assert seen["whole"].shape == (2, 24 * 24)
    assert seen["lungs_covered"].shape == (2, 24 * 24 - 18 * 20)
    assert seen["border"].shape == (2, 24 * 24 - 22 * 22)
    assert seen["histogram"].tolist() == [[1 / 32] * 32] * 2
    for name in ("lungs_covered", "border", "histogram"):
        assert (seen[name][0] == seen[name][1]).all()
    assert (seen["whole"][0] != seen["whole"][1]).any()


def test_chance_scores_as_chance_and_a_signal_as_one():
    chance, told = probe(*labelled()), probe(*labelled(signal=4))
    low, high = chance["interval"]
    assert 0.4 < low < 0.5 < high < 0.6
    assert told["auroc"] > 0.95
    assert told["interval"][0] <= told["auroc"] <= told["interval"][1] <= 1


def test_the_same_images_give_the_same_numbers():
    assert probe(*labelled()) == probe(*labelled())


def test_copies_in_one_group_teach_nothing_about_one_another():
    features, labels, groups = labelled(number=60, features=200)
    copies = [np.repeat(part, 5, axis=0) for part in (features, labels)]
    apart, together = probe(*copies, np.arange(300)), probe(*copies, np.repeat(groups, 5))
    assert apart["auroc"] > 0.95  # learnt by heart
    assert together["auroc"] < 0.7
    wide, narrow = (high - low for low, high in (together["interval"], probe(*labelled(300))["interval"]))
    assert wide > 1.5 * narrow  # 60 independent images, not 300


def test_a_class_of_a_single_group_cannot_be_probed():
    features, labels, groups = labelled()
    assert probe(features, labels, np.where(labels == 0, 0, groups)) is None
    assert probe(features[labels == 0], labels[labels == 0], groups[labels == 0]) is None


@pytest.mark.parametrize("decimals", [1, 6], ids=["ties", "no ties"])
def test_the_auroc_is_that_of_scikit_learn_and_a_weight_is_a_repetition(decimals):
    rng = np.random.default_rng(0)
    scores, positive = rng.normal(size=200).round(decimals), rng.random(200) < 0.3
    weights = rng.integers(0, 4, (3, 200)).astype(float)
    expected = [roc_auc_score(np.repeat(positive, row), np.repeat(scores, row)) for row in weights.astype(int)]
    np.testing.assert_allclose(weighted_auroc(scores, positive, weights), expected)
    np.testing.assert_allclose(weighted_auroc(scores, positive), roc_auc_score(positive, scores))


def test_cramers_v_is_one_where_the_source_is_the_class_and_nought_where_it_says_nothing():
    assert cramers_v(np.diag([100, 200, 300])) == pytest.approx(1)
    assert cramers_v(np.array([[50, 100], [100, 200]])) == 0
    assert cramers_v(np.array([[100], [200]])) == 0  # one source
    assert cramers_v(np.array([[100, 0, 5], [200, 0, 9]])) == cramers_v(np.array([[100, 5], [200, 9]]))


def test_cramers_v_is_the_plain_one_less_its_bias():
    large = np.array([[900, 100, 40], [300, 700, 60]])
    assert cramers_v(large) == pytest.approx(association(large), abs=0.002)
    rng = np.random.default_rng(0)
    chance = [1 + rng.multinomial(40, np.full(20, 1 / 20)).reshape(2, 10) for _ in range(200)]
    assert np.mean([cramers_v(table) for table in chance]) < 0.1 < np.mean([association(table) for table in chance])
