"""Rows of a table that name no image which is there: told with what that means for the split."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from covidnet.data.listing import Naming
from covidnet.data.spelling import known
from covidnet.data.tables.places import find_images
from covidnet.data.tables.reading import Table
from covidnet.data.walk import holds_no_images, images_below, is_file
from covidnet.errors import UserError, some

MOST_TOLD = 3  # names in a line


def nowhere(
    missing: Sequence[str], paths: Sequence[str], root: Path, table: Path, key: str, *, search: bool
) -> list[str]:
    """Return which of the names that mean none of the images ``paths`` mean no other image either.

    Others are of classes that were not asked for, or of a folder beside the root.

    Args:
        missing: Names in the table.
        paths: POSIX, below the root.
        root: The folder of the images.
        table: The table's file.
        key: The setting that gave the table, as an error names it.
        search: Look for the others everywhere below the root.
    """
    beside = [place for place in (root, table.absolute().parent) if place.is_dir()]
    lost = [name for name in missing if not any(is_file(place / name) for place in beside)]
    if not (lost and search):
        return lost
    below, _ = images_below(root, lambda name: "" if holds_no_images(name) else None)
    others = sorted({path.relative_to(root).as_posix() for path in below} - set(paths))
    try:
        return find_images(lost, others, {"": root}, [table], key).missing
    except UserError:  # of names that mean several of them
        return lost


def lost_told(
    table: Table, columns: Mapping[str, int], lost: Sequence[str], place: str, images: int, unnamed: int, then: str
) -> str:
    """Return which rows match no image, which patients that leaves without one, and what it means for the split.

    Args:
        table: Any.
        columns: The number of the column that says each thing; "path" is one.
        lost: The names that match nothing, one or more.
        place: Where the images lie, for a message.
        images: How many are there.
        unnamed: How many of them are in no row.
        then: What becomes of these.
    """
    gone, named = set(lost), {row[columns["path"]] for row in table.rows}
    bare = f"{len(gone):,} of the {len(named - {''}):,} images that {table.file} names are not below {place}"
    told = ""
    if "patient" in columns:
        cells = [(known(row[columns["patient"]]), row[columns["path"]] in gone) for row in table.rows]
        patients = {cell for cell, _ in cells if cell}
        without = patients - {cell for cell, is_gone in cells if not is_gone}
        told = f" So {len(without):,} of its {len(patients):,} patients have no image." if without else ""
    if not unnamed:
        told += f" Each of the {images:,} images that are there has its row: the split lacks nothing of them."
    else:
        told += f" And {unnamed:,} of the {images:,} images there are in no row: {then} Are table and files of one set?"
    return Naming(f"{bare}: {some([repr(name) for name in lost], MOST_TOLD, ', ')}.{told}", f"{bare}.{told}")
