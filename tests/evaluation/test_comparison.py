import json

import numpy as np
import pytest
from scipy.special import softmax
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep

from covidnet.evaluation.comparison import (
    METRICS,
    balanced_over,
    compare_outputs,
    difference_interval,
    mcnemar,
    score_drops,
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
