"""``covidnet compare RUN RUN``: whether one run's model is better than another's, paired on the same test images."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from covidnet.data.metadata import find_metadata, linked_groups, read_metadata
from covidnet.errors import UserError
from covidnet.evaluation.comparison import compare_outputs
from covidnet.results import PREDICTIONS

PREFIX = "prob_"


@dataclass(frozen=True)
class Predictions:
    """A run's predictions.csv, one entry an image."""

    classes: list[str]
    labels: dict[str, str]  # path -> class
    probabilities: dict[str, dict[str, float]]  # path -> class -> probability


class ImageFolder(NamedTuple):
    """Where a run's images are."""

    root: Path
    metadata: str | None  # data.metadata: a table, "none", or None to look for one


def compare_runs(first: Path, second: Path) -> dict[str, Any]:
    """Compare two runs on the test images that both have, matched by their paths.

    Returns:
        What ``evaluation.comparison.compare_outputs`` does, second minus first; ``first`` and ``second``, the run
        directories; ``classes``; ``images``, how many are compared; ``left_out``, how many of each run are not;
        ``patients``, their number, or None where every image counts as independent; ``notes``, what limits all this.

    Raises:
        UserError: Where predictions are missing, or the runs' classes, labels or images do not agree.
    """
    one, two = read_predictions(first), read_predictions(second)
    if set(one.classes) != set(two.classes):
        raise UserError(
            f"{first} tells {one.classes} apart, {second} tells {two.classes}. Compare runs of the same classes: "
            "train one of them with the data.classes of the other."
        )
    paths = [path for path in one.labels if path in two.labels]
    if not paths:
        raise UserError(
            f"{first} and {second} have no test image in common: {next(iter(one.labels))} is one of the first's, "
            f"{next(iter(two.labels))} of the second's. Compare runs with the same data.root and data.seed, or give "
            f"one data.split_file={first / 'split.csv'}."
        )
    unlike = [path for path in paths if one.labels[path] != two.labels[path]]
    if unlike:
        path = unlike[0]
        raise UserError(
            f"{path} is {one.labels[path]} in {first} and {two.labels[path]} in {second}, and so for {len(unlike)} of "
            f"{len(paths)} images: the runs' data.root do not hold the same images."
        )
    left_out = [len(model.labels) - len(paths) for model in (one, two)]
    notes = []
    if any(left_out):
        notes.append(
            f"Compared on the {len(paths)} test images that both runs have; {left_out[0]} of the first and "
            f"{left_out[1]} of the second are left out."
        )
    folders = [known for known in map(_images_of, (first, second)) if known]
    if len({folder.root.resolve() for folder in folders}) > 1:
        notes.append(
            f"The runs read different folders, {folders[0].root} and {folders[1].root}: images are matched by their "
            "paths below them."
        )
    groups, told = _patients(folders, paths)
    labels = np.array([one.classes.index(one.labels[path]) for path in paths])
    found = compare_outputs(_matrix(one, paths, one.classes), _matrix(two, paths, one.classes), labels, groups)
    return {
        "first": str(first),
        "second": str(second),
        "classes": one.classes,
        "images": len(paths),
        "left_out": left_out,
        "patients": len(np.unique(groups)) if groups is not None else None,
        **found,
        "notes": [*notes, told],
    }


def read_predictions(run: Path) -> Predictions:
    """Read a run's ``predictions.csv``.

    Raises:
        UserError: Where it is missing or is none.
    """
    file = run / PREDICTIONS
    if not run.is_dir():
        raise UserError(f"{run} is no folder; give a run directory, such as runs/convnet/version_0.")
    if not file.is_file():
        raise UserError(
            f"{run} holds no {PREDICTIONS}. Write one and compare the folder that it names:\n"
            f"python train.py predict ckpt_path={run / 'checkpoints' / 'best.ckpt'}"
        )
    try:
        with file.open(newline="", encoding="utf-8", errors="surrogatepass") as lines:
            rows = list(csv.DictReader(lines, strict=True))
        classes = [column.removeprefix(PREFIX) for column in rows[0] if column.startswith(PREFIX)]
        labels = {row["path"]: row["label"] for row in rows}
        probabilities = {row["path"]: {name: float(row[f"{PREFIX}{name}"]) for name in classes} for row in rows}
        whole = len(classes) > 1 and set(labels.values()) <= set(classes)
    except (OSError, UnicodeDecodeError, csv.Error, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} cannot be read as predictions: {error!r}. Write it anew with predict.") from error
    if not whole:
        raise UserError(f"{file} has no {PREFIX}<class> column for each of its labels. Write it anew with predict.")
    return Predictions(classes, labels, probabilities)


def print_comparison(found: dict[str, Any]) -> None:
    """Print a comparison: its notes, each metric of both runs, McNemar's test and the sentence."""
    table = Table(title=f"first: {found['first']}\nsecond: {found['second']}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("metric")
    for column in ("first", "second", "second - first [95 %]"):
        table.add_column(column, justify="right")
    for name, values in found["metrics"].items():
        limits = values["interval"]
        interval = f" [{limits[0]:+.3f}, {limits[1]:+.3f}]" if limits else ""
        difference = f"{values['difference']:+.3f}{interval}"
        table.add_row(name.replace("_", " "), f"{values['first']:.4f}", f"{values['second']:.4f}", difference)
    console = Console(highlight=False, markup=False)
    console.print(table)
    for note in found["notes"]:
        console.print(note, soft_wrap=True)
    test = found["mcnemar"]
    units = "images" if found["patients"] is None else "patients"
    console.print(
        f"Exact McNemar: the first is better on {test['first_better']} {units}, the second on "
        f"{test['second_better']}, p = {test['p_value']:.2g}.",
        soft_wrap=True,
    )
    console.print(found["sentence"], soft_wrap=True)


def _matrix(model: Predictions, paths: list[str], classes: list[str]) -> NDArray[np.float64]:
    """Return the probabilities (N, C) of the images in the order of ``paths`` and ``classes``."""
    return np.array([[model.probabilities[path][name] for name in classes] for path in paths])


def _patients(folders: Sequence[ImageFolder], paths: list[str]) -> tuple[NDArray[np.int64] | None, str]:
    """Return a number for each image's patient or group, or None, and what is known of them in words."""
    alone = "every image counts as independent."
    if not folders:
        return None, f"The folder of the images is not there any more: {alone}"
    root, given = folders[0].root, folders[0].metadata
    if given == "none":
        return None, f"Without a table of patients (data.metadata=none), {alone}"
    file = Path(given).expanduser() if given else find_metadata(root)
    if file is None or not file.is_file():
        return None, f"{file or f'A metadata.csv in {root} or beside it'} is not there: {alone}"
    table = read_metadata(file, root, paths)
    if not table.rows:
        return None, f"{file} names none of these images: {alone}"
    groups = np.array(linked_groups(paths, table.rows))
    return groups, f"The {len(paths)} images are of {len(np.unique(groups))} patients or groups, as {file} tells."


def _images_of(run: Path) -> ImageFolder | None:
    """Return where a run's images and their table are; None where that is not known or the folder is gone."""
    try:
        section = yaml.safe_load((run / "config.yaml").read_text("utf-8"))["data"]
        module = resolve_name(section["class_path"])(**section["init_args"])  # knows the default root
        folder = ImageFolder(module.root, module.given_metadata)
    # A run of another version, or of a class that is not here.
    except (OSError, yaml.YAMLError, KeyError, TypeError, ImportError, AttributeError, ValueError):
        return None
    return folder if folder.root.is_dir() else None
