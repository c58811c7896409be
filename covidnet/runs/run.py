"""The files of a run directory -> plain values. Files that a run may lack become None."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError, some
from covidnet.files.reading import LONGEST_YAML, UNREADABLE, parse_yaml, read_table, read_text
from covidnet.models.network import Network
from covidnet.runs.checkpoint import Checkpoint, radiographs_of
from covidnet.runs.documents import read_json
from covidnet.runs.files import (
    CHECKPOINT,
    CONFIG,
    METRICS,
    MODELS,
    PREDICTIONS,
    RESULTS,
    SPLIT,
    counted_tests,
    read_rows_of,
    unreadable,
)
from covidnet.runs.find import refuse_unfinished, run_directory
from covidnet.runs.predictions import Predictions, read_predictions

History = dict[str, list[tuple[int, float]]]  # column of metrics.csv -> (epoch from 1, value)


class Run:
    """A run directory.

    Raises:
        UserError: Where the folder holds no ``results.json`` of ours.
    """

    def __init__(self, folder: Path) -> None:
        refuse_unfinished(folder)
        self.folder = folder
        results = self.read_json(RESULTS)
        self.models: dict[str, dict[str, Any]] = {name: results[name] for name in MODELS if name in results}
        if not self.models:
            raise UserError(f"{folder / RESULTS} holds no scores: none of the keys {', '.join(MODELS)}.")
        self.results: dict[str, Any] = results
        self.scores = next(iter(self.models.values()))
        self.classes: list[str] = list(results.get("classes", self.scores["per_class"]))

    @property
    def checkpoint(self) -> Path:
        """Where the best model is, if it is there."""
        return self.folder / CHECKPOINT

    @cached_property
    def best(self) -> Checkpoint | None:
        """The best model's checkpoint, read once, if it is there."""
        return Checkpoint(self.checkpoint) if self.checkpoint.is_file() else None

    @property
    def recipe(self) -> dict[str, Any] | None:
        """How the best model and its data were made, as its checkpoint says."""
        return self.best.recipe if self.best else None

    @property
    def looks(self) -> int | None:
        """How often the test of the run that trained the model was evaluated until now; None where nobody counted.

        What ``results.json`` tells is the number of its own day: the lungs test and the command test look again.
        """
        given = self.settings.get("ckpt_path")
        trained = [self.folder, run_directory(Path(given)) if isinstance(given, str) else None]
        counts = (len(counted_tests(folder)) for folder in trained if folder)
        return next(filter(None, counts), None) or self.results.get("test_evaluations")

    @cached_property
    def predictions(self) -> Predictions | None:
        """The test images and what the model said of them."""
        file = self.folder / PREDICTIONS
        if not file.is_file():
            return None
        found = read_predictions(file)
        if set(found.classes) != set(self.classes):
            reason = f"its classes are {some(found.classes)}, those of {RESULTS} {some(self.classes)}"
            raise unreadable(file, ValueError(reason))
        return found.of(found.paths, self.classes)

    @cached_property
    def split(self) -> list[dict[str, str]]:
        """The rows ``path, label, split``; none where the run did not train."""
        file = self.folder / SPLIT
        return read_rows_of(file) if file.is_file() else []

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
            raise unreadable(self.folder / METRICS, error) from error
        return {name: sorted(values.items()) for name, values in epochs.items()}

    @cached_property
    def config(self) -> str | None:
        """The text of ``config.yaml``."""
        file = self.folder / CONFIG
        try:
            return read_text(file, LONGEST_YAML) if file.is_file() else None
        except UNREADABLE as error:
            raise unreadable(file, error) from error

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What ``config.yaml`` says, section by section.

        Raises:
            UserError: Where it is no YAML, or no keys with values.
        """
        file = self.folder / CONFIG
        try:
            found = parse_yaml(self.config or "{}")
            if not isinstance(found, dict):
                raise ValueError("it holds no keys with values")
            for name in ("model", "data", "trainer", "early_stopping"):
                section = found.get(name) or {}
                if not isinstance(section, dict) or not isinstance(section.get("init_args") or {}, dict):
                    raise ValueError(f"its section {name} holds no keys with values")
        except (*UNREADABLE, yaml.YAMLError) as error:
            raise unreadable(file, error) from error
        return found

    def load_model(self) -> Network:
        """Return the best model, on the CPU, set to evaluate."""
        assert self.best is not None
        return self.best.model()

    def open_data(self) -> Radiographs:
        """Return the radiographs of the run with its own split; nothing is read yet."""
        assert self.recipe is not None
        return radiographs_of(self.recipe, self.folder)

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
            return read_table(file)[1]
        except UNREADABLE as error:
            raise unreadable(file, error) from error


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
