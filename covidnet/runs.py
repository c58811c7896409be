"""The files of a run directory -> plain values. Files that a run may lack become None."""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidnet.checkpoints import load_model, read_recipe
from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError
from covidnet.models.classifier import Classifier
from covidnet.results import CONFIG, PREDICTIONS, PROBABILITY, RESULTS, SPLIT
from covidnet.trust import find_class

CHECKPOINT = Path("checkpoints", "best.ckpt")
METRICS = "metrics.csv"
SHORTCUTS, AUDIT, EXTERNAL, COMPARISON = "shortcuts.json", "audit.json", "external.json", "comparison.json"
EXTERNAL_PREDICTIONS = "external_predictions.csv"
LUNGS_RUNS = "shortcuts"  # the folder of the runs that the lungs test trains and tests
LUNGS = {"lungs_covered": "covered", "lungs_only": "only"}  # what shortcuts.json calls them -> data.lungs, and folder
LUNGS_AT_TEST = {"covered_at_test": "covered", "swapped_at_test": "swapped"}  # the same of the run's own model
LUNGS_FOLDERS = {**LUNGS, **{name: name for name in LUNGS_AT_TEST}}
SEED = "seed_"  # begins the names of the run directories in that of a repeat
MODELS = ("best", "final", "test")  # keys of results.json that hold scores; the first that is there is the one shown

History = dict[str, list[tuple[int, float]]]  # column of metrics.csv -> (epoch from 1, value)


@dataclass(frozen=True)
class Predictions:
    """What ``predictions.csv`` or ``external_predictions.csv`` says of N images."""

    paths: list[str]
    labels: NDArray[np.int64]  # (N,) in 0 .. C - 1
    probabilities: NDArray[np.float64]  # (N, C)
    classes: list[str]
    sources: list[str] | None = None  # N names
    patients: NDArray[np.int64] | None = None  # (N,) a number that linked images share

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each image (N,)."""
        numbers: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return numbers

    def of(self, paths: Sequence[str], classes: Sequence[str]) -> "Predictions":
        """Return what is said of some of the images, in this order of images and classes."""
        row_of = {path: row for row, path in enumerate(self.paths)}
        rows = np.array([row_of[path] for path in paths], dtype=np.int64)
        columns = np.array([self.classes.index(name) for name in classes], dtype=np.int64)
        return Predictions(
            list(paths),
            np.argsort(columns)[self.labels[rows]],
            self.probabilities[np.ix_(rows, columns)],
            list(classes),
            [self.sources[row] for row in rows] if self.sources else None,
            self.patients[rows] if self.patients is not None else None,
        )


def read_predictions(file: Path) -> Predictions:
    """Read what ``results.write_predictions`` wrote.

    Raises:
        UserError: Where the file cannot be read as such.
    """
    try:
        with file.open(newline="", encoding="utf-8", errors="surrogatepass") as lines:  # names of any bytes
            rows = list(csv.DictReader(lines, strict=True))
        classes = [name.removeprefix(PROBABILITY) for name in rows[0] if name.startswith(PROBABILITY)]
        number = {name: label for label, name in enumerate(classes)}
        return Predictions(
            [row["path"] for row in rows],
            np.array([number[row["label"]] for row in rows], dtype=np.int64),
            np.array([[float(row[f"{PROBABILITY}{name}"]) for name in classes] for row in rows]),
            classes,
            [row["source"] for row in rows] if "source" in rows[0] else None,
            np.array([int(row["patient"]) for row in rows], dtype=np.int64) if "patient" in rows[0] else None,
        )
    except (OSError, csv.Error, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} cannot be read as predictions: {_reason(error)}. Remove it and write it anew."
        ) from error


def read_json(file: Path) -> Any:
    """Return what a JSON file holds, or None where it is not there.

    Raises:
        UserError: Where it cannot be read.
    """
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as JSON: {error}. Remove it, or write it anew.") from error


def finished_runs(folder: Path) -> list[Path]:
    """Return the run directories that a folder stands for: of a repeat each seed that has finished, else itself."""
    seeds = [file.parent for file in folder.glob(f"{SEED}*/{RESULTS}")]
    return sorted(seeds, key=lambda seed: (len(seed.name), seed.name)) or [folder]


def find_best(given: Path) -> Path:
    """Return the checkpoint that a user means: a file, or the best one of a run's directory.

    Raises:
        UserError: Where there is none.
    """
    checkpoint = given / CHECKPOINT if given.is_dir() else given
    if not checkpoint.is_file():
        raise UserError(
            f"{checkpoint} does not exist; CKPT must be a checkpoint, or the directory of a run with {CHECKPOINT}."
        )
    return checkpoint


def data_module(recipe: Mapping[str, Any], run: Path | None = None) -> RadiographyDataModule:
    """Return the data module that a recipe names, with the split of ``run``; it has not looked at its images yet.

    Raises:
        UserError: Where the recipe names another class, or keys that the class does not take.
    """
    split = {"split_file": str(run / SPLIT)} if run and (run / SPLIT).is_file() else {}
    kind = find_class(recipe["data"]["class_path"], RadiographyDataModule, "The recipe in the checkpoint")
    try:
        return kind(**{**recipe["data"]["init_args"], "classes": recipe["classes"], **split})
    except TypeError as error:
        raise UserError(f"The recipe in the checkpoint does not fit {kind.__name__}: {error}.") from error


def newest_run(folder: Path) -> Path | None:
    """Return the last finished run of those below ``folder/<model>/``, as the lungs test lays them."""
    runs = sorted(folder.glob(f"*/*/{RESULTS}"))
    return runs[-1].parent if runs else None


class Run:
    """A run directory.

    Raises:
        UserError: Where the folder holds no ``results.json`` of ours.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        results = self.read_json(RESULTS)
        if results is None:
            raise UserError(
                f"{folder} holds no {RESULTS}. Give the directory of a run that has finished, such as "
                "runs/convnet/version_0."
            )
        found = results if isinstance(results, dict) else {}
        self.models: dict[str, dict[str, Any]] = {name: found[name] for name in MODELS if name in found}
        if not self.models:
            raise UserError(f"{folder / RESULTS} holds no scores: none of the keys {', '.join(MODELS)}.")
        told = self.models.values()
        if not all(isinstance(scores, dict) and isinstance(scores.get("per_class"), dict) for scores in told):
            raise UserError(f"{folder / RESULTS} is damaged: its scores have no classes. Test the model again.")
        self.results: dict[str, Any] = results
        self.scores = next(iter(self.models.values()))
        self.classes: list[str] = list(results.get("classes", self.scores["per_class"]))

    @property
    def checkpoint(self) -> Path:
        """Where the best model is, if it is there."""
        return self.folder / CHECKPOINT

    @cached_property
    def recipe(self) -> dict[str, Any] | None:
        """How the best model and its data were made, as its checkpoint says."""
        return read_recipe(self.checkpoint) if self.checkpoint.is_file() else None

    @cached_property
    def predictions(self) -> Predictions | None:
        """The test images and what the model said of them."""
        file = self.folder / PREDICTIONS
        if not file.is_file():
            return None
        found = read_predictions(file)
        return found.of(found.paths, self.classes)

    @cached_property
    def split(self) -> list[dict[str, str]]:
        """The rows ``path, label, split``; none where the run did not train."""
        return self.read_table(SPLIT)

    @cached_property
    def history(self) -> History:
        """What was logged for each epoch; of an epoch that was trained twice, the last."""
        epochs: dict[str, dict[int, float]] = {}
        rows = self.read_table(METRICS)
        try:
            for row in rows:
                for name, value in row.items():
                    if name not in ("epoch", "step") and value:
                        epochs.setdefault(name, {})[int(row["epoch"]) + 1] = float(value)
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(self.folder / METRICS, error) from error
        return {name: sorted(values.items()) for name, values in epochs.items()}

    @cached_property
    def config(self) -> str | None:
        """The text of ``config.yaml``."""
        file = self.folder / CONFIG
        try:
            return file.read_text(encoding="utf-8") if file.is_file() else None
        except (OSError, ValueError) as error:
            raise _unreadable(file, error) from error

    def load_model(self) -> Classifier:
        """Return the best model, on the CPU, set to evaluate."""
        return load_model(self.checkpoint)

    def open_data(self) -> RadiographyDataModule:
        """Return the data module of the run with its own split; nothing is read yet."""
        assert self.recipe is not None
        return data_module(self.recipe, self.folder)

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of the files that a repetition must agree with."""
        files = [self.folder / SPLIT, self.checkpoint, self.folder / PREDICTIONS]
        return {file.name: _sha256(file) for file in files if file.is_file()}

    def read_json(self, name: str) -> Any:
        """Return what a JSON file of the run holds, as ``read_json``."""
        return read_json(self.folder / name)

    def read_table(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a CSV file of the run, none where it is not there.

        Raises:
            UserError: Where it cannot be read.
        """
        file = self.folder / name
        if not file.is_file():
            return []
        try:
            with file.open(newline="", encoding="utf-8", errors="surrogatepass") as lines:  # names of any bytes
                return list(csv.DictReader(lines))
        except (OSError, csv.Error, ValueError) as error:
            raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> UserError:
    return UserError(f"{file} is damaged and cannot be read: {_reason(error)}. Remove it, or bring back a copy.")


def _reason(error: Exception) -> str:
    return f"{error} ({type(error).__name__})"


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
