"""Files that are there whole or not at all, whatever moment the process or the power ends at."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from covidnet.errors import UserError
from covidnet.files.in_use import in_use, share
from covidnet.files.plain_file import open_plain

UNFINISHED = ".part"  # ends the name of a file that is being written
SENT = 2**22  # bytes at once to the disk


@contextmanager
def whole(file: Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open a file for writing that takes its name when its last byte is on the disk.

    Args:
        file: Its name; what lay there before stays until the new one is whole.
        mode: "w" for text, "wb" for bytes.
        options: What ``open`` takes besides.
    """
    unfinished = _unfinished(file)
    try:
        with open_plain(unfinished, mode.replace("w", "x"), **options) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())  # else a power cut may leave the name with nothing behind it
        unfinished.replace(file)
    except BaseException as error:
        _name(error, file)
        unfinished.unlink(missing_ok=True)
        raise
    _sync(file.parent)


class Ahead:
    """A large file that is being written whole, whose bytes go to the disk while the next are made.

    Else the whole of it would be left to the sync at its end, and nothing would be done meanwhile.

    Args:
        file: What ``whole`` has opened, for bytes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.sent = 0  # bytes

    def write(self, content: bytes) -> int:
        """Write bytes, or what has them."""
        view = memoryview(content)
        for start in range(0, len(view), SENT):
            self.file.write(view[start : start + SENT])
            self._send()
        return len(view)

    def flush(self) -> None:
        """Have all bytes in the file."""
        self.file.flush()

    def _send(self) -> None:
        """Have the system begin with what is waiting; Linux does with what it is told nobody will read soon."""
        waiting = self.file.tell() - self.sent
        if waiting >= SENT and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.file.fileno(), self.sent, waiting, os.POSIX_FADV_DONTNEED)
            self.sent += waiting


def write_whole(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with whole(file, "wb") as out:
        out.write(content)


def link_whole(file: Path, name: Path) -> None:
    """Give a file that is whole another name too, in its folder or on its disk; a copy where the disk has no links.

    Each name is then replaced for itself, as ``whole`` does; what is written into the file is seen under both.
    """
    unfinished = _unfinished(name)
    try:
        unfinished.unlink(missing_ok=True)
        os.link(file, unfinished)
        unfinished.replace(name)
    except OSError:
        with file.open("rb") as content, whole(name, "wb") as out:
            shutil.copyfileobj(content, Ahead(out), SENT)
    else:
        _sync(name.parent)
    finally:
        unfinished.unlink(missing_ok=True)  # two names of one file are not replaced by one another, but left


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder to write in that takes a folder's name when all that lies in it is on the disk.

    What lay there before stays until then, and goes with it. Where a link is given, what it leads to is written.

    Raises:
        UserError: Where another process writes the folder now.
    """
    folder = folder.resolve()  # a path through the folder itself, as a/../a, would end where it loses its name
    # Hidden, so that nothing in it is taken for an image of a folder above.
    unfinished, former = (folder.with_name(f".{folder.name}{end}{UNFINISHED}") for end in ("", ".former"))
    mark = unfinished / UNFINISHED
    if in_use(mark):
        raise UserError(f"Another process writes {folder} now. Wait until it has ended, or give another folder.")
    _put_back(former, folder)  # where a process was killed between the two names
    for left in (unfinished, former):
        shutil.rmtree(left, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        with open_plain(mark, "x") as opened:
            share(opened)
            yield unfinished
            if hasattr(os, "sync"):  # one for all files
                os.sync()
        mark.unlink()
        if folder.exists():
            folder.rename(former)
        unfinished.rename(folder)
    except BaseException as error:
        _name(error, folder)
        _put_back(former, folder)
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(former, ignore_errors=True)
    _sync(folder.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process has left half-written anywhere below ``folder``, where no other process writes."""
    for file in folder.rglob(f"*{UNFINISHED}"):
        if file.is_file() or file.is_symlink():
            file.unlink(missing_ok=True)


def _put_back(former: Path, folder: Path) -> None:
    """Give a folder its name again where nothing has it."""
    if former.is_dir() and not folder.exists():
        former.rename(folder)


def _name(error: BaseException, place: Path) -> None:
    """Have an error of the disk say where it is: a write knows no name."""
    cause = error if isinstance(error, OSError) else error.__context__  # behind which torch puts its own
    if isinstance(cause, OSError) and cause.filename is None:
        cause.filename = str(place)


def _unfinished(file: Path) -> Path:
    return file.with_name(f"{file.name}.{os.getpid()}{UNFINISHED}")


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk; Windows knows no such thing."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
