import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from bench.coverage import area, coverage, proportion
from covidnet.evaluation.intervals import auroc, auroc_interval, proportion_interval, wilson


@pytest.mark.parametrize(("hits", "images"), [(0, 1), (1, 1), (40, 40), (102, 120), (3, 700)])
def test_independent_images_have_wilsons_limits(hits, images):
    right = np.arange(images) < hits
    assert proportion_interval(right) == pytest.approx(proportion_confint(hits, images, method="wilson"), abs=1e-12)
    assert wilson(hits / images, images) == proportion_interval(right)


def test_the_tutorials_925_percent_reaches_from_86_to_96():
    assert proportion_interval(np.arange(120) < 111) == pytest.approx((0.864, 0.960), abs=5e-4)


def test_forty_of_forty_may_still_be_91_percent():
    low, high = proportion_interval(np.ones(40, dtype=bool))
    assert low == pytest.approx(0.912, abs=5e-4)
    assert high == 1.0


def test_images_of_one_patient_that_agree_count_nearly_once():
    right = np.repeat(np.arange(40) < 34, 3)
    low, high = proportion_interval(right, np.repeat(np.arange(40), 3))
    assert (low, high) == pytest.approx(wilson(34 / 40, 40), abs=0.005)


def test_patients_with_one_image_each_change_nothing():
    right = np.random.default_rng(0).random(120) < 0.9
    assert proportion_interval(right, np.arange(120)[::-1] * 7) == proportion_interval(right)


def test_one_patient_counts_as_one_image():
    assert proportion_interval(np.ones(30, dtype=bool), np.zeros(30, dtype=int)) == pytest.approx(wilson(1.0, 1))


def test_no_image_gives_no_interval():
    assert proportion_interval(np.zeros(0, dtype=bool)) is None


@pytest.mark.parametrize("decimals", [1, 9], ids=["ties", "no ties"])
def test_auroc_agrees_with_scikit_learn(decimals):
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.3
    scores = np.round(rng.normal(size=300) + truth, decimals)
    assert auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


def test_auroc_limits_are_near_delongs_where_many_images_are_misranked():
    rng = np.random.default_rng(1)
    truth = np.arange(900) < 300
    scores = rng.normal(size=900) + 0.9 * truth
    above = (scores[truth][:, None] > scores[~truth]).astype(float)  # DeLong's variance as he wrote it, all pairs
    error = np.sqrt(above.mean(axis=1).var(ddof=1) / 300 + above.mean(axis=0).var(ddof=1) / 600)
    low, high = auroc_interval(scores, truth)
    assert (low, high) == pytest.approx((above.mean() - 1.96 * error, above.mean() + 1.96 * error), abs=0.003)


def test_copies_of_images_do_not_narrow_the_auroc():
    rng = np.random.default_rng(2)
    truth = np.arange(120) < 40
    scores = rng.normal(size=120) + 1.5 * truth
    once = auroc_interval(scores, truth)
    thrice = auroc_interval(np.repeat(scores, 3), np.repeat(truth, 3), np.repeat(np.arange(120), 3))
    assert thrice == pytest.approx(once, abs=0.01)
    assert np.ptp(auroc_interval(np.repeat(scores, 3), np.repeat(truth, 3))) < 0.7 * np.ptp(once)


def test_a_perfect_auroc_is_not_certain():
    low, high = auroc_interval(np.arange(120.0), np.arange(120) >= 80)
    assert low == pytest.approx(0.912, abs=5e-4)  # as 40 of 40
    assert high == 1.0


def test_auroc_needs_both_sides():
    for truth in (np.ones(5, dtype=bool), np.zeros(5, dtype=bool)):
        assert auroc(np.arange(5.0), truth) is None
        assert auroc_interval(np.arange(5.0), truth) is None


def test_the_auroc_of_one_patient_has_a_wide_interval():
    low, high = auroc_interval(np.arange(30.0), np.arange(30) >= 15, np.zeros(30, dtype=int))
    assert low < 0.3
    assert high == 1.0


@pytest.mark.parametrize("images_a_patient", [1, 3])
@pytest.mark.parametrize("images", [40, 120])
@pytest.mark.parametrize("rate", [0.8, 0.95])
def test_intervals_of_proportions_hold_the_truth(rate, images, images_a_patient):
    held, _ = coverage(rate, proportion(rate, images, images_a_patient), splits=1500)
    assert 0.92 <= held <= 0.98


@pytest.mark.parametrize("spread", [1.0, 2.0])
@pytest.mark.parametrize("truth", [0.8, 0.97])
def test_intervals_of_the_auroc_hold_the_truth(truth, spread):
    held, _ = coverage(truth, area(truth, 40, 80, 1, spread), splits=500)
    assert 0.92 <= held <= 0.99
