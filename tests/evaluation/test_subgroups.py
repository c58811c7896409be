"""Facts about scores by group: what each is, which groups are too small, and that a gap is a gap."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import recall_score, roc_auc_score

from covidnet.evaluation.intervals import wilson
from covidnet.evaluation.subgroups import (
    gap_sentences,
    mean_calibration_interval,
    simultaneous,
    subgroup_scores,
    widened,
)

CLASSES = ["a", "b", "c"]


def outputs(number, hard=0.0, seed=0):
    """Return probabilities and labels; half of the images are in group "hard", whose signal is weaker."""
    rng = np.random.default_rng(seed)
    labels, in_hard = np.arange(number) % 3, np.arange(number) // 3 % 2 == 1
    signal = np.where(in_hard, 3 - hard, 3)[:, None] * np.eye(3)[labels]
    names = np.where(in_hard, "hard", "easy").tolist()
    return softmax(signal + rng.normal(size=(number, 3)), axis=1), labels, names


def test_scores_of_a_group_are_those_of_its_images_alone():
    probabilities, labels, names = outputs(240)
    found = subgroup_scores(probabilities, labels, CLASSES, names)["groups"]
    among = np.array(names) == "hard"
    own = found["hard"]["per_class"]["b"]
    truth, called = labels[among] == 1, probabilities[among].argmax(axis=1) == 1
    assert own["auroc"] == pytest.approx(roc_auc_score(truth, probabilities[among, 1]))
    assert own["sensitivity"] == pytest.approx(recall_score(truth, called))
    assert own["specificity"] == pytest.approx(recall_score(~truth, ~called))
    assert own["mean_calibration"] == pytest.approx(probabilities[among, 1].mean() - truth.mean())
    assert (own["support"], found["hard"]["images"]) == (40, 120)
    assert all(low <= own[metric] <= high for metric, (low, high) in own["intervals"].items())


def test_fewer_than_thirty_images_give_their_number_alone_and_no_gap():
    probabilities, labels, names = outputs(59)
    found = subgroup_scores(probabilities, labels, CLASSES, names)
    assert found["groups"]["hard"] == {"images": 29}
    assert "per_class" in found["groups"]["easy"]
    assert found["gaps"] == {}


def test_images_of_no_known_group_are_of_none():
    probabilities, labels, names = outputs(120)
    found = subgroup_scores(probabilities, labels, CLASSES, ["" if name == "hard" else name for name in names])
    assert list(found["groups"]) == ["easy"]


def test_a_group_that_the_model_fails_shows_and_one_that_it_does_not_fail_does_not():
    told = {hard: subgroup_scores(*outputs(900, hard)[:2], CLASSES, outputs(900, hard)[2]) for hard in (0.0, 2.5)}
    gap = told[2.5]["gaps"]["sensitivity"]
    assert (gap["lowest"], gap["highest"]) == ("hard", "easy")
    assert 0 < gap["interval"][0] < gap["value"] < gap["interval"][1] < 1
    assert all(gap["interval"][0] < 0 for gap in told[0.0]["gaps"].values())
    assert any(told.startswith("sensitivity of") for told in gap_sentences({"view": told[2.5]}))
    assert gap_sentences({"view": told[0.0]}) == []


def test_images_of_one_patient_widen_a_gap():
    probabilities, labels, names = outputs(240, 1.0)
    four = np.repeat(np.arange(60), 4)  # each image four times
    again = [part[four] for part in (probabilities, labels)]
    once = subgroup_scores(probabilities[:60], labels[:60], CLASSES, names[:60])["gaps"]
    repeated = [names[number] for number in four]
    as_many = subgroup_scores(*again, CLASSES, repeated)["gaps"]
    as_one = subgroup_scores(*again, CLASSES, repeated, four)["gaps"]
    for metric in set(once) & set(as_one):
        wide, narrow = (np.diff(gaps[metric]["interval"])[0] for gaps in (as_one, as_many))
        assert wide > narrow


def test_widened_limits_are_wilsons_at_another_quantile():
    for hits, images in ((9, 10), (50, 60), (60, 60), (0, 12)):
        share = hits / images
        low, high = widened(share, wilson(share, images), 2.9)
        squared = 2.9**2 / images
        half = np.sqrt(share * (1 - share) * squared + squared**2 / 4) / (1 + squared)
        centre = (share + squared / 2) / (1 + squared)
        assert (low, high) == pytest.approx((max(0, centre - half), min(1, centre + half)), abs=1e-9)


def test_the_quantile_of_all_pairs_is_tukeys():
    assert simultaneous(2, 1) == pytest.approx(1.960, abs=1e-3)  # two groups, one class: no more than one gap
    assert simultaneous(3, 1) == pytest.approx(3.314 / np.sqrt(2), abs=1e-3)  # as tables of the range have it


def test_a_nearly_faultless_model_is_not_certain_of_its_calibration():
    low, high = mean_calibration_interval(np.full(40, 0.999), np.ones(40, dtype=bool), np.arange(40))
    assert low < -0.04
    assert high > 0.04
    assert mean_calibration_interval(np.full(3, 0.9), np.ones(3, dtype=bool), np.zeros(3, dtype=int)) is None
