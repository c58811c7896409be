"""``loso``: leave sources out. Each fold is tested on sources of which its model has seen no image."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.cli import LightningArgumentParser
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from covidnet.data.division.held_out import Fold
from covidnet.data.division.split import write_split
from covidnet.evaluation.folds import mean_balanced_accuracy
from covidnet.evaluation.intervals import proportion_interval
from covidnet.evaluation.names import BY_KEY
from covidnet.runs.run import Run
from covidnet.runs.screen import with_interval
from covidnet.series.base import Kind, Part
from covidnet.series.folds import FoldSeries, chosen_folds
from covidnet.series.plan import Plan, listed, make_plan, notes_of, notes_of_fold
from covidnet.training.args import CommandLine
from covidnet.training.parser import add_own

KIND = Kind("loso", "fold")
PER_CLASS = ("sensitivity", "specificity", "auroc")  # in the record
SHOWN = ("sensitivity", "auroc")
MEANING = (
    "Each line is of a model that had seen no image of the sources named there: so much may be expected at an unseen "
    "hospital, as far as these sources stand for it; the intervals are of other patients at the same sources."
)
MEANING_ALONE = (
    "Each fold's model had seen no image of the sources named there: their sensitivity may be expected at an unseen "
    "hospital, as far as they stand for it. The lines of a class's own sources are of other images from where the "
    "model learned that class, so specificity, AUROC and balanced accuracy are of an unseen hospital in part at most. "
    "The intervals are of other patients at the same sources."
)


class LeaveSourcesOut(FoldSeries):
    """The command ``loso``: each fold is a run in ``runs/<model>/loso_N/fold_K``."""

    kind = KIND
    others = dict.fromkeys(("split_file", "test_root"), "tests on the sources that it leaves out")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what each fold leaves out."""
        super().add_arguments_to_parser(parser)
        add_own(parser, "together", bool)

    def instantiate_classes(self) -> None:
        """Draw the folds, so that what cannot be known is told before any training."""
        super().instantiate_classes()
        self.together: bool = self.config["run"].together
        self.plan = make_plan(self.data, together=self.together)
        self.numbers = chosen_folds(self.config["run"].folds, self.plan.folds, self.plan.impossible)

    def dealt(self) -> Any:
        """Return the paths of training, validation and test images of each fold."""
        paths = self.data.images.paths
        return [[[paths[i] for i in held] for _, held in fold.split.items()] for fold in self.plan.folds.values()]

    def run_one(self, line: CommandLine, run: Path, part: Part) -> None:
        """Run one fold."""
        fold, images = self.plan.folds[part.number], self.data.images

        def write(file: Path) -> None:
            write_split(file, fold.split, images.paths, images.labels, self.data.classes)

        self.run_fold(line, run, write, [f"--data.classes={json.dumps(fold.classes)}"])

    def about(self, part: Part) -> str:
        """Return what a fold is tested on; what it does without is told at the end."""
        return f"tested on {listed(self.plan.folds[part.number])}"

    def summary(self, folder: Path, runs: Sequence[Path]) -> dict[str, Any]:
        """Return what each fold, each source and all folds together say of the best models."""
        finished = [Run(run) for run in runs]
        folds = [self.plan.folds[number] for number in self.numbers]
        tests = list(zip(folds, finished, strict=True))
        return {
            "folds": self.numbers,
            "runs": [run.name for run in runs],
            "sources": self.plan.counts,
            "per_fold": [_fold_scores(fold, run) for fold, run in tests],
            **_over_folds(tests, self.plan),
            "meaning": MEANING if self.together else MEANING_ALONE,
            "notes": [*notes_of(self.plan), *(note for fold in folds for note in notes_of_fold(fold))],
        }

    def show(self, summary: Mapping[str, Any], folder: Path) -> None:
        """Print the folds, their mean, and what cannot be known."""
        print_summary(summary, str(folder))


def print_summary(summary: Mapping[str, Any], title: str) -> None:
    """Print each fold, their mean, what the numbers mean and what they cannot tell."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    table.add_column("tested on", overflow="fold")
    for column in ("images", *(f"{BY_KEY[key].label} [95 %]" for key in SHOWN)):
        table.add_column(column, justify="right", no_wrap=True)
    balanced = BY_KEY["balanced_accuracy"].label
    for scores in summary["per_fold"]:
        table.add_section()
        table.add_row(f"fold {scores['fold']}, {scores['model']} model")
        for name, of_class in scores["per_class"].items():
            tested_on = ", ".join(scores["held_out"].get(name, ["its own sources"]))
            shown = (_cell(of_class, key) for key in SHOWN)
            table.add_row(escape(f"  {name}: {tested_on}"), f"{of_class['images']:,}", *shown)
        table.add_row(f"  {balanced}", "", _cell(scores, "balanced_accuracy"))
    table.add_section()
    table.add_row(f"mean {balanced}", "", _cell(summary, "mean_balanced_accuracy"))
    Console().print(table)
    print("\n".join([summary["meaning"], *summary["notes"]]))


def _fold_scores(fold: Fold, run: Run) -> dict[str, Any]:
    """Return what a finished run says of the classes that its fold tests."""
    per_class = {}
    for name in (*fold.held_out, *fold.own):
        scores = run.scores["per_class"][name]
        known = scores.get("intervals") or {}
        limits = {key: known[key] for key in PER_CLASS if key in known}
        per_class[name] = {
            "images": scores["support"],
            **{key: scores.get(key) for key in PER_CLASS},
            "intervals": limits,
        }
    known = run.scores.get("intervals") or {}
    limits = {key: value for key, value in known.items() if key == "balanced_accuracy"}
    return {
        "fold": fold.number,
        "model": next(iter(run.models)),
        "held_out": fold.held_out,
        "own_sources": fold.own,
        "classes": fold.classes,
        "dropped_classes": fold.dropped,
        "linked_images_left_out": fold.linked,
        "per_class": per_class,
        "balanced_accuracy": run.scores.get("balanced_accuracy"),
        "intervals": limits,
    }


def _over_folds(tests: Sequence[tuple[Fold, Run]], plan: Plan) -> dict[str, Any]:
    """Return the mean over all folds and, over those that hold it out, how well each source is recognised."""
    classes = list(plan.counts)
    names = sorted(set(plan.sources.values()))
    numbers = {path: number for number, path in enumerate(plan.sources)}
    cases = []
    for fold, run in tests:
        assert run.predictions is not None
        predictions = run.predictions.spelt_as(plan.sources)
        right = predictions.predicted == predictions.labels
        for path, label, hit in zip(predictions.paths, predictions.labels, right, strict=True):
            name = run.classes[label]
            of = classes.index(name), names.index(plan.sources[path])
            cases.append((hit, fold.number, *of, plan.patients[path], numbers[path], name in fold.held_out))
    right, folds, labels, sources, patients, images, unseen = np.array(cases, dtype=np.int64).T
    mean, limits = mean_balanced_accuracy(right.astype(bool), folds, labels, sources, patients)
    if len(tests) == 1:  # the mean of one fold is its own balanced accuracy
        ((_, run),) = tests
        limits = (run.scores.get("intervals") or {}).get("balanced_accuracy")
    per_source: dict[str, dict[str, Any]] = {}
    held_out = unseen.astype(bool)
    for label, source in np.unique(np.stack([labels, sources], axis=1)[held_out], axis=0):
        among = held_out & (labels == label) & (sources == source)
        scores = _source_scores(right[among].astype(bool), folds[among], patients[among], images[among])
        per_source.setdefault(classes[label], {})[names[source]] = scores
    intervals = {"mean_balanced_accuracy": list(limits)} if limits else {}
    return {"per_source": per_source, "mean_balanced_accuracy": mean, "intervals": intervals}


def _source_scores(
    right: NDArray[np.bool_], folds: NDArray[np.int64], patients: NDArray[np.int64], images: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the sensitivity over all folds that test a source of a class, which may each hold some of its images."""
    limits = proportion_interval(right, patients)
    assert limits is not None
    scores = {"images": len(np.unique(images)), "folds": len(np.unique(folds)), "sensitivity": float(right.mean())}
    return {**scores, "intervals": {"sensitivity": list(limits)}}


def _cell(scores: Mapping[str, Any], key: str) -> str:
    return with_interval(scores[key], scores["intervals"].get(key), ".3f")
