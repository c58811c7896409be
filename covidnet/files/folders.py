"""Folders of this machine: where caches lie, whether there is room, who may write now."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path, user_data_path

from covidnet.errors import UserError
from covidnet.files.plain_file import refuse_no_file

KEPT_FREE = 2**28  # bytes that stay free on the disk


def default_cache_dir() -> Path:
    """Return the user's cache folder for this program, as the system has it."""
    return user_cache_path("covidnet", appauthor=False)


def default_salt() -> Path:
    """Return the file of the salt under which this user's patients are hashed; it is no cache, so nobody clears it."""
    return user_data_path("covidnet", appauthor=False) / "salt"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file; say so while another run holds it."""
    refuse_no_file(file)  # the lock's library cuts what it opens
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        print(f"covidnet: another run is filling {file.parent}; waiting for it.", file=sys.stderr)
        lock.acquire()
    try:
        note_use(file)
        yield
    finally:
        lock.release()


def note_use(file: Path) -> None:
    """Note in the times of a file that what it stands for is used now; nothing where they are another user's."""
    with suppress(OSError):
        os.utime(file)


def last_use(file: Path) -> datetime:
    """Return when ``note_use`` was last called; of a file that is not there, when its folder was last changed."""
    return datetime.fromtimestamp((file if file.is_file() else file.parent).stat().st_mtime, UTC)


def check_space(folder: Path, needed: int, what: str, option: str = "--to FOLDER") -> None:
    """Refuse to begin what does not fit; ``option`` names another folder.

    Raises:
        UserError: Where the disk of ``folder``, or of the nearest folder above that is there, has fewer bytes free.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free - KEPT_FREE
    if needed > free:
        raise UserError(
            f"To {what} takes {in_words(needed)}, but the disk of {folder} has {in_words(max(free, 0))} to spare. "
            f"Make room, or give a folder on another disk: {option}."
        )


def in_words(size: int) -> str:
    """Return bytes as people read them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
