"""``crossval``: each image is tested once, by a model that has seen neither it nor another image of its patient."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pytorch_lightning.cli import LightningArgumentParser
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from covidnet.errors import UserError
from covidnet.evaluation.names import BY_KEY
from covidnet.runs.files import FOLDS, PREDICTIONS
from covidnet.runs.run import Run
from covidnet.runs.screen import with_interval
from covidnet.series.base import Kind, Part
from covidnet.series.deal import Deal, deal_images
from covidnet.series.folds import FoldSeries, chosen_folds
from covidnet.series.pooled import pool, pooled_scores
from covidnet.series.repeat import OVERALL, PER_CLASS, read_seeds, with_seed
from covidnet.training.args import CommandLine
from covidnet.training.parser import add_own

KIND = Kind("crossval", "fold")
SHOWN, OF_CLASS = ("accuracy", "balanced_accuracy"), ("sensitivity", "auroc")  # in the tables; all are in the record
MEANING = (
    "Each image was tested by a model that had seen neither it nor another image of its patient or group. All together "
    "is what these models say of all images. The intervals are of other patients at the same sources, seen by these "
    "models: another training may have more luck, or less. One fold's interval is of its own patients."
)


class CrossValidation(FoldSeries):
    """The command ``crossval``: each fold is a run in ``runs/<model>/crossval_N/fold_K``."""

    kind = KIND
    others: ClassVar = {"split_file": "divides the images itself"}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add how many folds, and how many seeds each has."""
        super().add_arguments_to_parser(parser)
        add_own(parser, "k", int)
        add_own(parser, "seeds", int | list[int], "crossval")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what was typed and refuse seeds that cannot be."""
        super().parse_arguments(parser, args)
        given = self.config["run"].seeds
        self.seeds = None if given == 1 else read_seeds(given, fewest=1)
        if self.seeds and "seed_everything" in self.command_line.typed_keys():
            raise UserError("crossval seeds=... sets seed_everything itself: leave one of the two out.")

    def instantiate_classes(self) -> None:
        """Divide the images, so that what cannot be is told before any training."""
        super().instantiate_classes()
        self.k: int = self.config["run"].k
        self.deal: Deal = deal_images(self.data, self.k)
        self.numbers = chosen_folds(self.config["run"].folds, range(1, self.k + 1), {})

    @property
    def parts(self) -> list[Part]:
        """Each fold, with each seed."""
        if self.seeds is None:
            return super().parts
        return [Part(number, seed) for number in self.numbers for seed in self.seeds]

    def dealt(self) -> Any:
        """Return path and fold of each image."""
        folds = self.deal.folds
        return sorted(zip(folds.paths, folds.numbers, strict=True))

    def recipe(self) -> dict[str, Any]:
        """Return the recipe, with the test images that are in no fold, and without a seed that is each run's own."""
        test_root = str(self.data.test_root) if self.data.test_root else None
        recipe = {**super().recipe(), "seeds": self.seeds, "test_root": test_root}
        return {key: value for key, value in recipe.items() if not (self.seeds and key == "seed_everything")}

    def prepare(self, folder: Path) -> None:
        """Write which image is in which fold."""
        self.deal.folds.write(folder / FOLDS)

    def run_one(self, line: CommandLine, run: Path, part: Part) -> None:
        """Run one fold, with one seed."""
        folds = self.deal.folds
        split = folds.split(part.number)
        seeded = line if part.seed is None else with_seed(line, part.seed)
        self.run_fold(seeded, run, lambda file: folds.write_split(file, split))

    def summary(self, folder: Path, runs: Sequence[Path]) -> dict[str, Any]:
        """Return what each fold and all together say of the best models; write all out-of-fold predictions."""
        tests = [(part, Run(run)) for part, run in zip(self.parts, runs, strict=True)]
        folds = self.deal.folds
        out = pool([(part.number, run) for part, run in tests], folds.paths)
        out.write(folder / PREDICTIONS)
        group_of = dict(zip(folds.paths, folds.groups, strict=True))
        patients = np.array([group_of[path] for path in out.paths])
        notice = {"notice": self.data.notice.strip()} if self.data.notice else {}
        return {
            **notice,
            "folds": self.numbers,
            "k": self.k,
            "seeds": self.seeds or [self.plain_config()["seed_everything"]],
            "runs": [run.name for run in runs],
            "images": len(out.paths),
            "per_fold": [_fold_scores(part, run) for part, run in tests],
            "pooled": {**notice, **pooled_scores(out, patients)},
            "meaning": MEANING,
            "notes": [*self.deal.notes, *self._notes(len(out.paths)), *_luck(tests)],
        }

    def show(self, summary: Mapping[str, Any], folder: Path) -> None:
        """Print each fold, all together, and what the numbers mean."""
        print_summary(summary, str(folder))

    def _notes(self, tested: int) -> list[str]:
        """Return what is to be known of these runs, a sentence each."""
        notes = []
        if len(self.numbers) < self.k:
            notes.append(
                f"Of {self.k} folds {_listed(self.numbers)} were run: what they say together is of their {tested:,} "
                f"images of {len(self.deal.folds.paths):,}."
            )
        if self.seeds and len(self.seeds) > 1:
            notes.append(
                f"Each fold was trained with {len(self.seeds)} seeds: {PREDICTIONS} and what all folds say together "
                "are of the mean of their probabilities, each image once."
            )
        return notes


def print_summary(summary: Mapping[str, Any], title: str) -> None:
    """Print each fold, all together, their classes, what the numbers mean and what is to be known."""
    pooled = summary["pooled"]
    tested = [(_name(scores), scores["images"], scores) for scores in summary["per_fold"]]
    classes = [(name, of_class["support"], of_class) for name, of_class in pooled["per_class"].items()]
    notice = f"{summary['notice']} " if "notice" in summary else ""
    _print(f"{notice}{title}", "tested on", SHOWN, [*tested, ("all together", summary["images"], pooled)])
    _print("All together, by class", "class", OF_CLASS, classes)
    print("\n".join([summary["meaning"], *summary["notes"]]))


def _print(title: str, first: str, keys: Sequence[str], rows: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
    """Print a table: what each row is called, its images and its metrics."""
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    table.add_column(first, overflow="fold")
    table.add_column("images", justify="right")
    for key in keys:
        table.add_column(f"{BY_KEY[key].label}\n[95 %]", justify="right", no_wrap=True)
    for name, images, scores in rows:
        cells = (with_interval(scores[key], scores["intervals"].get(key), ".3f", ends=".2f") for key in keys)
        table.add_row(escape(name), f"{images:,}", *cells)
    Console().print(table)


def _fold_scores(part: Part, run: Run) -> dict[str, Any]:
    """Return the main metrics of a finished run."""
    scores = run.scores
    per_class = {
        name: {"support": own["support"], **_chosen(own, PER_CLASS)} for name, own in scores["per_class"].items()
    }
    return {
        "fold": part.number,
        **({} if part.seed is None else {"seed": part.seed}),
        "run": run.folder.name,
        "model": next(iter(run.models)),
        "images": sum(own["support"] for own in per_class.values()),
        **_chosen(scores, OVERALL),
        "per_class": per_class,
    }


def _luck(tests: Sequence[tuple[Part, Run]]) -> list[str]:
    """Return that the runs differ by more than their patients may explain, where they do."""
    known = [(run.scores.get("intervals") or {}).get("accuracy") for _, run in tests]
    limits = [interval for interval in known if interval]
    if not limits or max(low for low, _ in limits) <= min(high for _, high in limits):
        return []
    accuracies = [run.scores["accuracy"] for _, run in tests]
    return [
        f"The runs differ by more than their patients may explain: accuracy {min(accuracies):.3f} to "
        f"{max(accuracies):.3f}. So this training is partly a matter of luck, of which the intervals know nothing; "
        "seeds=3 tells more."
    ]


def _chosen(scores: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    known = scores.get("intervals") or {}
    limits = {key: known[key] for key in keys if key in known}
    return {**{key: scores.get(key) for key in keys}, "intervals": limits}


def _name(scores: Mapping[str, Any]) -> str:
    seeded = f", seed {scores['seed']}" if "seed" in scores else ""
    return f"fold {scores['fold']}{seeded}, {scores['model']} model"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
