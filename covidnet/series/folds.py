"""What ``loso`` and ``crossval`` share: each run is a fold, whose split is handed to it as a file."""

import hashlib
import json
import warnings
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.cli import LightningArgumentParser

from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.runs.files import SPLIT
from covidnet.series.base import Series, SeriesRun
from covidnet.training.args import CommandLine
from covidnet.training.interface import AfterRun
from covidnet.training.parser import add_own

Write = Callable[[Path], None]  # writes a split.csv


class FoldSeries(Series):
    """A series of folds over one folder, which is listed and divided before the first run."""

    others: ClassVar[Mapping[str, str]]  # keys of data that bring another test -> why they cannot be given

    @abstractmethod
    def dealt(self) -> Any:
        """Return, as plain types, which image is where in each fold."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add which folds are run."""
        super().add_arguments_to_parser(parser)
        add_own(parser, "folds", list[int] | None)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what was typed and refuse another test than that of the folds."""
        super().parse_arguments(parser, args)
        given = self.config["run"].data.init_args
        for key, why in self.others.items():
            if given.get(key):
                raise UserError(f"{self.kind.command} {why}: leave data.{key} out, or use run.")

    def instantiate_classes(self) -> None:
        """Open the images, so that what cannot be is told before any training."""
        data = self.plain_config()["data"]
        self.data: Radiographs = resolve_name(data["class_path"])(**data["init_args"])

    def recipe(self) -> dict[str, Any]:
        """Add the images of each fold, which change with the folder and its table."""
        return {**super().recipe(), "splits": hashlib.sha256(json.dumps(self.dealt()).encode()).hexdigest()}

    def run_fold(self, line: CommandLine, run: Path, write: Write, own: Sequence[str] = ()) -> None:
        """Run a fold in the directory ``run``, on the split that ``write`` writes, with options of its ``own``."""
        settings = [*line.settings, f"--data.split_file={run / SPLIT}", *own]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*take no part")  # as meant, and told
            FoldRun(replace(line, settings=settings), self.afterwards, run, self.kind.command, write)


class FoldRun(SeriesRun):
    """``run`` on one fold, whose split ``write`` writes into the run's directory once that is there."""

    def __init__(self, line: CommandLine, afterwards: AfterRun | None, run: Path, command: str, write: Write) -> None:
        self.write = write
        super().__init__(line, afterwards, run, command)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        trainer = super().instantiate_trainer(**kwargs)
        if self.claimed:  # else it goes on, on the split that is there
            self.write(self.claimed / SPLIT)
        return trainer


def chosen_folds(given: Sequence[int] | None, possible: Collection[int], impossible: Mapping[int, str]) -> list[int]:
    """Return the folds that were asked for.

    Args:
        given: As typed; all that are possible where left out.
        possible: Numbers of folds, ascending.
        impossible: Of each fold that cannot be run, why.

    Raises:
        UserError: Where another one was asked for, one twice, or none.
    """
    if given is None:
        return [*possible]
    wrong = [number for number in given if number not in possible]
    if wrong or not given or len(set(given)) != len(given):
        reasons = "".join(f" Fold {number}: {impossible[number]}." for number in wrong if number in impossible)
        raise UserError(
            f"folds={list(given)} must be one or more different ones of {[*possible]}, such as "
            f"folds=[{next(iter(possible))}].{reasons}"
        )
    return list(given)
