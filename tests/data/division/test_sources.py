"""Facts about sources: which are merged, and what their images weigh."""

import numpy as np
import pytest

from covidnet.data.division.sources import OTHERS, UNKNOWN, balanced_weights, merge_small, sources_of


def total(weights, sources, labels, source=None, label=None):
    chosen = [(source in (None, s)) and (label in (None, c)) for s, c in zip(sources, labels, strict=True)]
    return weights[chosen].sum()


def test_an_image_that_no_row_gives_a_source_is_unknown():
    rows = {"a.png": {"source": "here"}, "b.png": {"source": ""}, "c.png": {"patient": "1"}}
    assert sources_of(["a.png", "b.png", "c.png", "d.png"], rows) == ["here", UNKNOWN, UNKNOWN, UNKNOWN]


def test_small_sources_of_a_class_are_merged_and_the_same_source_may_be_large_in_another():
    sources = ["a"] * 40 + ["b"] * 5 + ["c"] * 29 + ["b"] * 30
    labels = [0] * 74 + [1] * 30
    assert merge_small(sources, labels) == ["a"] * 40 + [OTHERS] * 34 + ["b"] * 30


def test_classes_weigh_alike_and_so_do_the_sources_of_a_class():
    sources = ["a"] * 100 + ["b"] * 50 + ["a"] * 60
    labels = [0] * 150 + [1] * 60
    weights = balanced_weights(sources, labels)
    assert weights.mean() == pytest.approx(1)
    assert total(weights, sources, labels, label=0) == pytest.approx(total(weights, sources, labels, label=1))
    assert total(weights, sources, labels, "a", 0) == pytest.approx(total(weights, sources, labels, "b", 0))
    assert len(np.unique(weights.round(9))) == 3


def test_one_source_a_class_gives_the_balanced_class_weights():
    labels = [0] * 179 + [1] * 1301 + [2] * 1305
    weights = balanced_weights(["s"] * len(labels), labels)
    assert [weights[0], weights[200], weights[-1]] == pytest.approx([5.18621974, 0.71355368, 0.71136654])


def test_no_image_weighs_more_than_ten_times_another():
    sources = ["large"] * 2000 + ["small"] * 30
    weights = balanced_weights(sources, [0] * 2030)
    assert weights.max() / weights.min() == pytest.approx(10)
    assert weights.mean() == pytest.approx(1)
