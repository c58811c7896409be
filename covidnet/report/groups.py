"""What results.json and external.json tell of groups of images -> the tables of the page."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from covidnet.data.division.sources import UNKNOWN
from covidnet.evaluation.confounding import NEEDED, class_by, judge
from covidnet.evaluation.names import BY_KEY, Metric
from covidnet.evaluation.subgroups import METRICS
from covidnet.report.cells import Cell, cell, drawn
from covidnet.report.datacard import DataCard
from covidnet.runs.run import Run

SHOWN = [BY_KEY[key] for key in METRICS]


class Group(NamedTuple):
    """A group of the test: its images, and by class so many of it and the scores; no class where they are too few."""

    name: str
    images: int
    classes: list[tuple[str, int, list[Cell]]]


class Gap(NamedTuple):
    """The largest difference between two groups in a metric."""

    metric: Metric
    of_class: str
    lowest: str
    highest: str
    value: Cell


class Attribute(NamedTuple):
    """What is told of one attribute; ``counts`` is split -> group -> class -> images, empty where not known."""

    name: str
    level: str
    sentence: str
    counts: dict[str, dict[str, dict[str, int]]]
    groups: list[Group]
    gaps: list[Gap]


def attributes_shown(content: Mapping[str, Any] | None) -> list[Attribute]:
    """Return the attributes that a run or an evaluation elsewhere knows; none of one that was made without them."""
    content = content or {}
    subgroups, class_by = content.get("subgroups") or {}, content.get("class_by") or {}
    return [
        Attribute(
            name,
            *judge(name, class_by[name]),
            _counts(class_by[name].get("counts") or {}),
            [
                Group(
                    group,
                    values["images"],
                    [(of, scores["support"], _cells(scores)) for of, scores in values.get("per_class", {}).items()],
                )
                for group, values in found["groups"].items()
            ],
            [
                Gap(BY_KEY[metric], gap["class"], gap["lowest"], gap["highest"], _gap(metric, gap))
                for metric, gap in found["gaps"].items()
            ],
        )
        for name, found in subgroups.items()
        if name in class_by
    ]


def _cells(scores: Mapping[str, Any]) -> list[Cell]:
    return [drawn(metric.key, cell(scores, metric.key)) for metric in SHOWN]


def _gap(metric: str, gap: Mapping[str, Any]) -> Cell:
    shown = cell({metric: gap["value"], "intervals": {metric: gap["interval"]}}, metric)
    return Cell(shown.text.replace("%", "points"), shown.interval)


def _counts(by_split: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, dict[str, int]]]:
    """Turn split -> class -> group -> images into split -> group -> class -> images."""
    turned: dict[str, dict[str, dict[str, int]]] = {}
    for split, table in by_split.items():
        turned[split] = {}
        for of_class, row in table.items():
            for group, images in row.items():
                turned[split].setdefault(group, {})[of_class] = images
    return turned


def source_by_class(run: Run, card: DataCard) -> Mapping[str, Any] | None:
    """Return how source and class go together in a run, as ``class_by`` tells it; of an older run from its data."""
    known: Mapping[str, Any] | None = (run.results.get("class_by") or {}).get(NEEDED)
    if known or card.sources is None:
        return known
    images = [
        ("" if source == UNKNOWN else source, label)
        for label, row in enumerate(card.sources.values())
        for source, count in row.items()
        for _ in range(count)
    ]
    labels = np.array([label for _, label in images], dtype=np.int64)
    return class_by([name for name, _ in images], labels, list(card.sources))
