"""The images of one folder or several, whose classes a table tells."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from covidnet.data.listing import Known
from covidnet.data.spelling import SIDES, by_name, known, plain
from covidnet.data.tables.keys import TableKeys
from covidnet.data.tables.labels import read_labels
from covidnet.data.tables.lost import lost_told
from covidnet.data.tables.places import find_images
from covidnet.data.tables.reading import Table
from covidnet.data.tables.rows import Describer, rows_by_image
from covidnet.data.tables.several import join_rows, read_tables
from covidnet.data.tables.words import CONTRADICTED, class_of
from covidnet.data.walk import holds_no_images, images_below, is_file, is_folder
from covidnet.errors import UserError, did_you_mean, short, some
from covidnet.imaging.kinds import DICOM, Kind

MOST_TOLD = 3  # names in a line


class TableListing:
    """The images below ``roots`` that a table names and gives one class; it is ``Labelled``.

    Args:
        roots: What the paths of a root's images begin with -> the folder below which they lie, at any depth; "" of an
            only root.
        files: The tables, each with the side of the split that its rows are on, "" where the table itself may tell.
        keys: How it is read.
        classes: Those wanted, in the order of their labels, or None for all.
        key: The setting that gave the folders, as an error names it.

    Raises:
        UserError: Where there is no such folder or table, or it gives no two classes of images that are there.
    """

    def __init__(
        self,
        roots: Mapping[str, Path],
        files: Mapping[Path, str],
        keys: TableKeys,
        classes: Sequence[str] | None,
        key: str,
    ) -> None:
        _refuse_odd_places(roots.values(), files, key)
        self.place = ", ".join(map(str, roots.values()))
        self._tables = read_tables(files, keys)
        self.columns = self._tables.columns
        self.ignored: list[tuple[str, str]] = []
        self._images = self._walk(roots, files)
        names = [row[self.columns["path"]] for row in self._tables.table.rows]
        self.found = find_images(names, list(self._images), roots, list(files), key)
        rows = rows_by_image(self._tables.table, self.columns["path"], self.found)
        self.table, self._numbers = join_rows(self._tables, rows)
        free = [index for index in range(len(self.table.columns)) if index not in self.columns.values()]
        self.labels = read_labels(self.table, self.columns.get("label"), free, classes, keys)
        self.classes = self.labels.names
        self._refuse_no_image(key)
        called = some([file.name for file in files], between=" or ")
        self.ignored += [(path, f"is in no row of {called}") for path in self._images if path not in self._numbers]
        self._read(keys)

    def _walk(self, roots: Mapping[str, Path], files: Iterable[Path]) -> dict[str, Kind]:
        """Return the images below all roots, sorted, by what they are; what is left out goes to ``ignored``."""
        found: dict[str, Kind] = {}
        own = {file.absolute() for file in files}
        for prefix, root in roots.items():
            images, ignored = images_below(root, lambda name: "" if holds_no_images(name) else None)
            found |= {prefix + path.relative_to(root).as_posix(): kind for path, kind in images.items()}
            others = [(path, why) for path, why in ignored if path.absolute() not in own]
            self.ignored += [(prefix + path.relative_to(root).as_posix(), why) for path, why in others]
        return dict(sorted(found.items(), key=lambda item: by_name(item[0])))

    def _read(self, keys: TableKeys) -> None:
        """Give each image its class and what else its rows say, or count why it has none."""
        describe = Describer(self.table, self.columns)
        side_of = _sides(self.table, self.columns.get("split"))
        self.paths: list[str] = []
        self.targets: list[int] = []
        self.left_out: Counter[str] = Counter()
        rows: dict[str, dict[str, str]] = {}
        sides: dict[str, str] = {}
        for path, numbers in sorted(self._numbers.items(), key=lambda item: by_name(item[0])):
            label = class_of([self.labels.words[number] for number in numbers], keys.disagree)
            told, odd = describe(numbers)
            given = {side for number in numbers if (side := side_of[number])}
            if odd or len(given) > 1:
                label = f"rows of two {odd or 'split'}s"
            if isinstance(label, str):
                self.left_out[label] += 1
                continue
            self.paths.append(path)
            self.targets.append(label)
            rows[path] = self._in_one_group(told, numbers)
            if given:
                sides[path] = given.pop()
        self._refuse_no_class()
        dicom = {path for path in self.paths if self._images[path] is DICOM}
        self.known = Known(rows, str(self.table.file), sides, self._told(), self._warned(), dicom)

    def _in_one_group(self, told: dict[str, str], numbers: Sequence[int]) -> dict[str, str]:
        """Return what is told of an image; those of a folder that a row names are a group, if no other is known."""
        name = self.table.rows[numbers[0]][self.columns["path"]]
        alone = name not in self.found.folders or told.get("patient") or told.get("group")
        return told if alone else {**told, "group": name}

    @property
    def class_counts(self) -> dict[str, int]:
        """Images per class, in the order of the labels."""
        counts = Counter(self.targets)
        return {name: counts[label] for label, name in enumerate(self.classes)}

    def _refuse_no_image(self, key: str) -> None:
        if self.found.paths or self.found.folders:
            return
        column = self.table.columns[self.columns["path"]]
        there = f"{len(self._images):,} images, such as {next(iter(self._images))!r}" if self._images else "no images"
        named = f", such as {short(repr(self.found.missing[0]))}" if self.found.missing else ""
        raise UserError(
            f"The column {column!r} of {self.table.file} names {len(self.found.missing):,} images{named}, but none of "
            f"them lies below {self.place}, which holds {there}. Change {key}, or say which column names the images: "
            "data.columns={path: COLUMN}."
        )

    def _refuse_no_class(self) -> None:
        empty = [name for name, count in self.class_counts.items() if not count]
        if empty:
            raise UserError(
                f"{self.table.file} gives no image below {self.place} to the classes {empty} alone. {self._counted()} "
                "Change data.labels, or leave these classes out of data.classes."
            )

    def _told(self) -> list[str]:
        """Return how the table was read and what came of it, a sentence each."""
        found, file = self.found, self.table.file
        told = list(self._tables.told)
        if not {"patient", "group"} & self.columns.keys():
            told.append(f"No column of {file} says of which patient an image is (data.columns={{patient: COLUMN}}).")
        if found.folders:
            inside = sum(map(len, found.folders.values()))
            told.append(f"{len(found.folders):,} of its names are folders: they hold {inside:,} images.")
        if found.loose:
            told.append(
                f"{found.loose:,} of its images were found by their names alone, in other folders than it says."
            )
        if self.labels.lacking:
            told.append(f"It has no label {some([repr(one) for one in self.labels.lacking], between=', ')}.")
        return [*told, self._counted()] if self.left_out else told

    def _warned(self) -> list[str]:
        """Return which rows match nothing, and what it means; of several tables their rows as they were read."""
        lost, images = self.found.missing, len(self._images)
        without = images - len(self._numbers)
        then = "without a class they take no part."
        table = self._tables.table
        return [lost_told(table, self.columns, lost, self.place, images, without, then)] if lost else []

    def _counted(self) -> str:
        """Return how many of the images have a class, and why the others have none."""
        unwanted = [f"{label} {count:,}" for label, count in self.labels.unwanted.most_common(MOST_TOLD)]
        others = f" (others are in rows: {some(unwanted, between=', ')})" if unwanted else ""
        rule = " (data.disagree joins them)" if CONTRADICTED in self.left_out else ""
        reasons = [f"{count:,} with {why}" for why, count in self.left_out.most_common()]
        return (
            f"{len(self.paths):,} of the {len(self._numbers):,} images that are there are of one class; left out: "
            f"{', '.join(reasons) or 'none'}{rule}{others}."
        )


def _refuse_odd_places(roots: Iterable[Path], files: Collection[Path], key: str) -> None:
    """Refuse what is no folder of images, and a table that is not there, but in a root."""
    for root in roots:
        if not is_folder(root):
            raise UserError(
                f"{short(root)} is no folder, but {key} must be the one below which the images of "
                f"{some([str(file) for file in files])} lie, at any depth."
            )
        for file in files:
            if not is_file(file) and not file.is_absolute() and is_file(root / file):
                raise UserError(
                    f"data.table={file} is not there, but {root / file} is: did you mean data.table={root / file}?"
                )


def _sides(table: Table, column: int | None) -> list[str]:
    """Return the side of the split on which the table puts each row, "" where it puts it on none.

    Raises:
        UserError: Where a column of splits holds something else.
    """
    if column is None:
        return [""] * len(table.rows)
    cells = {row[column] for row in table.rows}
    sides = {cell: SIDES.get(plain(cell), "") for cell in cells}
    odd = sorted(cell for cell in cells if known(cell) and not sides[cell])
    if odd:
        raise UserError(
            f"The column {table.columns[column]!r} of {table.file} has the values "
            f"{some([repr(cell) for cell in sorted(cells)], between=', ')}, but a split is train, val or test."
            f"{did_you_mean(odd[0], SIDES)} Mend it, or say that no column is one: data.columns={{split: none}}."
        )
    return [sides[row[column]] for row in table.rows]
