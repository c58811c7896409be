"""Reporting guidelines -> which of their items a run answers by itself."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from covidnet.report.datacard import DataCard
from covidnet.report.gallery import Gallery
from covidnet.runs.run import Run

STARTS = ("pretrained", "weights", "backbone")  # arguments of a model that say where its weights come from
SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}


class Item(NamedTuple):
    """One item of a guideline, in our own words; ``answer`` is None where only the authors can give it."""

    number: str
    topic: str
    answer: str | None


class Guideline(NamedTuple):
    """A guideline with its items."""

    name: str
    reference: str
    items: list[Item]

    @property
    def answered(self) -> int:
        """How many items the run answers."""
        return sum(item.answer is not None for item in self.items)


def fill(answers: Mapping[str, str | None]) -> list[Guideline]:
    """Return the guidelines of ``checklist.json`` with ``answers`` by the names that it uses for them."""
    content = json.loads(files("covidnet.report").joinpath("checklist.json").read_text(encoding="utf-8"))
    return [
        Guideline(
            guideline["name"],
            guideline["reference"],
            [Item(number, topic, answers[name] if name else None) for number, topic, name in guideline["items"]],
        )
        for guideline in content
    ]


def answer(run: Run, card: DataCard, gallery: Gallery | None, optional: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what the run itself can say to the guidelines, None where it cannot."""
    recipe = run.recipe or {"model": {}, "data": {}}
    model, data = (recipe[section].get("init_args", {}) for section in ("model", "data"))
    trained = bool(run.split)
    intervals = bool(run.scores.get("intervals"))
    calibrated = run.scores.get("calibrated")
    audit, shortcuts, external = (optional[name] for name in ("audit", "shortcuts", "external"))
    totals = [f"{sum(numbers.values()):,} {SPLIT_NAMES[name]}" for name, numbers in card.counts.items()]
    drawn = f"{data.get('test_per_class')} images a class"
    held = "the test that the data give" if card.given else data.get("test_root") or drawn
    return {
        **_of_groups(run.results.get("subgroups") or {}),
        "model": f"Deep learning: {recipe['model']['class_path']}, {_named(model)}" if model else None,
        "sources": "Counts by class and source: Data." if card.sources else None,
        "preprocessing": (
            f"Decoded to 8 bits, resized to {data['image_size']} x {data['image_size']} pixels "
            f"({data['interpolation']}, aspect not kept), scaled to 0 to 1."
            if data
            else None
        ),
        "predictors": "The pixels of one radiograph; no clinical data." if data else None,
        "subsets": shortcuts and "Lungs alone and lungs covered: The lungs test.",
        "labels": "The class folder that an image lies in. Who put it there, and why, is for the authors to say.",
        "partition": (
            f"{'Given by the data; what they lack is drawn' if card.given else 'Drawn'} by a hash of seed "
            f"{data['seed']} and path, stratified by class; held out for the test: {held}; "
            f"{100 * data['val_fraction']:g} % of the rest for validation. Listed in split.csv."
            if data and trained
            else None
        ),
        "disjoint": "Patients and groups of duplicates, as far as the table names them." if card.links else None,
        "test_size": f"Set beforehand, not computed: {held}." if data and trained else None,
        "software": "Configuration and versions." if run.recipe else None,
        "initialisation": (
            _named({key: model[key] for key in STARTS if key in model}) if any(key in model for key in STARTS) else None
        ),
        "training": "Configuration and versions; Training." if run.config and run.history else None,
        "selection": f"Best validation loss: epoch {run.results['best_epoch']}."
        if run.results.get("best_epoch")
        else None,
        "ensemble": "None." if run.recipe else None,
        "imbalance": "Loss weighted by the inverse frequency of the classes." if trained else None,
        "metrics": "Results, each with its meaning.",
        "uncertainty": "95 % intervals: Results; by class." if intervals else None,
        "robustness": _joined(audit and "Data", shortcuts and "The lungs test", external and "Other hospitals"),
        "explanation": "Grad-CAM: Where the model looks." if gallery else None,
        "internal": "The held-out test split: Results.",
        "external": external and "Other hospitals.",
        "numbers": f"{', '.join(totals)} images; by class: Data." if totals else None,
        "performance": "Results." if intervals else None,
        "per_class": "By class.",
        "failures": "Confusion; the worst errors: Where the model looks." if gallery else "Confusion.",
        "record": "config.yaml, split.csv and best.ckpt, with their hashes: Configuration and versions."
        if run.recipe
        else None,
        "calibration": calibrated
        and f"Temperature {calibrated['temperature']:.3f}, fitted on validation: Calibration.",
        "output": "A probability for each class; the most probable one is the answer.",
    }


def _of_groups(subgroups: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
    known, compared = ", ".join(subgroups), ", ".join(name for name, found in subgroups.items() if found["gaps"])
    return {
        "characteristics": f"Counts by split, class and {known}: Whom it fails." if known else None,
        "fairness": f"Scores and gaps by {compared}: Whom it fails." if compared else None,
    }


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) + "."


def _joined(*sections: Any) -> str | None:
    shown = [section for section in sections if section]
    return "; ".join(shown) + "." if shown else None
