"""What the files in a folder of lung masks are called, and whether all in it are ours; nothing heavy is imported here.

The mask of ``ROOT/a/b/NAME.jpg`` is ``OUT/a/b/NAME.png``, or ``OUT/a/b/NAME.jpg.png`` for all images where two files
would have one name, or an image has no ending that is known.
"""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from covidnet.data.spelling import folded
from covidnet.errors import UserError
from covidnet.files.reading import UNREADABLE, read_table
from covidnet.imaging.kinds import ENDINGS

TABLE, SHEET = "lungs.csv", "lungs.png"
COLUMNS = ("path", "mask", "quality", "lung_share")
ENDING = ".png"


def mask_names(paths: Sequence[str]) -> list[str]:
    """Return the path of each image's mask below the folder of masks: no two are one, on any disk."""
    stems = [path.with_suffix("") if path.suffix.lower() in ENDINGS else None for path in map(PurePosixPath, paths)]
    short = [f"{stem}{ENDING}" for stem in stems]
    if None not in stems and len({SHEET, *map(folded, short)}) == len(paths) + 1:
        return short
    return [f"{path}{ENDING}" for path in paths]


def refuse_others_files(out: Path) -> None:
    """Refuse a folder that holds what this command has not written there.

    Raises:
        UserError: Naming a file.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"--out {out} is a file. Give a folder: --out FOLDER.")
    own = {Path(TABLE), Path(SHEET), *_listed(out / TABLE)}
    there = (Path(here, name).relative_to(out) for here, _, names in os.walk(out) for name in names)
    other = next((file for file in there if file not in own), None)
    if other:
        raise UserError(
            f"--out {out} holds {other}, which covidnet lungs has not written: it would be lost. Give a new folder."
        )


def _listed(table: Path) -> list[Path]:
    """Return the masks that an earlier table names; none where there is none, or it is another."""
    try:
        columns, rows = read_table(table)
    except UNREADABLE:
        return []
    return [Path(row["mask"] or "") for row in rows] if tuple(columns) == COLUMNS else []
