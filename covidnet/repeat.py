"""``repeat``: the same run with several seeds, each in a directory of its own, and one table of them all."""

import gc
import json
import os
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from filelock import FileLock, Timeout
from pytorch_lightning.cli import LightningArgumentParser
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from covidnet import __version__
from covidnet.args import CommandLine
from covidnet.cli import CommandLineInterface, runs_folder
from covidnet.errors import UserError
from covidnet.record import AppendingCSVLogger
from covidnet.results import RESULTS, SPLIT, write_results

REPEAT = "repeat.json"
LOCK = "repeat.lock"  # held while a repeat is under way, so that no other goes on in its directory
MODELS = ("final", "best")
OVERALL = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "loss", "brier", "ece")  # in the table; all are written
PER_CLASS = ("sensitivity", "specificity", "auroc")
NOT_MEASURED = ("confusion_matrix", "intervals", "support")
LARGEST_SEED = 2**32 - 1


class Repetition(CommandLineInterface):
    """The command ``repeat``: parses as ``run`` does, then runs each seed in ``runs/<model>/repeat_N/seed_K``.

    It goes on in the newest directory of the same recipe where that lacks one of the seeds, and begins a new one else.
    A seed is finished when its results.json is there. An unfinished one begins again: gone on from a checkpoint, it
    would draw other batches than the same seed run alone.
    """

    def __init__(self, command_line: CommandLine) -> None:
        super().__init__(replace(command_line, command="run"))

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        """Build the parser of ``run`` under our own name."""
        super().setup_parser(*args, **kwargs)
        parser = self._subcommand_parsers["run"]
        parser.usage = "python train.py repeat [seeds=N] [group=name ...] [key=value ...]"
        parser.description = "Run with several seeds, then show mean, standard deviation and range of each metric."

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the seeds."""
        super().add_arguments_to_parser(parser)
        text = "How many seeds, counted from 0, or which ones: [3,5,8]. data.seed, the split's, stays."
        parser.add_argument("--seeds", type=int | list[int], default=5, help=text)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what was typed and refuse what cannot be repeated."""
        super().parse_arguments(parser, args)
        config = self.config["run"]
        self.seeds = _seeds(config.seeds)
        if "seed_everything" in self.command_line.typed_keys():
            raise UserError("repeat sets seed_everything itself: leave it out and name the seeds: seeds=[3,5,8].")
        if config.get("ckpt_path"):
            raise UserError("repeat trains each seed from the beginning: leave ckpt_path out, or use run.")
        if config.trainer.fast_dev_run:
            raise UserError("repeat needs whole runs: leave trainer.fast_dev_run out, or use run.")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise _several_processes(int(os.environ["WORLD_SIZE"]))

    def _set_seed(self) -> None:
        """Leave the seed to each run."""

    def instantiate_classes(self) -> None:
        """Leave data, model and trainer to each run."""

    def _run_subcommand(self, subcommand: str) -> None:
        self._dump_config()
        unlike = ("seeds", "seed_everything")
        settings = {key: value for key, value in self.config_dump.items() if key not in unlike}
        recipe = {"version": __version__, **settings}
        folder, lock = self._claim(recipe)
        try:
            self._run_seeds(folder)
            results = [json.loads((_run(folder, seed) / RESULTS).read_text("utf-8")) for seed in self.seeds]
            runs = [_run(folder, seed) for seed in self.seeds]
            summary = {"seeds": self.seeds, "runs": [run.name for run in runs], **summarise(results)}
            if len({(run / SPLIT).read_bytes() for run in runs}) > 1:
                summary["warning"] = "The images changed between the seeds: their splits differ (split.csv)."
            write_results(folder / REPEAT, {**summary, "recipe": recipe})
            print_summary(summary, str(folder))
        finally:
            lock.release()
            if not any(folder.glob("seed_*")):
                shutil.rmtree(folder)  # a repeat that failed before it trained leaves nothing

    def _claim(self, recipe: Mapping[str, Any]) -> tuple[Path, FileLock]:
        """Return the directory to go on in, or a new one, and its lock, which is held."""
        parent = runs_folder(self.config["run"]) / self.name
        numbered = {int(path.name.rpartition("_")[2]): path for path in parent.glob("repeat_*") if _is_numbered(path)}
        same = [numbered[number] for number in sorted(numbered) if _recipe(numbered[number]) == recipe]
        if same and self._lacking(same[-1]):
            lock = FileLock(same[-1] / LOCK)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                pass  # the same command is at work there now
            else:
                return same[-1], lock
        number = max(numbered, default=-1) + 1
        while True:
            folder = parent / f"repeat_{number}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:  # begun at the same moment
                number += 1
            else:
                break
        lock = FileLock(folder / LOCK)
        lock.acquire()
        write_results(folder / REPEAT, {"seeds": self.seeds, "recipe": recipe})
        return folder, lock

    def _lacking(self, folder: Path) -> list[int]:
        return [seed for seed in self.seeds if not (_run(folder, seed) / RESULTS).is_file()]

    def _run_seeds(self, folder: Path) -> None:
        """Train the seeds that lack results, in this process, one after the other."""
        line = self.command_line
        line = replace(line, environment=_without_seeds(line.environment), settings=_without_seeds(line.settings))
        lacking = self._lacking(folder)
        finished = len(self.seeds) - len(lacking)
        if finished:
            print(f"{finished} of {len(self.seeds)} seeds are finished in {folder}; going on there.")
        try:
            for seed in lacking:
                print(f"Seed {seed}, {finished + 1} of {len(self.seeds)}: {_run(folder, seed)}")
                shutil.rmtree(_run(folder, seed), ignore_errors=True)
                _SeedRun(replace(line, settings=[*line.settings, f"--seed_everything={seed}"]), folder, seed)
                gc.collect()  # model and trainer hold one another, and the pixels on a GPU with them
                finished += 1
        except BaseException:  # a mistake, a crash, Ctrl-C: whatever ended it, the user must know what is kept
            if finished:
                kept = f"{finished} of {len(self.seeds)} seeds are finished and kept in {folder}."
                print(f"{kept} The same command goes on there.", file=sys.stderr)
            raise


class _SeedRun(CommandLineInterface):
    """``run`` with one seed, in its directory of a repeat."""

    def __init__(self, command_line: CommandLine, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        super().__init__(command_line)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        trainer = super().instantiate_trainer(**kwargs)
        if trainer.world_size > 1:
            raise _several_processes(trainer.world_size)
        return trainer

    def _logger(self, root: Path) -> AppendingCSVLogger:
        self.claimed = _run(self.folder, self.seed)
        self.claimed.mkdir()
        return AppendingCSVLogger(root, f"{self.name}/{self.folder.name}", self.claimed.name)


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
    for metric in OVERALL:
        table.add_row(metric.replace("_", " "), *(_told(scores.get(metric)) for scores in models.values()))
    for name in next(iter(models.values()))["per_class"]:
        table.add_section()
        table.add_row(name)
        for metric in PER_CLASS:
            spreads = (scores["per_class"][name].get(metric) for scores in models.values())
            table.add_row(f"  {metric}", *map(_told, spreads))
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


def _seeds(given: int | list[int]) -> list[int]:
    seeds = list(range(given)) if isinstance(given, int) else given
    if len(seeds) < 2 or len(set(seeds)) != len(seeds) or not all(0 <= seed <= LARGEST_SEED for seed in seeds):
        raise UserError(
            f"seeds={given} must be a number of seeds, 2 or more, or a list of two or more different ones between 0 "
            f"and {LARGEST_SEED}, such as seeds=[3,5,8]."
        )
    return seeds


def _without_seeds(options: Sequence[str]) -> list[str]:
    return [option for option in options if not option.startswith("--seeds=")]


def _several_processes(number: int) -> UserError:
    return UserError(
        f"repeat trains in one process, but {number} were asked for. Give trainer.devices=1 without trainer=ddp or "
        "torchrun, or run the seeds one by one: run seed_everything=0, run seed_everything=1, ..."
    )


def _run(folder: Path, seed: int) -> Path:
    return folder / f"seed_{seed}"


def _is_numbered(folder: Path) -> bool:
    return folder.name.removeprefix("repeat_").isdecimal()


def _recipe(folder: Path) -> Any:
    """Return the recipe of a repeat, None where its record is missing or cannot be read."""
    try:
        return json.loads((folder / REPEAT).read_text("utf-8")).get("recipe")
    except (OSError, ValueError, AttributeError):
        return None
