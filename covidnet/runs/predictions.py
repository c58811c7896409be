"""The predictions of a run: a row an image, written and read back."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.data.spelling import Spellings, composed
from covidnet.errors import UserError
from covidnet.evaluation.ensembles import joined
from covidnet.files.reading import read_table
from covidnet.files.whole import whole
from covidnet.runs.files import reason_of

PROBABILITY = "prob_"  # begins the columns of predictions.csv that hold one, and a class's name ends them


def write_predictions(
    file: Path,
    paths: Sequence[str],
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    more: Mapping[str, Sequence[str | int]] | None = None,
) -> None:
    """Write the softmax of ``logits`` (N, C) as ``write_probabilities`` does."""
    probabilities = softmax(np.asarray(logits, dtype=np.float64), axis=1)
    write_probabilities(file, paths, probabilities, labels, classes, more)


def write_probabilities(
    file: Path,
    paths: Sequence[str],
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    more: Mapping[str, Sequence[str | int]] | None = None,
) -> None:
    """Write ``path, label, predicted, prob_<class> ...``, one row an image in the order of the data.

    The file is written whole or not at all.

    Args:
        file: Where to.
        paths: N paths, POSIX, relative to the root.
        probabilities: (N, C).
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        more: What else is known of the images: columns of N values, by name.
    """
    more = more or {}
    rest = zip(*more.values(), strict=True) if more else [()] * len(paths)
    with whole(file, newline="", encoding="utf-8", errors="surrogatepass") as lines:
        writer = csv.writer(lines)
        writer.writerow(["path", "label", "predicted", *(f"{PROBABILITY}{name}" for name in classes), *more])
        for path, label, row, known in zip(paths, labels, probabilities, rest, strict=True):
            writer.writerow([path, classes[label], classes[row.argmax()], *(f"{p:.9g}" for p in row), *known])


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

    def spelt_as(self, paths: Iterable[str]) -> "Predictions":
        """Return the same, each image by the name that it has among ``paths``, if it is one of them."""
        known = Spellings(paths)
        return replace(self, paths=[known.find(path) or path for path in self.paths])

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


def together(several: Sequence[Predictions]) -> Predictions:
    """Return what models say together, the softmax of their mean logits, of the images that all of them tell of.

    Images, their order and what else is known of them are those of the first.

    Raises:
        UserError: Where they tell other classes apart, or give an image other labels.
    """
    first, others = several[0], [one.spelt_as(several[0].paths) for one in several[1:]]
    shared = set(first.paths).intersection(*(one.paths for one in others))
    paths = [path for path in first.paths if path in shared]
    if any({*one.classes} != {*first.classes} for one in others):
        raise UserError(f"Not all runs tell {first.classes} apart, so that they are no ensemble.")
    matched = [one.of(paths, first.classes) for one in (first, *others)]
    if any((one.labels != matched[0].labels).any() for one in matched):
        raise UserError("The runs give an image different labels, so that they are no ensemble.")
    logits = joined(np.stack([one.probabilities for one in matched]))
    return replace(matched[0], probabilities=softmax(logits, axis=1))


def read_predictions(file: Path) -> Predictions:
    """Read what ``results.write_predictions`` wrote; the names of classes are composed.

    Raises:
        UserError: Where the file cannot be read as such.
    """
    try:
        columns, rows = read_table(file, strict=True)
        own = [name for name in columns if name.startswith(PROBABILITY)]
        classes = [composed(name.removeprefix(PROBABILITY)) for name in own]
        number = {name: label for label, name in enumerate(classes)}
        probabilities = np.array([[float(row[name]) for name in own] for row in rows])
        if not rows or len(number) != len(classes) or not np.all((probabilities >= 0) & (probabilities <= 1)):
            raise ValueError("it holds no image, a class twice, or what is no probability")
        if any(None in row.values() or None in row for row in rows):
            raise ValueError("a row has fewer or more values than there are columns")
        return Predictions(
            [row["path"] for row in rows],
            np.array([number[composed(row["label"])] for row in rows], dtype=np.int64),
            probabilities,
            classes,
            [composed(row["source"]) for row in rows] if "source" in columns else None,
            np.array([int(row["patient"]) for row in rows], dtype=np.int64) if "patient" in columns else None,
        )
    except (OSError, csv.Error, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{file} cannot be read as predictions: {reason_of(error)}. Move it away and write it anew."
        ) from error
