import numpy as np
import pytest

from covidnet.evaluation.survival import compare_survival, surviving_skill

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


def test_the_survival_of_two_recipes_is_compared_by_the_mean_of_their_runs():
    whole = np.stack([model(40), model(36)])
    first, second = (whole, np.stack([model(40), model(36)])), (whole, np.stack([model(20), model(16)]))
    found = compare_survival(first, second, LABELS)
    shares = [(1 / 2 - 1 / 3) / (2 / 3), (0.4 - 1 / 3) / (0.9 - 1 / 3)]
    assert found["first_runs"] == pytest.approx([1.0, 1.0])
    assert found["second_runs"] == pytest.approx(shares)
    assert found["difference"] == pytest.approx(np.mean(shares) - 1)
    low, high = found["interval"]
    assert low < found["difference"] < high < 0


def test_one_run_against_itself_survives_alike():
    runs = (model(38)[None], model(30)[None])
    low, high = compare_survival(runs, runs, LABELS)["interval"]
    assert low < 0 < high


def test_a_run_without_skill_has_no_survival_to_compare():
    assert compare_survival((model(10)[None], model(40)[None]), (model(40)[None], model(40)[None]), LABELS) is None
