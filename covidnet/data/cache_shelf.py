"""What lies in the cache folder, when it was last used, and how it goes: never what a process is using."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from covidnet.data.cache import JOURNAL, LOCK, PLANES
from covidnet.data.feature_shelf import FEATURES, ROWS, about
from covidnet.data.phantoms import PHANTOMS, README
from covidnet.files.folders import last_use
from covidnet.files.in_use import in_use
from covidnet.files.mirror import FILES, IN_USE, MIRRORS
from covidnet.files.plain_file import open_plain, refuse_no_file

LONGEST_HEADER = 2**16  # bytes
DECODED, DRAWN, COPIES, ENCODED = "decoded images", "phantoms", "copies out of a store", "features"
MARKS = {DECODED: PLANES, DRAWN: README, COPIES: IN_USE, ENCODED: ROWS}  # the file by which use is told


class Shelf(NamedTuple):
    """One folder of the cache."""

    kind: str
    folder: Path
    what: str  # of which data, in words
    root: str  # where its images lie, or what is read from it
    size: int  # bytes
    used: datetime  # when it was last opened


def shelves(cache: Path) -> list[Shelf]:
    """Return what lies in a cache folder, the longest unused first; nothing that this program did not put there."""
    found = [*_decoded(cache), *_drawn(cache), *_copies(cache), *_encoded(cache)]
    return sorted(found, key=lambda shelf: shelf.used)


def _decoded(cache: Path) -> Iterator[Shelf]:
    for folder in _folders(cache):
        header = _header(folder / JOURNAL)
        if header and (folder / PLANES).is_file():
            what = f"{header['root']}, {header['size']} px"
            yield Shelf(DECODED, folder, what, header["root"], _size(folder), last_use(folder / LOCK))


def _drawn(cache: Path) -> Iterator[Shelf]:
    for folder in _folders(cache / PHANTOMS):
        if (folder / README).is_file():
            yield Shelf(DRAWN, folder, folder.name, str(folder.resolve()), _size(folder), last_use(folder / README))


def _copies(cache: Path) -> Iterator[Shelf]:
    for folder in _folders(cache / MIRRORS):
        if (folder / FILES).is_dir():
            root = str((folder / FILES).resolve())
            yield Shelf(COPIES, folder, folder.name, root, _size(folder), last_use(folder / LOCK))


def _encoded(cache: Path) -> Iterator[Shelf]:
    for folder in _folders(cache / FEATURES):
        told = about(folder)
        if told and (folder / ROWS).is_file():
            root = str(folder.resolve())
            yield Shelf(ENCODED, folder, f"by {told['name']}", root, _size(folder), last_use(folder / LOCK))


def _folders(above: Path) -> list[Path]:
    return [one for one in sorted(above.glob("*")) if one.is_dir() and not one.is_symlink()]


def _header(journal: Path) -> dict[str, str] | None:
    """Return the first line of a journal, as text values; None where it is none."""
    try:
        with open_plain(journal, "rb") as lines:
            found = json.loads(lines.readline(LONGEST_HEADER))
        return {name: str(found[name]) for name in ("root", "size")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def busy(cache: Path) -> set[Path]:
    """Return the folders that a process is filling or reading, with those whose images a decoded one is of."""
    found = shelves(cache)
    own = {shelf.folder for shelf in found if not _is_free(shelf)}
    read = [Path(shelf.root) for shelf in found if shelf.folder in own and shelf.kind == DECODED]
    return own | {
        shelf.folder
        for shelf in found
        if shelf.kind != DECODED and any(root.is_relative_to(shelf.root) for root in read)
    }


def _is_free(shelf: Shelf) -> bool:
    with _filling(shelf) as alone:
        return alone and not in_use(shelf.folder / MARKS[shelf.kind])


def remove(shelf: Shelf) -> bool:
    """Remove a folder of the cache; return False where a process is using it after all.

    It goes under another name first, so that nobody meets half of it, and where a system lets no open file be moved it
    stays whole.
    """
    with _filling(shelf) as alone:
        if not alone or in_use(shelf.folder / MARKS[shelf.kind]):
            return False
        with tempfile.TemporaryDirectory(prefix=".removed-", dir=shelf.folder.parent) as scratch:
            try:
                moved = shelf.folder.rename(Path(scratch) / shelf.folder.name)
            except OSError:
                return False
            shutil.rmtree(moved, ignore_errors=True)
    return True


@contextmanager
def _filling(shelf: Shelf) -> Iterator[bool]:
    """Hold the lock under which a folder is filled; False where another process holds it."""
    file = shelf.folder / LOCK
    if shelf.kind == DRAWN or not file.exists():
        yield True
        return
    refuse_no_file(file)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def older_than(found: list[Shelf], days: float) -> list[Shelf]:
    """Return those that were last used more than so many days ago."""
    now = datetime.now(UTC)
    return [shelf for shelf in found if (now - shelf.used).total_seconds() > days * 86_400]


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
