import numpy as np
import pytest
from helpers import slow
from sklearn.metrics import roc_auc_score

from bench.coverage import area, coverage, precision_of
from covidnet.evaluation.areas import auroc, auroc_interval
from covidnet.evaluation.precision_recall import average_precision_interval


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
    assert low == pytest.approx(0.976, abs=1e-3)
    assert high == 1.0


def test_auroc_needs_both_sides():
    for truth in (np.ones(5, dtype=bool), np.zeros(5, dtype=bool)):
        assert auroc(np.arange(5.0), truth) is None
        assert auroc_interval(np.arange(5.0), truth) is None


def test_the_auroc_of_one_patient_has_a_wide_interval():
    low, high = auroc_interval(np.arange(30.0), np.arange(30) >= 15, np.zeros(30, dtype=int))
    assert low < 0.3
    assert high == 1.0


@pytest.mark.parametrize("spread", [1.0, 2.0])
@pytest.mark.parametrize("images_a_patient", [1, 3])
@pytest.mark.parametrize("truth", [0.6, 0.97, 0.998])
def test_intervals_of_the_auroc_hold_the_truth(truth, images_a_patient, spread):
    held, _ = coverage(truth, area(truth, 40, 80, images_a_patient, spread), splits=600)
    assert 0.91 <= held <= 0.98  # 0.93 to 0.97 over many splits


@slow
@pytest.mark.parametrize("images_a_patient", [1, 3])
@pytest.mark.parametrize("auroc", [0.9, 0.994])
def test_intervals_of_the_average_precision_hold_the_truth(auroc, images_a_patient):
    truth = precision_of(auroc, 40, 80, 1.0)
    held, _ = coverage(truth, area(auroc, 40, 80, images_a_patient, 1.0, average_precision_interval), splits=300)
    assert 0.91 <= held <= 0.995


@pytest.mark.parametrize("patients", [None, np.arange(120) // 3], ids=["images", "patients"])
@pytest.mark.parametrize(
    ("interval", "slack"), [(auroc_interval, 0.0), (average_precision_interval, 0.005)], ids=["AUROC", "AP"]
)
def test_a_pair_that_is_ranked_rightly_lowers_no_limit(interval, slack, patients):
    rng = np.random.default_rng(0)
    truth = np.arange(120) >= 80
    ranks = np.arange(120)  # of each image
    before = interval(ranks, truth, patients)
    assert before[1] == 1.0
    for _ in range(100):  # from a perfect ranking, one neighbouring pair after the other is turned
        order = np.argsort(ranks)
        low = rng.choice(np.flatnonzero(~truth[order][:-1] & truth[order][1:]))
        ranks[order[low]], ranks[order[low + 1]] = low + 1, low
        limits = interval(ranks, truth, patients)
        assert limits[0] <= before[0] + slack
        assert limits[1] <= before[1] + slack
        before = limits


def test_the_lower_limit_of_the_auroc_rises_to_that_of_no_wrong_pair():
    rng = np.random.default_rng(3)
    truth = np.arange(120) < 40
    scores = rng.normal(size=120)
    limits = [auroc_interval(scores + shift * truth, truth) for shift in np.linspace(0, 9, 60)]
    assert limits == sorted(limits)
    assert limits[-1] == (pytest.approx(0.976, abs=1e-3), 1.0)


def test_a_perfect_average_precision_is_not_certain():
    low, high = average_precision_interval(np.arange(120.0), np.arange(120) >= 80)
    assert 0.9 < low < 0.98
    assert high == 1.0


def test_average_precision_needs_both_sides():
    assert average_precision_interval(np.arange(5.0), np.ones(5, dtype=bool)) is None
