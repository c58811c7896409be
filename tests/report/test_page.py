import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers import read_json
from made_run import CLASSES, write_run

from covidnet.errors import UserError
from covidnet.evaluation.use import use_scores
from covidnet.report.cells import cell
from covidnet.report.page import write_report

SECTIONS = (
    "verdicts",
    "use",
    "results",
    "classes",
    "groups",
    "confusion",
    "curves",
    "calibration",
    "lungs",
    "outside",
    "against",
    "heat",
    "data",
    "training",
    "record",
    "checklists",
)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return write_run(tmp_path)


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.source = file.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(self.source)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def write_optional(folder: Path) -> None:
    """Write what the audit, the lungs test and the evaluation elsewhere leave."""
    scores = {"balanced_accuracy": 0.9, "accuracy": 0.9, "intervals": {"balanced_accuracy": [0.8, 0.95]}}
    covered = ("whole", "lungs_covered", "lungs_only", "covered_at_test", "swapped_at_test")
    verdict = {"verdict": "FAIL", "sentence": "93 % of the skill survives.", "interval": [0.8, 1.0]}
    (folder / "shortcuts.json").write_text(json.dumps({**dict.fromkeys(covered, scores), **verdict}))
    outside = {"overall": {"balanced_accuracy": 0.4, "accuracy": 0.4}, "intervals": {"accuracy": [0.3, 0.5]}}
    drop = {"balanced_accuracy": {"value": 0.5, "interval": [0.4, 0.6]}}
    external = {**outside, "inside": outside, "per_class": {}, "per_source": {"lundis <u>": outside}, "drop": drop}
    (folder / "external.json").write_text(json.dumps(external))
    check = {"name": "Border", "verdict": "WARN", "sentence": "The border tells the class.", "details": {"auroc": 0.9}}
    (folder / "audit.json").write_text(json.dumps({"checks": [check], "verdict": "WARN"}))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Page]:
    """A run that did nothing but train and test, and its page."""
    folder = write_run(tmp_path_factory.mktemp("plain"))
    return folder, Page(write_report(folder))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a run that has been audited, tested without lungs and evaluated elsewhere."""
    folder = write_run(tmp_path_factory.mktemp("full"))
    write_optional(folder)
    return Page(write_report(folder))


def test_the_page_holds_every_section_once(plain: tuple[Path, Page]) -> None:
    page = plain[1]
    assert [attributes["id"] for attributes in page.all("section")] == list(SECTIONS)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "not a medical device" in page.text


def test_the_page_asks_nothing_of_any_network(full: Page) -> None:
    assert not re.search(r"https?:|@import|<script|url\((?!#)", full.source)
    for _, attributes in full.tags:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))


def test_every_figure_says_in_words_what_it_shows(plain: tuple[Path, Page]) -> None:
    page = plain[1]
    assert len(page.all("svg")) == 5
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in page.all("svg"))
    assert len(page.all("img")) > 0
    assert all(attributes["alt"] for attributes in page.all("img"))


def test_names_are_shown_and_never_run(full: Page) -> None:
    assert CLASSES[0] in full.text
    assert "lundis <u>" in full.text
    assert not full.all("u")


def test_what_has_not_been_run_is_told_with_its_command(plain: tuple[Path, Page]) -> None:
    folder, text = plain[0], plain[1].text
    assert f"covidnet shortcuts {folder}" in text
    assert f"covidnet evaluate {folder} FOLDER" in text
    assert re.search(r"covidnet audit \S+xrays --json", text)
    assert "This run recorded no intervals" in text


def test_what_has_been_run_is_shown(full: Page) -> None:
    text = full.text
    assert "93 % of the skill survives." in text
    assert "The border tells the class." in text
    assert "50.0 points lower elsewhere" in text
    assert "NOT RUN The command" not in text
    assert "covidnet shortcuts" not in text


def write_comparison(file: Path) -> None:
    """Write what `covidnet compare` leaves of two recipes of two seeds each."""
    limits = {"interval": [0.041, 0.15], "seed_interval": [-0.4, 0.596]}
    runs = {"first_runs": [0.5, 0.6], "second_runs": [0.64, 0.656]}
    metric = {"first": 0.55, "second": 0.648, "difference": 0.098, **limits, **runs}
    part = {"images": 120, "metrics": {"balanced_accuracy": metric}}
    cells = [
        {**metric, "source": f"{name} <u>", "class": CLASSES[0], "images": 30, "in_training": seen}
        for name, seen in (("lundis", False), ("figure1", True))
    ]
    outside = {**part, "over": list(CLASSES), "cells": cells}
    parts = {**dict.fromkeys(("inside", "lungs_only", "lungs_covered", "swapped_at_test"), part), "outside": outside}
    older = {key: value for key, value in metric.items() if key != "seed_interval"}  # as it was written before
    told = {"sentence": "Outside, B is 9.8 points better.", "notes": ["By patient <u>."], "survives": older}
    file.write_text(json.dumps({"first": "runs/a", "second": "runs/b", "runs": [2, 2], "parts": parts, **told}))


def test_a_comparison_is_shown_where_it_lies_in_the_run_or_in_its_repeat(run_folder: Path) -> None:
    seed = run_folder.rename(run_folder.parent / "seed_0")
    text = Page(write_report(seed)).text
    assert f"covidnet compare OTHER {seed.parent}" in text
    write_comparison(seed.parent / "comparison.json")
    page = Page(write_report(seed))
    assert "Outside, B is 9.8 points better." in page.text
    assert "+9.8 points +4.1 to +15.0; seeds -40.0 to +59.6" in page.text
    assert "64.0 to 65.6" in page.text
    assert f"lundis <u>: {CLASSES[0]} 30 images; unseen source" in page.text
    assert "Skill that survives without lungs" in page.text
    assert not page.all("u")
    (seed.parent / "comparison.json").rename(seed / "comparison.json")
    assert "Outside, B is 9.8 points better." in Page(write_report(seed)).text


def test_no_comparison_is_no_finding(plain: tuple[Path, Page]) -> None:
    folder, page = plain
    assert f"not been compared with another. The command is covidnet compare OTHER {folder}" in page.text


def test_intervals_calibration_and_thresholds_are_shown(run_folder: Path) -> None:
    file = run_folder / "results.json"
    results = json.loads(file.read_text())
    results["best"] |= {
        "intervals": {"accuracy": [0.39, 0.89]},
        "calibrated": {"temperature": 1.5, "nll": 0.5, "brier": 0.3, "ece": 0.04, "intervals": {"nll": [0.4, 0.6]}},
        "thresholds": {name: {"threshold": 0.3, "sensitivity": 0.9, "specificity": 0.8} for name in CLASSES},
        "prediction_sets": {
            "stated": 0.9,
            "coverage": 0.875,
            "size": 1.25,
            "empty": 0.03,
            "intervals": {"coverage": [0.71, 0.95]},
            "per_class": {
                name: {"coverage": 0.8, "least": least, "support": 5, "intervals": {}}
                for name, least in zip(CLASSES, (0.4, 0.0), strict=True)
            },
        },
    }
    file.write_text(json.dumps(results))
    page = Page(write_report(run_folder))
    assert "39.0 to 89.0" in page.text
    assert "Temperature 1.50" in page.text
    assert "0.400 to 0.600" in page.text
    assert "Operating points" in page.text
    assert "holds the true class of 90 % of the images of each class" in page.text
    assert "a set holds 1.25 classes on average; 3.0 % of them hold none" in page.text
    assert "71.0 to 95.0" in page.text
    assert f"too few validation images of {CLASSES[1]} to rule it out" in page.text


def test_the_use_of_each_class_is_shown_inside_and_outside(run_folder: Path) -> None:
    labels = np.arange(60) % 2
    logits = np.random.default_rng(0).normal(size=(60, 2)) + np.eye(2)[labels]
    use = use_scores(logits, labels, CLASSES)
    write_optional(run_folder)
    for name, ways in (("results.json", ("best",)), ("external.json", ())):
        content = read_json(run_folder / name)
        scores = content
        for way in ways:
            scores = scores[way]
        scores["use"] = use
        (run_folder / name).write_text(json.dumps(content))
    page = Page(write_report(run_folder))
    for place in ("inside", "outside"):
        assert all(f'id="{place}-1-{kind}-' in page.source for kind in ("net-benefit", "calibration", "scores"))
    shown = f"{use[CLASSES[1]]['calibration_slope']:.3f}"
    assert page.text.count(shown) == 4  # of two classes, one slope, in two places
    assert "50 % of the test, 50 % of the training" in page.text


def test_an_older_run_has_no_decision_curve_and_says_so(plain: tuple[Path, Page]) -> None:
    assert "This run recorded no decision curves" in plain[1].text


def test_a_run_without_its_checkpoint_and_tables_still_has_a_page(run_folder: Path) -> None:
    for name in ("checkpoints/best.ckpt", "predictions.csv", "metrics.csv", "split.csv", "config.yaml"):
        (run_folder / name).unlink()
    page = Page(write_report(run_folder))
    assert [attributes["id"] for attributes in page.all("section")] == list(SECTIONS)
    assert not page.all("svg")
    assert "best.ckpt is not there" in page.text


def test_images_that_are_gone_are_told(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "xrays").rename(tmp_path / "elsewhere")
    text = Page(write_report(run_folder)).text
    assert "could not be shown" in text
    assert str(tmp_path / "xrays") in text


def test_a_test_alone_has_a_page(run_folder: Path) -> None:
    file = run_folder / "results.json"
    file.write_text(json.dumps({"test": json.loads(file.read_text())["best"]}))
    assert "This checkpoint" in Page(write_report(run_folder)).text


def test_nothing_but_the_page_is_left(run_folder: Path) -> None:
    (run_folder / "predictions.csv").unlink()
    before = set(run_folder.iterdir())
    assert {write_report(run_folder)} == set(run_folder.iterdir()) - before


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no results\.json"):
        write_report(tmp_path)


def test_a_metric_that_is_not_known_is_a_dash() -> None:
    assert cell({}, "accuracy").text == "-"
    assert cell({"auroc": None, "intervals": {}}, "auroc").text == "-"
    assert cell({"accuracy": 0.925, "intervals": {"accuracy": [0.864, 0.96]}}, "accuracy")[:2] == (
        "92.5\u00a0%",
        "86.4 to 96.0",
    )
