"""Folds of a cross-validation: each image in one, groups whole, classes alike; and the split that a fold trains by."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from covidnet.data.division.split import Split, draw_units, take_validation, write_split
from covidnet.errors import UserError
from covidnet.files.whole import whole

TO_TRAIN = 2  # groups of a class that a fold leaves at least: one to learn it from, one to validate on


@dataclass(frozen=True)
class Folds:
    """In which fold each of N images is.

    Attributes:
        paths: N paths.
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number that linked images share.
        classes: Names of the C classes.
        numbers: (N,) the fold of each image, from 1.
        seed: Of the folds and of what validates.
        val_fraction: Share of the images outside a fold that validate.
    """

    paths: list[str]
    labels: list[int]
    groups: list[int]
    classes: list[str]
    numbers: list[int]
    seed: int
    val_fraction: float

    def split(self, number: int) -> Split:
        """Return the split that tests a fold: its validation images are drawn from the rest, others in each fold.

        Raises:
            UserError: Where a class is left without validation or training images.
        """
        units = draw_units(self.paths, self.groups, f"{self.seed}, fold {number}")
        rest = [unit for unit in units if self.numbers[unit[0]] != number]
        val, train = ([n for unit in part for n in unit] for part in self._taken(rest))
        held = [{self.labels[n] for n in side} for side in (val, train)]
        lacking = [name for label, name in enumerate(self.classes) if not all(label in side for side in held)]
        if lacking:
            raise UserError(
                f"Without fold {number}, {lacking} cannot be both trained and validated on: large groups hold nearly "
                "all of it. Change data.val_fraction, data.seed or k."
            )
        return Split(sorted(train), sorted(val), [n for n, own in enumerate(self.numbers) if own == number])

    def write(self, file: Path) -> None:
        """Write ``path, label, fold``, one row an image, sorted by path; whole or not at all."""
        rows = sorted(zip(self.paths, (self.classes[label] for label in self.labels), self.numbers, strict=True))
        with whole(file, newline="", encoding="utf-8", errors="surrogatepass") as lines:  # names of any bytes
            csv.writer(lines).writerows([["path", "label", "fold"], *rows])

    def write_split(self, file: Path, split: Split) -> None:
        """Write one of the splits as ``split.write_split`` does."""
        write_split(file, split, self.paths, self.labels, self.classes)

    def _taken(self, units: list[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
        return take_validation(units, self.labels, len(self.classes), self.val_fraction)


def deal_folds(
    paths: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[int],
    classes: Sequence[str],
    *,
    k: int,
    seed: int,
    val_fraction: float,
) -> Folds:
    """Divide N images into k folds, stratified by class, whole groups in one.

    Groups come the largest first, those of one size in the order of a hash (`draw_units`), so that the same files and
    seed give the same folds on any machine, in any listing order, with any version of any library. Each goes to the
    fold that holds least of its classes, measured as shares of these: the sum over folds of their squares grows least.

    Args:
        paths: N paths.
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number that linked images share.
        classes: Names of the C classes.
        k: How many folds.
        seed: Of the folds, and of what each validates on.
        val_fraction: Share of the images outside a fold that validate.

    Raises:
        UserError: Where a fold would test no image of a class, or leave too few groups of it to train and validate on.
    """
    if k < 2:
        raise UserError(f"k={k} must be 2 or more folds: each is tested by a model that the others trained.")
    units = sorted(draw_units(paths, groups, str(seed)), key=len, reverse=True)
    totals, linked = Counter(labels), Counter(label for unit in units for label in {labels[n] for n in unit})
    _refuse_poor([label for label in range(len(classes)) if linked[label] < k], k, classes, linked, totals)
    numbers, sizes = [0] * len(paths), [0] * k
    images = [Counter[int]() for _ in range(k)]  # of each class in each fold
    held = [Counter[int]() for _ in range(k)]  # groups that hold some of each class
    for unit in units:
        own = sorted(Counter(labels[n] for n in unit).items())
        growth = [sum(there[label] * n / totals[label] ** 2 for label, n in own) for there in images]
        chosen = min(range(k), key=lambda fold: (growth[fold], sizes[fold]))
        images[chosen].update(dict(own))
        held[chosen].update(label for label, _ in own)
        sizes[chosen] += len(unit)
        for n in unit:
            numbers[n] = chosen + 1
    of_class = {label: [there[label] for there in held] for label in range(len(classes))}
    poor = [label for label, own in of_class.items() if min(own) < 1 or sum(own) - max(own) < TO_TRAIN]
    _refuse_poor(poor, k, classes, linked, totals)
    return Folds([*paths], [*labels], [*groups], [*classes], numbers, seed, val_fraction)


def _refuse_poor(
    poor: Sequence[int], k: int, classes: Sequence[str], linked: Counter[int], images: Counter[int]
) -> None:
    """Refuse folds of which one lacks a class, or leaves too little of it."""
    if poor:
        told = ", ".join(f"{classes[label]} has {linked[label]:,} ({images[label]:,} images)" for label in poor)
        raise UserError(
            f"k={k}: each fold must test a patient, or group of linked images, of every class, and leave {TO_TRAIN} to "
            f"train and to validate on, but {told}. Change k, or leave such a class out of data.classes."
        )
