import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from covidnet.evaluation.comparison import (
    METRICS,
    balanced_over,
    compare_outputs,
    compare_recalls,
    compare_sides,
    difference_interval,
    mcnemar,
    score_drops,
    seed_interval,
)
from covidnet.evaluation.intervals import wilson


def probabilities(right, labels):
    """Return probabilities (N, 3) of a model that is right where ``right`` (N,) says so."""
    said = np.where(right, labels, (labels + 1) % 3)
    return softmax(2.0 * np.eye(3)[said], axis=1)


def rights(both, first_only, second_only, neither):
    first = np.repeat([True, True, False, False], [both, first_only, second_only, neither])
    second = np.repeat([True, False, True, False], [both, first_only, second_only, neither])
    return first, second


@pytest.mark.parametrize(
    ("table", "p_value"),
    [
        ((794, 150, 86, 570), 3.7e-5),  # Agresti, Categorical Data Analysis, 10.1: approval ratings
        ((101, 121, 59, 33), 4.4e-6),
        ((100, 2, 6, 12), 0.289),
    ],
)
def test_mcnemar_agrees_with_statsmodels_on_published_tables(table, p_value):
    first, second = rights(*table)
    test = mcnemar(first, second)
    expected = statsmodels_mcnemar(np.reshape([table[0], table[1], table[2], table[3]], (2, 2)), exact=True)
    assert test["p_value"] == pytest.approx(expected.pvalue)
    assert test["p_value"] == pytest.approx(p_value, rel=0.05)
    assert (test["first_better"], test["second_better"]) == table[1:3]


def test_models_that_never_differ_are_not_told_apart():
    assert mcnemar(np.ones(5), np.ones(5))["p_value"] == 1.0
    labels = np.arange(120) % 3
    result = compare_outputs(probabilities(labels >= 0, labels), probabilities(labels >= 0, labels), labels)
    low, high = result["metrics"]["accuracy"]["interval"]
    assert low < 0 < high  # two perfect models are not known to be equally good
    assert not result["real"]
    assert "do not show" in result["sentence"]


def test_a_clear_difference_is_called_real():
    labels = np.arange(120) % 3
    first, second = (probabilities(right, labels) for right in rights(80, 5, 30, 5))
    result = compare_outputs(first, second, labels)
    accuracy = result["metrics"]["accuracy"]
    assert accuracy["difference"] == pytest.approx(25 / 120)
    assert accuracy["interval"] == pytest.approx([0.11, 0.30], abs=0.02)
    assert result["real"]
    assert result["sentence"].startswith("The second model is right on 91.7 % of the 120 images, the first on 70.8 %")
    assert result["sentence"].endswith("the difference is real.")
    assert list(result["metrics"]) == list(METRICS)
    json.dumps(result, allow_nan=False)


def test_the_same_images_three_times_over_prove_nothing_more():
    labels = np.repeat(np.arange(60) % 3, 3)
    first, second = (probabilities(np.repeat(right, 3), labels) for right in rights(50, 2, 7, 1))
    alone, together = (compare_outputs(first, second, labels, groups) for groups in (None, np.repeat(np.arange(60), 3)))
    assert alone["real"]
    assert not together["real"]
    assert together["mcnemar"]["p_value"] == pytest.approx(0.18, abs=0.01)


def test_one_patient_gives_no_interval():
    labels = np.arange(30) % 3
    first, second = (probabilities(right, labels) for right in rights(10, 0, 20, 0))
    result = compare_outputs(first, second, labels, np.zeros(30, dtype=int))
    assert result["metrics"]["mcc"]["interval"] is None
    assert not result["real"]


def test_the_difference_of_two_splits_has_newcombes_limits():
    own = difference_interval(56 / 70, wilson(56 / 70, 70), 48 / 80, wilson(48 / 80, 80))
    low, high = confint_proportions_2indep(48, 80, 56, 70, method="newcomb", compare="diff")
    assert own == pytest.approx((low, high), abs=1e-9)
    assert own == pytest.approx((-0.3339, -0.0524), abs=5e-5)  # Newcombe (1998), table II, 56/70 - 48/80, method 10


def scores_of(rates: dict[str, float], support: int = 50) -> dict:
    """Return scores with these sensitivities, each with limits 0.1 around it; no support where it is None."""
    per_class = {
        name: {
            "sensitivity": rate,
            "support": 0 if rate is None else support,
            "intervals": {} if rate is None else {"sensitivity": [rate - 0.1, rate + 0.1]},
        }
        for name, rate in rates.items()
    }
    known = [rate for rate in rates.values() if rate is not None]
    mean = sum(known) / len(known)
    return {
        "balanced_accuracy": mean,
        "accuracy": mean,
        "mcc": None,
        "per_class": per_class,
        "intervals": {"balanced_accuracy": [mean - 0.03, mean + 0.04], "accuracy": [mean - 0.03, mean + 0.04]},
    }


def test_a_drop_is_inside_minus_outside_with_distances_added_by_squares():
    drops = score_drops(scores_of({"A": 0.9, "B": 0.8}), scores_of({"A": 0.5, "B": 0.6}))
    assert set(drops) == {"balanced_accuracy", "accuracy", "sensitivity_A", "sensitivity_B"}
    assert drops["accuracy"]["value"] == pytest.approx(0.3)
    assert drops["accuracy"]["interval"] == pytest.approx([0.3 - 0.05, 0.3 + 0.05])
    assert drops["sensitivity_A"]["interval"] == pytest.approx([0.4 - 0.02**0.5, 0.4 + 0.02**0.5])


def test_a_drop_is_over_the_classes_that_lie_outside():
    inside, outside = scores_of({"A": 0.9, "B": 0.8, "C": 0.1}), scores_of({"A": 0.5, "B": 0.6, "C": None})
    drops = score_drops(inside, outside)
    assert set(drops) == {"balanced_accuracy", "sensitivity_A", "sensitivity_B"}
    assert drops["balanced_accuracy"]["value"] == pytest.approx(0.85 - 0.55)
    assert balanced_over(inside, ["A", "B"])["intervals"]["balanced_accuracy"] == pytest.approx(
        [0.85 - 0.02**0.5 / 2, 0.85 + 0.02**0.5 / 2]
    )


def drawn_sides(labels, rates, seed=0):
    """Return for each side the probabilities (runs, N, 3) of runs that are right at its rate, image by image."""
    rng = np.random.default_rng(seed)
    return [np.stack([probabilities(rng.random(len(labels)) < p, labels) for p in side]) for side in rates]


def test_a_side_is_the_mean_of_its_runs():
    labels = np.arange(90) % 3
    first, second = drawn_sides(labels, [(0.6, 0.7, 0.8), (0.9, 0.8)])
    metrics = compare_sides(first, second, labels)
    for name, score in {"balanced_accuracy": balanced_accuracy_score, "mcc": matthews_corrcoef}.items():
        one, two = ([score(labels, run.argmax(axis=1)) for run in side] for side in (first, second))
        assert metrics[name]["first_runs"] == pytest.approx(one)
        assert metrics[name]["second_runs"] == pytest.approx(two)
        assert metrics[name]["difference"] == pytest.approx(np.mean(two) - np.mean(one))


def test_the_interval_of_sides_is_that_of_one_difference_a_patient():
    labels, groups = np.arange(1200) % 3, np.arange(1200) // 3
    first, second = drawn_sides(labels, [(0.6, 0.7), (0.8, 0.75, 0.9)])
    right = [(side.argmax(axis=2) == labels).mean(axis=0) for side in (first, second)]  # share of the runs
    by_patient = np.bincount(groups, right[1] - right[0]) / 3
    error = by_patient.std() / np.sqrt(len(by_patient))
    low, high = compare_sides(first, second, labels, groups)["accuracy"]["interval"]
    assert (high + low) / 2 == pytest.approx(by_patient.mean(), abs=0.1 * error)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.07)


def test_more_seeds_that_say_the_same_show_no_more_patients():
    labels = np.arange(120) % 3
    first, second = drawn_sides(labels, [(0.9,), (1.0,)])
    once, thrice = (compare_sides(first.repeat(n, axis=0), second.repeat(n, axis=0), labels) for n in (1, 3))
    for name in METRICS:
        assert thrice[name]["interval"] == pytest.approx(once[name]["interval"], abs=1e-9)


def test_other_seeds_have_the_limits_of_welch():
    first, second = np.array([0.591, 0.606, 0.627]), np.array([0.660, 0.705, 0.735, 0.71])
    expected = CompareMeans(DescrStatsW(second), DescrStatsW(first)).tconfint_diff(usevar="unequal")
    assert seed_interval(first, second) == pytest.approx(expected)
    labels = np.arange(90) % 3
    metric = compare_sides(*drawn_sides(labels, [(0.6, 0.7, 0.8), (0.9, 0.8)]), labels)["accuracy"]
    sides = np.array(metric["first_runs"]), np.array(metric["second_runs"])
    assert metric["seed_interval"] == pytest.approx(seed_interval(*sides))


@pytest.mark.parametrize(("first", "second"), [([0.5], [0.6, 0.7]), ([0.5, 0.5], [0.6, 0.6])])
def test_one_run_or_runs_all_alike_say_nothing_of_other_seeds(first, second):
    assert seed_interval(np.array(first), np.array(second)) is None


def test_recalls_are_of_one_source_and_class():
    labels = np.repeat([0, 1, 0], [40, 40, 20])
    sources = np.repeat(["west", "west", "east"], [40, 40, 20])
    first, second = drawn_sides(labels, [(0.5, 0.6), (0.9, 0.8)])
    found = compare_recalls(first, second, labels, list(sources))
    cells = [(cell["source"], cell["label"], cell["images"]) for cell in found]
    assert cells == [("east", 0, 20), ("west", 0, 40), ("west", 1, 40)]
    in_west = slice(0, 40)
    assert found[1]["first"] == pytest.approx((first[:, in_west].argmax(axis=2) == 0).mean())
    assert found[1]["interval"][0] < found[1]["difference"] < found[1]["interval"][1]
