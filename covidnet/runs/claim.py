"""A directory for one run or several: the next number, taken by one process alone, and the lock of who writes there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from covidnet.files.plain_file import refuse_no_file
from covidnet.files.reading import read_json


def numbered(parent: Path, prefix: str) -> dict[int, Path]:
    """Return what lies in ``parent`` under ``prefix`` and a number, by that number, lowest first."""
    found = {path.name.removeprefix(prefix): path for path in parent.glob(f"{prefix}*")}
    return dict(sorted((int(number), path) for number, path in found.items() if number.isdecimal()))


def next_folder(parent: Path, prefix: str, lowest: int = 0) -> Path:
    """Make the directory of the next number, at least ``lowest``; of two processes each gets one of its own."""
    parent.mkdir(parents=True, exist_ok=True)
    number = max([lowest - 1, *numbered(parent, prefix)]) + 1
    while True:
        folder = parent / f"{prefix}{number}"
        try:
            folder.mkdir()
        except FileExistsError:  # taken at the same moment
            number += 1
        else:
            return folder


def newest_of(parent: Path, prefix: str, record: str, recipe: Mapping[str, Any]) -> Path | None:
    """Return the numbered directory that was last begun with this recipe, as its ``record`` tells."""
    folders = reversed(numbered(parent, prefix).values())
    return next((folder for folder in folders if recorded_recipe(folder / record) == recipe), None)


def recorded_recipe(file: Path) -> Any:
    """Return the recipe in the record of several runs, None where it is missing or cannot be read."""
    try:
        return read_json(file).get("recipe")
    except (OSError, ValueError, AttributeError):
        return None


def hold(folder: Path, name: str) -> FileLock | None:
    """Lock the file ``name`` in a directory until it is released or this process ends; None while another holds it."""
    refuse_no_file(folder / name)
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock
