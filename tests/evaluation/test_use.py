import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, log_softmax

from bench.coverage import coverage
from bench.coverage_use import rows
from covidnet.evaluation.intervals import cases_for, wilson
from covidnet.evaluation.net_benefit import THRESHOLDS, decision_curve, helps
from covidnet.evaluation.recalibration import calibration_curve, recalibration
from covidnet.evaluation.sample_size import images_needed
from covidnet.evaluation.use import use_scores


def drawn(images=400, spread=2.0, excess=1.0, seed=0):
    """Return log-odds (N,), ``excess`` times too large, and whether each image is of the class (N,)."""
    rng = np.random.default_rng(seed)
    truth = rng.random(images) < 0.3
    scores = rng.normal(size=images) + spread * truth
    return excess * (spread * scores - spread**2 / 2 + np.log(0.3 / 0.7)), truth


@pytest.mark.parametrize("decimals", [1, 9], ids=["ties", "no ties"])
def test_net_benefit_is_that_of_vickers_and_elkin(decimals):
    log_odds, truth = drawn()
    stated = np.round(expit(log_odds), decimals)
    curve = decision_curve(stated, truth)
    for threshold, model, everyone in zip(curve["threshold"], curve["model"], curve["all"], strict=True):
        counted = {"all": [0, 0], "model": [0, 0]}  # true and false positives, image by image
        for one, sick in zip(stated, truth, strict=True):
            counted["all"][not sick] += 1
            counted["model"][not sick] += bool(one >= threshold)
        for name, value in (("all", everyone), ("model", model)):
            right, wrong = counted[name]
            assert value == pytest.approx(right / 400 - wrong / 400 * threshold / (1 - threshold), abs=1e-6)
    low, model, high = (np.array(curve[name]) for name in ("low", "model", "high"))
    assert np.all((low <= model) & (model <= high))


def test_a_model_that_knows_nothing_helps_nowhere_and_one_that_knows_all_at_every_threshold():
    truth = np.arange(300) < 100
    assert helps(decision_curve(np.full(300, 1 / 3), truth)) == []
    assert helps(decision_curve(truth.astype(float), truth)) == [(pytest.approx(0.05, abs=0.04), THRESHOLDS[-1])]


@pytest.mark.parametrize(("spread", "excess"), [(1.0, 1.0), (2.0, 3.0), (3.0, 0.4)])
def test_slope_and_intercept_are_those_of_statsmodels(spread, excess):
    log_odds, truth = drawn(spread=spread, excess=excess)
    found = recalibration(log_odds, truth)
    fitted = sm.Logit(truth.astype(float), sm.add_constant(log_odds)).fit(disp=0, maxiter=100, tol=1e-12)
    offset = sm.GLM(truth.astype(float), np.ones(400), family=sm.families.Binomial(), offset=log_odds).fit(tol=1e-12)
    assert found["calibration_slope"] == pytest.approx(fitted.params[1], abs=1e-6)
    assert found["calibration_intercept"] == pytest.approx(offset.params[0], abs=1e-6)
    low, high = found["intervals"]["calibration_slope"]
    assert (low, high) == pytest.approx(tuple(fitted.conf_int()[1]), rel=0.2)


def test_classes_that_a_threshold_tells_apart_have_no_slope():
    truth = np.arange(60) < 20
    found = recalibration(np.where(truth, 0.5, -0.5), truth)
    assert found["calibration_slope"] is None
    assert set(found["intervals"]) == {"calibration_intercept"}


def test_images_of_one_patient_that_agree_widen_each_interval():
    log_odds, truth = (np.repeat(values, 3) for values in drawn(100))
    patients = np.repeat(np.arange(100), 3)
    alone, grouped = (recalibration(log_odds, truth, groups)["intervals"] for groups in (None, patients))
    for name in alone:
        assert np.diff(grouped[name]) > 1.5 * np.diff(alone[name])
    curves = [decision_curve(expit(log_odds), truth, groups) for groups in (None, patients)]
    assert curves[1]["high"][25] - curves[1]["low"][25] > 1.5 * (curves[0]["high"][25] - curves[0]["low"][25])


ROWS = {(metric, truth): draw for metric, images, truth, draw in rows(1, 0.0) if images == "120 + 240"}


@pytest.mark.parametrize(
    ("metric", "splits"),
    [("net benefit at 0.2", 1000), ("net benefit at 0.8", 1000), ("slope", 100), ("intercept", 100),
     ("calibration at 0.08", 150), ("calibration at 0.48", 150)],
)  # fmt: skip
def test_limits_hold_the_truth_about_as_often_as_they_say(metric, splits):
    (truth, draw) = next((truth, draw) for (name, truth), draw in ROWS.items() if name == metric)
    held, _ = coverage(truth, draw, splits)
    chance = 3 * np.sqrt(0.95 * 0.05 / splits)
    assert 0.93 - chance < held < 0.97 + chance


def test_probabilities_that_hold_lie_on_the_diagonal():
    log_odds, truth = drawn(20_000, spread=1.0)
    curve = calibration_curve(expit(log_odds), truth)
    known = [(p, share) for p, share in zip(curve["probability"], curve["share"], strict=True) if p is not None]
    assert len(known) > 15
    assert all(abs(p - share) < 0.1 for p, share in known)


def test_a_curve_has_no_point_where_there_are_few_images():
    truth = np.arange(29) < 15
    curve = calibration_curve(np.where(np.arange(29) < 20, 0.1, 0.9), truth)
    assert curve["share"][2] == pytest.approx(0.75, abs=0.01)
    assert curve["share"][-2] is None


@pytest.mark.parametrize("rate", [0.5, 0.92, 1.0])
def test_so_many_images_as_are_needed_make_the_interval_ten_points_wide(rate):
    low, high = wilson(rate, cases_for(rate, 0.05))
    assert high - low == pytest.approx(0.1)


def test_patients_of_several_images_need_more_images():
    called = np.repeat(np.arange(50) < 46, 2)
    alone, limits = images_needed(called)
    assert (alone, limits[0] < alone < limits[1]) == (118, True)
    assert images_needed(called, np.repeat(np.arange(50), 2))[0] == pytest.approx(2 * alone, rel=0.05)
    assert images_needed(called[:0]) == (None, None)


def test_a_class_without_an_image_is_left_out():
    logits = log_softmax(np.random.default_rng(0).normal(size=(50, 3)), axis=1)
    found = use_scores(logits, np.arange(50) % 2, ["a", "b", "absent"])
    assert list(found) == ["a", "b"]
    assert {name: sum(counts) for name, counts in found["a"]["score_counts"].items()} == {"a": 25, "b": 25, "absent": 0}
