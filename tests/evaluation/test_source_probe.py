"""Facts about the probe of the source: a source in the features is found within a class, and chance is chance."""

import numpy as np
import pytest

from covidnet.evaluation.source_probe import tell_source


@pytest.fixture(autouse=True)
def _few_permutations(monkeypatch):
    monkeypatch.setattr("covidnet.evaluation.source_probe.PERMUTATIONS", 9)


def features_of(signal, number=240, width=12, seed=0):
    """Return features of two classes, in one of which a source of its own shows by ``signal``."""
    rng = np.random.default_rng(seed)
    labels, sources = np.arange(number) % 2, np.arange(number) // 2 % 2
    features = rng.normal(size=(number, width)) + 5 * labels[:, None]  # the class shows in any case
    features[:, 0] += signal * sources * (labels == 1)
    return features, labels, [("north", "south")[source] for source in sources], ["A", "B"], np.arange(number)


def test_a_source_is_told_where_the_features_hold_it_and_not_elsewhere():
    found = tell_source(*features_of(4))
    assert found["B"]["auroc"] > 0.95
    assert found["B"]["sources"] == {"north": 60, "south": 60}
    assert found["B"]["by_chance"][1] < 0.7
    low, high = found["A"]["by_chance"]
    assert 0.3 < low < high < 0.7
    assert 0.3 < found["A"]["auroc"] < 0.7


def test_images_of_a_patient_are_never_told_by_one_another():
    features, labels, sources, classes, _ = features_of(0, width=80)
    twice = [np.concatenate([part, part]) for part in (features, labels, sources)]
    alone, known = (
        tell_source(twice[0], twice[1], twice[2].tolist(), classes, groups)
        for groups in (np.arange(480), np.arange(480) % 240)
    )
    assert alone["A"]["auroc"] > 0.75  # each image stands on both sides of a fold
    assert known["A"]["auroc"] < 0.62


def test_small_sources_unknown_ones_and_classes_of_one_source_take_no_part():
    features, labels, sources, classes, patients = features_of(4)
    odd = ["" if n < 20 else "tiny" if n < 40 else "north" if labels[n] else source for n, source in enumerate(sources)]
    found = tell_source(features, labels, odd, classes, patients)
    assert list(found) == ["A"]
    assert set(found["A"]["sources"]) == {"north", "south"}
