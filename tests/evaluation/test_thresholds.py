import numpy as np
import pytest

from covidnet.errors import UserError
from covidnet.evaluation.thresholds import choose_threshold, choose_thresholds, ppv_at_prevalence

SCORES = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
TRUTH = np.array([0, 0, 0, 1, 0, 1, 1, 1], dtype=bool)


def test_no_threshold_has_a_higher_youdens_j():
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.4
    scores = np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1)

    def youden(threshold):
        return (scores[truth] >= threshold).mean() + (scores[~truth] < threshold).mean() - 1

    assert youden(choose_threshold(scores, truth)) == pytest.approx(max(youden(t) for t in scores))


def test_a_threshold_lies_halfway_between_two_scores():
    assert choose_threshold(SCORES, TRUTH) == pytest.approx(0.65)


def test_useless_scores_give_a_threshold_all_the_same():
    assert choose_threshold(np.array([0.2, 0.8]), np.array([True, False])) == pytest.approx(0.9)  # calls nothing
    assert choose_threshold(np.full(4, 0.5), np.array([True, False, True, False])) == pytest.approx(0.75)


def test_a_class_without_cases_has_no_threshold():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]])
    thresholds = choose_thresholds(probabilities, np.array([0, 1]), ["a", "b", "c"])
    assert thresholds == {"a": pytest.approx(0.45), "b": pytest.approx(0.45), "c": None}


def test_ppv_at_prevalence_is_bayes():
    ppv, interval = ppv_at_prevalence(0.9, 0.95, 0.01)
    assert ppv == pytest.approx(0.9 * 0.01 / (0.9 * 0.01 + 0.05 * 0.99))
    assert interval is None


def test_ppv_at_the_prevalence_of_the_split_is_that_of_the_split():
    hits, positives, false, negatives = 36, 40, 4, 80
    assert ppv_at_prevalence(hits / positives, 1 - false / negatives, 40 / 120)[0] == pytest.approx(
        hits / (hits + false)
    )


def test_the_limits_of_the_ppv_hold_it_and_a_perfect_one_is_not_certain():
    ppv, (low, high) = ppv_at_prevalence(0.9, 0.95, 0.1, ((0.77, 0.96), (0.88, 0.98)))
    assert 0.4 < low < ppv < high < 0.9
    ratio = (
        np.sqrt(0.91 * (2 - 0.91)) / 0.05
    )  # lower limit of the likelihood ratio, in closed form where it is infinite
    lowest = ratio * 0.1 / (ratio * 0.1 + 0.9)
    assert ppv_at_prevalence(1.0, 1.0, 0.1, ((0.91, 1.0), (0.95, 1.0))) == (1.0, (pytest.approx(lowest), 1.0))


@pytest.mark.parametrize(("prevalence", "ppv"), [(0.0, 0.0), (1.0, 1.0)])
def test_where_all_or_none_are_ill_the_ppv_is_certain(prevalence, ppv):
    assert ppv_at_prevalence(0.9, 0.8, prevalence, ((0.8, 0.95), (0.7, 0.9))) == (ppv, (ppv, ppv))


def test_a_model_that_never_calls_has_no_ppv():
    assert ppv_at_prevalence(0.0, 1.0, 0.1) == (None, None)
    assert ppv_at_prevalence(None, 0.9, 0.1) == (None, None)


def test_a_prevalence_that_is_no_share_is_refused():
    with pytest.raises(UserError, match=r"2 %"):
        ppv_at_prevalence(0.9, 0.9, 2)
