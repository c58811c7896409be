"""Facts about a wish: the threshold that meets it is the highest or the lowest one, and an image is called by it."""

import numpy as np
import pytest

from covidnet.errors import UserError
from covidnet.evaluation.decision import WISHES, decide, wished_threshold, wrong_by

SCORES = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
TRUTH = np.array([0, 0, 0, 1, 0, 1, 1, 1], dtype=bool)


def reached(scores, truth, wish, threshold):
    return (scores[truth] >= threshold).mean() if wish == "sensitivity" else (scores[~truth] < threshold).mean()


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("levels", [5, 10**6], ids=["ties", "no ties"])
def test_no_better_threshold_meets_the_wish(wish, levels):
    rng = np.random.default_rng(0)
    for wanted in (0.05, 0.5, 0.9, 0.95, 1.0):
        truth = rng.random(200) < 0.4
        scores = (np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0.01, 0.99) * levels).round() / levels
        threshold = wished_threshold(scores, truth, wish, wanted)
        meets = [float(one) for one in [*np.unique(scores), 1.0] if reached(scores, truth, wish, one) >= wanted]
        best = max(meets) if wish == "sensitivity" else min(meets)
        assert reached(scores, truth, wish, threshold) >= wanted
        assert ((scores >= threshold) == (scores >= best)).all()
        if wish == "sensitivity":
            assert threshold == pytest.approx(best, rel=2e-4)
            assert threshold <= best


@pytest.mark.parametrize(("wanted", "score"), [(0.25, 0.9), (0.75, 0.7), (0.76, 0.4), (1.0, 0.4)])
def test_the_shares_of_few_cases_are_met_exactly(wanted, score):
    assert wished_threshold(SCORES, TRUTH, "sensitivity", wanted) == pytest.approx(score, rel=2e-4)


@pytest.mark.parametrize(("wanted", "score"), [(0.25, 0.1), (0.75, 0.3), (0.76, 0.6), (1.0, 0.6)])
def test_a_specificity_is_met_just_above_an_image_of_another_class(wanted, score):
    threshold = wished_threshold(SCORES, TRUTH, "specificity", wanted)
    assert score < threshold == pytest.approx(score, rel=1e-3)


@pytest.mark.parametrize("wish", WISHES)
def test_neighbouring_floats_are_told_apart(wish):
    scores = np.array([0.5, np.nextafter(0.5, 1)])
    threshold = wished_threshold(scores, np.array([False, True]), wish, 1.0)
    assert (scores >= threshold).tolist() == [False, True]


@pytest.mark.parametrize(
    ("scores", "truth", "wish", "wanted", "told"),
    [
        (SCORES, TRUTH, "sensitivity", 95, "wanted sensitivity is 95"),
        (SCORES, ~TRUTH & False, "sensitivity", 0.9, "no validation image is of the class"),
        (SCORES, TRUTH | True, "specificity", 0.9, "no validation image is of another class"),
        (np.ones(8), TRUTH, "specificity", 0.9, "Up to 0.000 can be reached"),
    ],
    ids=["no share", "no case", "no other", "all sure"],
)
def test_a_wish_that_cannot_be_met_is_refused(scores, truth, wish, wanted, told):
    with pytest.raises(UserError, match=told):
        wished_threshold(scores, truth, wish, wanted)


def test_below_the_threshold_the_likeliest_other_class_is_called():
    probabilities = np.array([[0.3, 0.6, 0.1], [0.29, 0.1, 0.61], [0.8, 0.15, 0.05]])
    assert decide(probabilities, 0, 0.3).tolist() == [0, 2, 0]
    assert decide(probabilities, 0, 0.9).tolist() == [1, 2, 1]


def test_how_wrong_a_call_is_is_told_by_the_probability_that_it_lacks():
    probabilities = np.array([[0.3, 0.6, 0.1]])
    found = [wrong_by(np.array([called]), probabilities, 0, 0.35) for called in range(3)]
    assert found == pytest.approx([0.05, 0.0, 0.5])
    assert wrong_by(np.array([1]), probabilities, 0, 0.25) == pytest.approx(0.05)
