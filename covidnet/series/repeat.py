"""``repeat``: the same run with several seeds, each in a directory of its own, and one table of them all."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytorch_lightning.cli import LightningArgumentParser
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from covidnet.errors import UserError
from covidnet.files.reading import LONGEST_TABLE, read_bytes
from covidnet.machine.telling import warn
from covidnet.runs.documents import read_json
from covidnet.runs.ensemble import Members
from covidnet.runs.files import CHECKPOINT, RESULTS, SPLIT
from covidnet.seeds import LARGEST_SEED
from covidnet.series.base import Kind, Part, Series, SeriesRun
from covidnet.training.args import CommandLine
from covidnet.training.parser import add_own

KIND = Kind("repeat", "seed")
MODELS = ("final", "best")
OVERALL = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "loss", "brier", "ece")  # in the table; all are written
PER_CLASS = ("sensitivity", "specificity", "auroc")
NOT_MEASURED = ("confusion_matrix", "intervals", "support")
MOST_SEEDS = 10_000


class Repetition(Series):
    """The command ``repeat``: each seed is a run in ``runs/<model>/repeat_N/seed_K``."""

    kind = KIND

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the seeds."""
        super().add_arguments_to_parser(parser)
        add_own(parser, "seeds", int | list[int])

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what was typed and refuse what cannot be repeated."""
        super().parse_arguments(parser, args)
        self.numbers = read_seeds(self.config["run"].seeds)
        if "seed_everything" in self.command_line.typed_keys():
            raise UserError("repeat sets seed_everything itself: leave it out and name the seeds: seeds=[3,5,8].")

    def recipe(self) -> dict[str, Any]:
        """Return the recipe without its seed, which is each run's own."""
        return {key: value for key, value in super().recipe().items() if key != "seed_everything"}

    def run_one(self, line: CommandLine, run: Path, part: Part) -> None:
        """Run one seed."""
        SeriesRun(with_seed(line, part.number), self.afterwards, run, KIND.command)

    def summary(self, folder: Path, runs: Sequence[Path]) -> dict[str, Any]:
        """Return the spread of every metric."""
        results = [read_json(run / RESULTS) for run in runs]
        summary = {"seeds": self.numbers, "runs": [run.name for run in runs], **summarise(results)}
        if scores := _ensemble_scores(folder, runs):
            summary["ensemble"] = scores
        if len({read_bytes(run / SPLIT, LONGEST_TABLE) for run in runs}) > 1:
            summary["warning"] = "The images changed between the seeds: their splits differ (split.csv)."
        return summary

    def show(self, summary: Mapping[str, Any], folder: Path) -> None:
        """Print mean, standard deviation and range of the main metrics."""
        print_summary(summary, str(folder))


def _ensemble_scores(folder: Path, runs: Sequence[Path]) -> Mapping[str, Any] | None:
    """Return the scores of the mean of all seeds' best models on their test; None where they are no ensemble."""
    if not all((run / CHECKPOINT).is_file() for run in runs):
        return None
    try:
        return Members(folder, runs).test_scores
    except UserError as error:
        warn(f"What the seeds say together is not told: {error}")
        return None


def with_seed(line: CommandLine, seed: int) -> CommandLine:
    """Return the command line of a run with this seed."""
    return replace(line, settings=[*line.settings, f"--seed_everything={seed}"])


def summarise(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the spread of every metric of several results.json, in the places that the metrics have there.

    A spread is ``mean``, ``sd`` (of a sample; None for one value), ``min``, ``max`` and ``values``, one a seed and None
    where it could not be computed. ``notice`` is what every output must say of the images.
    """
    models = [name for name in MODELS if all(name in result for result in results)]
    summary = {name: _spread([result[name] for result in results]) for name in models}
    notice = results[0][models[0]].get("notice")
    return {"notice": notice, **summary} if notice else summary


def print_summary(summary: Mapping[str, Any], title: str) -> None:
    """Print mean, standard deviation and range of the main metrics over the seeds."""
    models = {name: summary[name] for name in MODELS if name in summary}
    notice = f"{summary['notice']} " if "notice" in summary else ""
    table = Table(title=f"{notice}{title}", title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    table.add_column(f"{len(summary['seeds'])} seeds")
    for name in models:
        table.add_column(f"{name}: mean ± SD (range)", justify="right")
    together = [summary["ensemble"]] if "ensemble" in summary else []
    if together:
        table.add_column("their ensemble", justify="right")
    for metric in OVERALL:
        spreads = (_told(scores.get(metric)) for scores in models.values())
        table.add_row(metric.replace("_", " "), *spreads, *(_value(scores, metric) for scores in together))
    for name in next(iter(models.values()))["per_class"]:
        table.add_section()
        table.add_row(name)
        for metric in PER_CLASS:
            spreads = (_told(scores["per_class"][name].get(metric)) for scores in models.values())
            values = (_value(scores["per_class"][name], metric) for scores in together)
            table.add_row(f"  {metric}", *spreads, *values)
    table.caption = (
        "The range tells how far the seed moves the numbers on the same test images. It is no interval for other "
        "images: those stand in each run's results.json."
    )
    table.caption_justify = "left"
    Console().print(table)
    if "warning" in summary:
        print(summary["warning"])


def _spread(scores: Sequence[Any]) -> Any:
    """Return the spread of numbers, or of each number in nested results; None for what is no metric."""
    if all(isinstance(value, Mapping) for value in scores):
        shared = [key for key in scores[0] if key not in NOT_MEASURED and all(key in value for value in scores)]
        spreads = {key: _spread([value[key] for value in scores]) for key in shared}
        return {key: value for key, value in spreads.items() if value is not None}
    known = [value for value in scores if isinstance(value, int | float)]
    if not known:
        return None
    return {
        "mean": statistics.fmean(known),
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "min": min(known),
        "max": max(known),
        "values": list(scores),
    }


def _told(spread: Mapping[str, Any] | None) -> str:
    if spread is None:
        return "-"
    sd = "-" if spread["sd"] is None else f"{spread['sd']:.3f}"
    return f"{spread['mean']:.3f} ± {sd} ({spread['min']:.3f}-{spread['max']:.3f})"


def _value(scores: Mapping[str, Any], metric: str) -> str:
    value = scores.get(metric)
    return "-" if value is None else f"{value:.3f}"


def read_seeds(given: int | list[int], fewest: int = 2) -> list[int]:
    """Return the seeds that a number of them, counted from 0, or a list of them means.

    Raises:
        UserError: Where they are fewer than ``fewest``, or no different seeds.
    """
    if isinstance(given, int) and given > MOST_SEEDS:
        raise UserError(f"seeds={given} must be {MOST_SEEDS:,} or fewer: each of them is a training.")
    seeds = list(range(given)) if isinstance(given, int) else given
    if len(seeds) < fewest or len(set(seeds)) != len(seeds) or not all(0 <= seed <= LARGEST_SEED for seed in seeds):
        raise UserError(
            f"seeds={given} must be a number of seeds, {fewest} or more, or a list of so many different ones between 0 "
            f"and {LARGEST_SEED}, such as seeds=[3,5,8]."
        )
    return seeds
