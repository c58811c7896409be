"""Who goes where: the images and what links them -> training, validation and test; and what is told of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidnet.data.division.given import follow_sides
from covidnet.data.division.metadata import Metadata, linked_groups
from covidnet.data.division.sources import UNKNOWN, balanced_weights, sources_of
from covidnet.data.division.split import TEST_PREFIX, Split, read_split, seeded_split
from covidnet.errors import UserError, some

FEW_PATIENTS = 5  # of a class in the test, one of them with several images: fewer are told of 10 images and more
NO_SOURCES = (
    "data.balance=source: no table names the source of any training image, so classes alone are balanced. "
    "Give one with the columns path and source (data.metadata); covidnet audit begins one."
)


@dataclass(frozen=True, eq=False)
class Division:
    """Images that are to be divided, and by what; nothing here opens an image.

    Attributes:
        paths: N paths, those of the test root last; these begin with ``test:``.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        pairs: (P, 2) numbers of images that show one radiograph.
        table: Which images are of one patient, group or source, if a table tells.
        sides: Path -> split, where the data set gives one; empty where it is drawn.
        use_val: Validate on the images that are given for it, however few.
        tested_apart: Whether the images of a test root are the test, and no other.
        seed: Of the draw.
        val_fraction: Share of the images outside the test that validate.
        test_per_class: Images a class that are held out, where they are not tested apart.
        altered: What is told of copies that do not lie as the other image does, as "12 mirrored".
    """

    paths: Sequence[str]
    labels: Sequence[int]
    classes: Sequence[str]
    pairs: NDArray[np.int64]
    table: Metadata | None
    sides: Mapping[str, str]
    use_val: bool
    tested_apart: bool
    seed: int
    val_fraction: float
    test_per_class: int
    altered: str = ""

    @property
    def rows(self) -> Mapping[str, Mapping[str, str]]:
        """The table's rows by path; none without a table."""
        return self.table.rows if self.table else {}

    @cached_property
    def own(self) -> int:
        """How many images are of the root: the first ones."""
        return sum(not path.startswith(TEST_PREFIX) for path in self.paths)

    @cached_property
    def patients(self) -> NDArray[np.int64]:
        """A number for each image (N,): those that patients, groups or duplicates link share it."""
        return np.array(linked_groups(self.paths, self.rows, self.pairs), dtype=np.int64)

    def draw(self) -> Split:
        """Draw the split of the images of the root, each chain of patients, groups and duplicates on one side.

        Where the data set gives sides they are followed as they are, and what they lack is drawn.
        """
        return self._given[0] if self.sides else self._draw(self.pairs)

    def follow(self, file: Path) -> tuple[Split, list[str]]:
        """Read the split from a file; return it and the images that the file does not name.

        Raises:
            UserError: As ``read_split``, and where no image of a class trains.
        """
        split, unnamed = read_split(file, self.paths, self.labels, self.classes)
        self._refuse_untrained(split, str(file), "data.split_file")
        return split, unnamed

    def _refuse_untrained(self, split: Split, origin: str, key: str) -> None:
        lacking = set(range(len(self.classes))) - {self.labels[number] for number in split.train}
        if lacking:
            names = [self.classes[label] for label in sorted(lacking)]
            raise UserError(
                f"{origin} has no training images of {names}. Change {key}, or leave these classes out of data.classes."
            )

    def source_weights(self, numbers: Sequence[int]) -> NDArray[np.float64] | None:
        """Return the weight of each of these images, or None where no table tells the source of any."""
        sources = sources_of([self.paths[number] for number in numbers], self.rows)
        if set(sources) == {UNKNOWN}:
            return None
        return balanced_weights(sources, [self.labels[number] for number in numbers])

    def told(self, split: Split, listed: int) -> list[str]:
        """Return what links images, a sentence each; ``listed`` images were found, readable or not."""
        lines = self._given[1] if self.sides else []
        links = self._links_told(self.table, listed) if self.table else None
        duplicates = self._duplicates_told(split) if len(self.pairs) and not self.sides else None
        return [*lines, *filter(None, (links, duplicates))]

    def warned(self, split: Split, place: str, *, given: bool, drawn: bool) -> list[str]:
        """Return why a test may say too much, a sentence each, of a split that the data give or that was drawn."""
        astride = self.astride_told(split) if given else None
        return [line for line in (astride, self.leaks_told(place) if drawn else None) if line]

    def astride_told(self, split: Split) -> str | None:
        """Return which patients, groups or radiographs a split that was given has on two sides; None where none is."""
        side = {number: name for name, numbers in split.items() for number in numbers}
        sides: dict[int, set[str]] = {}
        for number, name in side.items():
            sides.setdefault(int(self.patients[number]), set()).add(name)
        astride = {group for group, names in sides.items() if len(names) > 1}
        if not astride:
            return None
        held = [number for number in sorted(side) if int(self.patients[number]) in astride]
        tested = sum(side[number] == "test" for number in held)
        first = [self.paths[number] for number in held if self.patients[number] == self.patients[held[0]]]
        return (
            f"{len(astride):,} patients or groups of copies have images on two sides of the split that was given, "
            f"{tested:,} test images among them (such as {some(first, 2)}): what the test says of unseen patients is "
            "too good."
        )

    def few_told(self, split: Split) -> str | None:
        """Return which classes' test images are of very few patients, where images are linked; None where none are."""
        lines = []
        for label, name in enumerate(self.classes):
            numbers = [number for number in split.test if self.labels[number] == label]
            sizes = Counter(int(self.patients[number]) for number in numbers).most_common()
            if not sizes or sizes[0][1] == 1:  # no two are linked
                continue
            if 2 * sizes[0][1] <= len(numbers) and (len(sizes) >= FEW_PATIENTS or len(numbers) < 2 * FEW_PATIENTS):
                continue
            largest = next(self.paths[number] for number in numbers if self.patients[number] == sizes[0][0])
            lines.append(f"the {len(numbers):,} of {name} are of {len(sizes):,}, {sizes[0][1]:,} of one ({largest})")
        if not lines:
            return None
        return (
            f"Of the test images, by patients or groups of copies: {'; '.join(lines)}. What the test says of such a "
            "class it says of these people. Another data.seed or a larger data.test_per_class may bring others."
        )

    def _links_told(self, table: Metadata, listed: int) -> str | None:
        groups = Counter(linked_groups(self.paths, self.rows))
        linked = [size for size in groups.values() if size > 1]
        unnamed = listed - sum(not path.startswith(TEST_PREFIX) for path in self.rows)
        if not linked and not unnamed:
            return None
        return (
            f"{table.origin}: {sum(linked)} images are linked by patient or group into {len(linked)} groups"
            f"{'' if self.sides else ', each on one side of the split'}"
            f"{f'; {unnamed} images are not in the table' if unnamed else ''}."
        )

    def _duplicates_told(self, split: Split) -> str:
        """Return how many images are duplicates, and how many of them a split moved that knows none."""
        sides = [
            {number: name for name, numbers in drawn.items() for number in numbers}
            for drawn in (split, self._draw(self.pairs[:0]))
        ]
        moved = sum(sides[0][number] != sides[1][number] for number in sides[0])
        return (
            f"{len(np.unique(self.pairs))} images show a radiograph that another image shows too"
            f"{f' ({self.altered})' if self.altered else ''}; each such group is"
            f" on one side of the split, which moved {moved} images (data.duplicates=false leaves them apart)."
        )

    def leaks_told(self, root: str) -> str | None:
        """Return which images of the test root show a radiograph of the roots, which a message calls ``root``."""
        leaked = self.pairs[(self.pairs < self.own).sum(axis=1) == 1].max(axis=1, initial=0)
        if not len(leaked):
            return None
        names = [self.paths[number] for number in np.unique(leaked)]
        return f"{len(names)} test images show a radiograph that is in {root} too: {some(names)}"

    @cached_property
    def _given(self) -> tuple[Split, list[str]]:
        """The split that the data give, completed where it lacks something, and what the user is told of it."""
        split, told = follow_sides(
            self.paths[: self.own],
            self.labels[: self.own],
            self.patients[: self.own].tolist(),
            self.classes,
            self.sides,
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_per_class=0 if self.tested_apart else self.test_per_class,
            use_val=self.use_val,
        )
        self._refuse_untrained(split, "The split that the data give", "data.use_split")
        return self._with_apart(split), told

    def _draw(self, pairs: NDArray[np.int64]) -> Split:
        paths, labels = self.paths[: self.own], self.labels[: self.own]
        split = seeded_split(
            paths,
            labels,
            linked_groups(paths, self.rows, pairs[(pairs < self.own).all(axis=1)]),
            self.classes,
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_per_class=0 if self.tested_apart else self.test_per_class,
        )
        return self._with_apart(split)

    def _with_apart(self, split: Split) -> Split:
        return Split(split.train, split.val, list(range(self.own, len(self.paths)))) if self.tested_apart else split
