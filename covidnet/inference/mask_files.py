"""Which files lie in a folder of lung masks, and whether all in it are ours; nothing heavy is imported here."""

import os
from pathlib import Path

from covidnet.data.walk import JUNK_FILES
from covidnet.errors import UserError
from covidnet.files.reading import UNREADABLE, read_table

TABLE, SHEET = "lungs.csv", "lungs.png"
COLUMNS = ("path", "mask", "quality", "lung_share")


def refuse_others_files(out: Path) -> None:
    """Refuse a folder that holds what this command has not written there.

    Raises:
        UserError: Naming a file; or where the folder cannot make place for another, as the command runs in it.
    """
    if os.path.ismount(out):
        raise UserError(f"--out {out} is where a disk is mounted, which must stay. Give a folder in it.")
    if Path.cwd().is_relative_to(out.resolve()):
        raise UserError(f"--out {out} is or holds the folder in which the command runs. Give a folder of its own.")
    if out.exists() and not os.access(out, os.W_OK):  # a system lets a folder be replaced that must not be changed
        raise UserError(f"--out {out} must not be written: allow it, or give a new folder.")
    own = {Path(TABLE), Path(SHEET), *_listed(out / TABLE)}
    there = (Path(here, name).relative_to(out) for here, _, names in os.walk(out) for name in names)
    other = next((file for file in there if file not in own and file.name.lower() not in JUNK_FILES), None)
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
