"""The optional table ``path, patient, group, source``: which images belong together."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidnet.data.tables.columns import OURS, find_columns, told_of_reading
from covidnet.data.tables.lost import lost_told, nowhere
from covidnet.data.tables.places import find_images
from covidnet.data.tables.reading import read_any_table
from covidnet.data.tables.rows import Describer, rows_by_image
from covidnet.errors import UserError, short
from covidnet.files.whole import whole

NAME = "metadata.csv"
COLUMNS = ("path", "patient", "group", "source")
LINKS = ("patient", "group")  # images that share either are never split


@dataclass(frozen=True)
class Metadata:
    """What is known of images by their paths; an empty cell means unknown."""

    origin: str  # what says so, as a sentence names it: a file or a key
    rows: Mapping[str, Mapping[str, str]]  # path below the root -> column -> value
    unmatched: int = 0  # rows that name no image of the folder
    told: Sequence[str] = ()  # how the table was read, where that was a guess, a sentence each
    warned: Sequence[str] = ()  # rows that name no image which is there, and what that means, a sentence each


def find_metadata(root: Path) -> Path | None:
    """Return the table in ``root`` or else in its parent folder."""
    folder = root.absolute()
    return next((path for path in (folder / NAME, folder.parent / NAME) if path.is_file()), None)


def read_metadata(
    file: Path,
    root: Path,
    paths: Sequence[str],
    key: str = "data.metadata",
    columns: Mapping[str, str] | None = None,
    *,
    own: bool = True,
) -> Metadata:
    """Read a table, of whatever make, for the images ``paths`` (POSIX, below ``root``).

    Its columns go by well-known names, and others are kept; what says that a patient, group or source is unknown is
    empty. A row's path is taken as relative to ``root``, to the table's own folder, or as ``find_images`` finds it.

    Args:
        file: The table.
        root: The folder of the images.
        paths: N paths.
        key: The setting that gave the table, as an error names it.
        columns: What a column says -> its name, or "none"; as ``data.columns`` gives it.
        own: Whether ``root`` holds these images and no others, but of classes that were not asked for.

    Raises:
        UserError: Where the file is missing, is no table, has no column of paths, or gives one image two patients,
            groups or sources.
    """
    table = read_any_table(file, f"{key} (or none)")
    found, guessed = find_columns(table, columns or {}, OURS, "data.columns")
    if "path" not in found:
        say = ", say which it is (data.columns={path: COLUMN})" if key == "data.metadata" else ""
        raise UserError(
            f"{file} has the columns {short(table.columns)}, but {key} needs a column 'path' (and may have patient, "
            f"group and source). Rename one{say}, or give {key}=none to go without."
        )
    names = [row[found["path"]] for row in table.rows]
    images = find_images(names, paths, {"": root}, [file], key)
    describe = Describer(table, found)
    rows: dict[str, Mapping[str, str]] = {}
    for path, numbers in rows_by_image(table, found["path"], images).items():
        rows[path], odd = describe(numbers)
        if odd:
            raise UserError(f"{file} names {path} twice with different values of {odd}. Mend the table, or {key}=none.")
    there = images.paths.keys() | images.folders.keys()
    unmatched = sum(name not in there for name in names)
    lost = nowhere(images.missing, paths, root, file, key, search=own)
    then = "nobody knows whose they are, and images of one patient may stand in training and in test."
    warned = [lost_told(table, found, lost, str(root), len(paths), len(paths) - len(rows), then)] if lost else []
    return Metadata(str(file), rows, unmatched, told_of_reading(table, guessed), warned)


def merge_rows(first: Metadata | None, second: Metadata | None) -> Metadata | None:
    """Return what both know, the second before the first where both say something of one image."""
    if not (first and second):
        return first or second
    rows = {path: dict(row) for path, row in first.rows.items()}
    for path, row in second.rows.items():
        rows.setdefault(path, {}).update({column: value for column, value in row.items() if value})
    origin = first.origin if first.origin.endswith(second.origin) else f"{first.origin} and {second.origin}"
    told, warned = [*first.told, *second.told], [*first.warned, *second.warned]
    return Metadata(origin, rows, first.unmatched + second.unmatched, told, warned)


def write_metadata(file: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the table, whole or not at all: path, patient, group and source, then whatever else the rows have."""
    columns = list(dict.fromkeys((*COLUMNS, *(column for row in rows for column in row))))
    with whole(file, newline="", encoding="utf-8", errors="surrogatepass") as lines:
        writer = csv.DictWriter(lines, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def linked_groups(
    paths: Sequence[str], rows: Mapping[str, Mapping[str, str]], pairs: NDArray[np.int64] | None = None
) -> list[int]:
    """Return a group number for each image: two images share it if a chain of patients, groups and pairs links them.

    ``pairs`` (P, 2) numbers images that are known to belong together, such as duplicates.

    The connected components come from SciPy, which scikit-learn brings.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names: dict[tuple[str, str], int] = {}
    edges = [
        (image, names.setdefault((column, value), len(names)))
        for image, path in enumerate(paths)
        for column in LINKS
        if (value := rows.get(path, {}).get(column))
    ]
    size = len(paths) + len(names)
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2) + np.array([0, len(paths)])
    if pairs is not None:
        ends = np.concatenate([ends, pairs])
    graph = coo_array((np.ones(len(ends)), tuple(ends.T)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    return [int(component) for component in components[: len(paths)]]
