"""Files that are there whole or not at all, whatever moment the process or the power ends at."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from covidnet.files.plain_file import open_plain

UNFINISHED = ".part"  # ends the name of a file that is being written


@contextmanager
def whole(file: Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open a file for writing that takes its name when its last byte is on the disk.

    Args:
        file: Its name; what lay there before stays until the new one is whole.
        mode: "w" for text, "wb" for bytes.
        options: What ``open`` takes besides.
    """
    unfinished = file.with_name(f"{file.name}.{os.getpid()}{UNFINISHED}")
    try:
        with open_plain(unfinished, mode.replace("w", "x"), **options) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())  # else a power cut may leave the name with nothing behind it
        unfinished.replace(file)
    except BaseException as error:
        cause = error if isinstance(error, OSError) else error.__context__  # behind which torch puts its own
        if isinstance(cause, OSError) and cause.filename is None:  # a write knows no name
            cause.filename = str(file)
        unfinished.unlink(missing_ok=True)
        raise
    _sync(file.parent)


def write_whole(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with whole(file, "wb") as out:
        out.write(content)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process has left half-written anywhere below ``folder``, where no other process writes."""
    for file in folder.rglob(f"*{UNFINISHED}"):
        if file.is_file() or file.is_symlink():
            file.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk; Windows knows no such thing."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
