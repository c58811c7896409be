"""Facts about class by attribute: its limits, its verdict and its words."""

import re

import numpy as np
import pytest

from covidnet.evaluation.confounding import class_by, judge

CLASSES = ["A", "B"]
LABELS = np.repeat([0, 1], 100)


def named(share):
    """Return names by which ``share`` of the second class, and none of the first, is called y."""
    return ["x"] * 100 + ["y" if number < 100 * share else "x" for number in range(100)]


@pytest.mark.parametrize(
    ("names", "verdict", "says"),
    [
        (["x", "y"] * 100, "PASS", r"class and view is 0\.00 \[0\.00, 0\.\d+\]: the view does not tell the class\."),
        (named(0.1), "WARN", "knows something of the class"),
        (named(1), "FAIL", "knows much of the class. No view of A, B gave images of another class."),
        (named(0.6), "FAIL", "knows much of the class"),
        (["", *["x", "y"] * 99, ""], "PASS", "2 images have no view"),
    ],
)
def test_the_verdict_follows_from_cramers_v(names, verdict, says):

    found = class_by(names, LABELS, CLASSES)
    level, sentence = judge("view", found)
    assert level == verdict
    assert re.search(says, sentence)
    assert found["interval"][0] <= found["cramers_v"] <= found["interval"][1]


def test_an_unknown_source_is_a_warning_and_an_unknown_age_is_none():
    found = class_by(["", *["x", "y"] * 99, ""], LABELS, CLASSES)
    assert [judge(attribute, found)[0] for attribute in ("source", "age")] == ["WARN", "PASS"]
    nothing = class_by([""] * 200, LABELS, CLASSES)
    assert (nothing["cramers_v"], nothing["interval"], judge("source", nothing)[0]) == (None, None, "WARN")


def test_images_of_one_patient_count_once_in_the_limits():
    alone, together = (class_by(named(0.3), LABELS, CLASSES, groups) for groups in (None, np.arange(200) // 4))
    assert alone["cramers_v"] == together["cramers_v"]
    assert np.diff(together["interval"]) > 1.5 * np.diff(alone["interval"])


def test_the_limits_hold_the_strength_that_was_drawn():
    rng, held = np.random.default_rng(0), 0
    for _ in range(60):
        labels = rng.integers(0, 2, 200)
        names = np.where(rng.random(200) < 0.65, labels, 1 - labels)  # V is 0.3
        low, high = class_by(["xy"[name] for name in names], labels, CLASSES)["interval"]
        held += low <= 0.3 <= high
    assert held >= 53
