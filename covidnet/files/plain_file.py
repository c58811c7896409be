"""Files in a folder that others may write to: opened only where they are what they seem to be.

In such a folder a link may stand in the place of a file, and lead to one of ours that is then cut or written over. The
folder that a user names may be a link; what lies in it may not.
"""

import os
import stat
from pathlib import Path
from typing import IO, Any

from covidnet.errors import UserError

_GUARDS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe would have us wait for ever
_MODES = {"rb", "r+b", "a", "xb", "x"}  # none that cuts a file before it can be looked at


def open_plain(file: Path, mode: str, **options: Any) -> IO[Any]:
    """Open a file that has no other name, is no link, no pipe and no device; ``x`` makes it in the place of any.

    Raises:
        UserError: Where it is something else.
        OSError: As ``open``.
    """
    assert mode in _MODES
    if mode.startswith("x") and not _is_folder(file):
        file.unlink(missing_ok=True)  # a link goes, what it leads to stays
    refuse_no_file(file)  # where the system has no O_NOFOLLOW
    opened: IO[Any] = open(file, mode, opener=_open, **options)  # noqa: SIM115  # a path takes no opener
    status = os.fstat(opened.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        opened.close()
        raise _refused(file)
    return opened


def refuse_link(file: Path) -> None:
    """Refuse what is neither missing nor a plain file or folder of one name.

    Raises:
        UserError: Where it is a link, a pipe, a device, or a file that has another name too.
    """
    _refuse(file, folders=True)


def refuse_no_file(file: Path) -> None:
    """Refuse what is neither missing nor a plain file of one name; else as ``refuse_link``."""
    _refuse(file, folders=False)


def make_plain_folders(top: Path, *names: str) -> Path:
    """Make a folder of these names within ``top``, which may be a link; return it.

    Raises:
        UserError: Where one of them is there and is no folder but a link.
        OSError: As ``mkdir``.
    """
    top.mkdir(parents=True, exist_ok=True)
    folder = top
    for name in names:
        folder = folder / name
        refuse_link(folder)
        folder.mkdir(exist_ok=True)
    return folder


def _refuse(file: Path, *, folders: bool) -> None:
    """Look once: between two looks another process may make the folder."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return
    if folders and stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise _refused(file)


def _is_folder(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink()


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _GUARDS, 0o666)


def _refused(file: Path) -> UserError:
    return UserError(
        f"{file} is a link, or no plain file of one name: what it leads to is neither read nor written. Move it "
        "away; if you have not made it, ask who else can write to that folder."
    )
