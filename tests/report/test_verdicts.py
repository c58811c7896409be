import pytest

from covidnet.evaluation.confounding import judge
from covidnet.report import verdicts
from covidnet.report.datacard import Links
from covidnet.report.gallery import HeatShare


def test_forty_images_a_class_leave_the_sensitivity_unsure() -> None:
    verdict = verdicts.size_verdict({"per_class": {"A": {"support": 40}, "B": {"support": 120}}})
    assert verdict.level == "WARN"
    assert "91.2\u00a0%" in verdict.sentence


def test_it_is_told_how_many_images_would_be_enough() -> None:
    few = {"support": 120, "images_needed": 170, "sensitivity": 0.875}
    enough = {"support": 120, "images_needed": 35, "sensitivity": 1.0}
    assert (
        "about 170 of A (found: 87.5\u00a0%)." in verdicts.size_verdict({"per_class": {"A": few, "B": enough}}).sentence
    )
    assert "Each class has images enough" in verdicts.size_verdict({"per_class": {"B": enough}}).sentence


@pytest.mark.parametrize(("low", "level"), [(0.34, "PASS"), (0.30, "FAIL")])
def test_better_than_guessing_needs_the_whole_interval_above_it(low: float, level: str) -> None:
    scores = {"balanced_accuracy": 0.5, "intervals": {"balanced_accuracy": [low, 0.6]}}
    verdict = verdicts.chance_verdict(scores, 3)
    assert verdict is not None
    assert verdict.level == level


@pytest.mark.parametrize(
    ("links", "level"),
    [
        (None, "NOT RUN"),
        (Links("t", 4, 2, 0, 0, 9), "PASS"),
        (Links("t", 4, 2, 0, 1, 9), "WARN"),
        (Links("t", 4, 2, 1, 1, 9), "FAIL"),
    ],
)
def test_linked_images_on_two_sides_fail_and_unknown_patients_do_not_pass(links: Links | None, level: str) -> None:
    assert verdicts.leak_verdict(links, "audit").level == level


@pytest.mark.parametrize(("strength", "level"), [(None, "NOT RUN"), (0.05, "PASS"), (0.2, "WARN"), (0.6, "FAIL")])
def test_the_source_is_judged_in_the_run_itself_as_in_the_audit(strength: float | None, level: str) -> None:
    table = {"A": {"x": 5}, "B": {"x": 1, "y": 2}}
    found = {"cramers_v": strength, "interval": None, "table": table, "unknown": 0}
    verdict = verdicts.source_verdict(found, "audit")
    assert verdict.level == level
    assert strength is None or judge("source", found)[1] == verdict.sentence


@pytest.mark.parametrize(("low", "level"), [(0.1, "WARN"), (-0.1, "PASS")])
def test_a_gap_between_groups_counts_once_its_interval_leaves_zero(low: float, level: str) -> None:
    gap = {"class": "A", "lowest": "AP", "highest": "PA", "value": 0.2, "interval": [low, 0.4]}
    groups = {name: {"images": 40, "per_class": {"A": {"auroc": area}}} for name, area in (("AP", 0.7), ("PA", 0.9))}
    verdict = verdicts.groups_verdict({"view": {"groups": groups, "gaps": {"auroc": gap}}})
    assert verdict is not None
    assert verdict.level == level
    assert verdicts.groups_verdict({"view": {"groups": groups, "gaps": {}}}) is None


@pytest.mark.parametrize(
    ("value", "interval", "level"),
    [(0.3, [0.2, 0.4], "FAIL"), (0.05, [0.01, 0.09], "WARN"), (0.02, [-0.03, 0.07], "PASS"), (0.3, None, "WARN")],
)
def test_a_drop_outside_counts_once_its_interval_leaves_zero(
    value: float, interval: list[float] | None, level: str
) -> None:
    external = {"drop": {"balanced_accuracy": {"value": value, "interval": interval}}}
    assert verdicts.external_verdict(external, "evaluate").level == level


@pytest.mark.parametrize(("low", "level"), [(0.55, "PASS"), (0.45, "WARN")])
def test_heat_must_lie_in_the_lungs_more_than_by_chance(low: float, level: str) -> None:
    verdict = verdicts.heat_verdict(HeatShare(40, 0.6, (low, 0.7), 0.5, masked=True))
    assert verdict is not None
    assert verdict.level == level


def test_without_masks_heat_is_told_of_the_central_box() -> None:
    masks, box = (verdicts.heat_verdict(HeatShare(40, 0.6, (0.5, 0.7), 0.4, masked=masked)) for masked in (True, False))
    assert masks is not None
    assert box is not None
    assert "central box" not in f"{masks}"
    assert box.question == "Does the model look at the central box?"
    assert "60.0\u00a0% of the heat lies inside the central box" in box.sentence


def test_the_worst_verdict_stands_over_all() -> None:
    found = [verdicts.Verdict(level, "?", ".") for level in ("PASS", "WARN", "NOT RUN")]
    assert verdicts.worst(found) == "WARN"
