import numpy as np
import pytest

from covidnet.evaluation.shortcuts import surviving_skill

LABELS = np.repeat([0, 1, 2], 40)


def model(right, labels=LABELS):
    """Probabilities of a model that gets ``right`` of each 40 images right, the others as the next class."""
    said = np.where(np.arange(len(labels)) % 40 < right, labels, (labels + 1) % 3)
    return np.where(np.eye(3, dtype=bool)[said], 0.8, 0.1)


@pytest.mark.parametrize(
    ("whole", "covered", "share", "verdict"),
    [
        (40, 40, 1.0, "FAIL"),
        (40, 30, (0.75 - 1 / 3) / (2 / 3), "FAIL"),
        (40, 24, (0.6 - 1 / 3) / (2 / 3), "WARN"),
        (40, 16, (0.4 - 1 / 3) / (2 / 3), "PASS"),
        (36, 36, 1.0, "FAIL"),
    ],
)
def test_the_share_is_of_the_balanced_accuracy_above_chance(whole, covered, share, verdict):
    found = surviving_skill(model(whole), model(covered), LABELS)
    assert found["skill_survives"] == pytest.approx(share)
    assert found["verdict"] == verdict
    low, high = found["interval"]
    assert low <= share <= high
    assert (
        f"{100 * found['skill_survives']:.0f} % of the skill above chance survives without lungs" in found["sentence"]
    )


def test_images_of_one_patient_widen_the_interval():
    patients = np.arange(120) // 4
    alone, together = (surviving_skill(model(40), model(24), LABELS, groups)["interval"] for groups in (None, patients))
    assert together[1] - together[0] > 1.3 * (alone[1] - alone[0])


def test_a_model_without_skill_has_none_that_could_survive():
    found = surviving_skill(model(10), model(40), LABELS)
    assert found["skill_survives"] is None
    assert found["verdict"] == "WARN"
