"""The optional table ``path, patient, group, source``: which images belong together."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidnet.errors import UserError, short
from covidnet.files.reading import UNREADABLE, read_table
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


def find_metadata(root: Path) -> Path | None:
    """Return the table in ``root`` or else in its parent folder."""
    folder = root.absolute()
    return next((path for path in (folder / NAME, folder.parent / NAME) if path.is_file()), None)


def read_metadata(file: Path, root: Path, paths: Sequence[str], key: str = "data.metadata") -> Metadata:
    """Read ``file`` for the images ``paths`` (POSIX, below ``root``).

    A row's path is taken as relative to ``root`` or, where no image is there, to the table's own folder. Errors name
    the setting ``key``.

    Raises:
        UserError: Where the file is missing, is no UTF-8 CSV, has no column ``path``, or names one image twice with
            different values.
    """
    try:
        columns, records = read_table(file, spaces=True, pipes=True)
    except UNREADABLE as error:
        raise UserError(f"{file} cannot be read as a CSV table: {error}. Change {key} (or none).") from error
    if "path" not in columns:
        raise UserError(
            f"{file} has the columns {short(columns)}, but {key} needs a column 'path' "
            f"(and may have patient, group and source). Give {key}=none to go without."
        )
    known = set(paths)
    rows: dict[str, dict[str, str]] = {}
    unmatched = 0
    for record in records:
        path = _path_below(root, file.parent, (record["path"] or "").strip().replace("\\", "/"), known)
        row = {column: (value or "").strip() for column, value in record.items() if column and column != "path"}
        if path is None:
            unmatched += 1
        elif rows.setdefault(path, row) != row:
            raise UserError(f"{file} names {path} twice with different values. Mend the table, or {key}=none.")
    return Metadata(str(file), rows, unmatched)


def merge_rows(first: Metadata | None, second: Metadata | None) -> Metadata | None:
    """Return what both know, the second before the first where both say something of one image."""
    if not (first and second):
        return first or second
    rows = {path: dict(row) for path, row in first.rows.items()}
    for path, row in second.rows.items():
        rows.setdefault(path, {}).update({column: value for column, value in row.items() if value})
    return Metadata(f"{first.origin} and {second.origin}", rows, first.unmatched + second.unmatched)


def write_metadata(file: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the table, whole or not at all."""
    with whole(file, newline="", encoding="utf-8", errors="surrogatepass") as lines:
        writer = csv.DictWriter(lines, COLUMNS)
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


def _path_below(root: Path, folder: Path, path: str, known: set[str]) -> str | None:
    if path in known:
        return path
    try:
        relative = (folder / path).absolute().relative_to(root.absolute()).as_posix()
    except ValueError:
        return None
    return relative if relative in known else None
