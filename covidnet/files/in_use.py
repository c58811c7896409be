"""That a file is being read, told to whoever would remove it: a shared lock of the system, as long as it is open.

Where a system has no such locks, it lets no open file be removed or moved either (Windows), or nobody is told.
"""

import atexit
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from covidnet.files.plain_file import open_plain

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_kept: dict[Path, IO[Any]] = {}


def share(opened: IO[Any]) -> None:
    """Mark an open file as being read until it, and whatever has been mapped through it, is closed."""
    if fcntl is not None:
        with suppress(OSError):  # a network folder without locks
            fcntl.flock(opened.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)


def keep(file: Path) -> None:
    """Mark a file, which is made where it is not there, as being read until this process ends."""
    if fcntl is not None and file not in _kept:
        with suppress(OSError):  # of a folder that only others may write to, which they alone may clear
            _kept[file] = open_plain(file, "a")
            share(_kept[file])
            atexit.register(_kept[file].close)


def in_use(file: Path) -> bool:
    """Tell whether a process has marked a file as being read; False where it is not there."""
    if fcntl is None:
        return False
    try:
        with open_plain(file, "rb") as opened:
            fcntl.flock(opened.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # another process's, or a folder in which nobody can tell
        return True
    return False
