"""The lines of a cache's journal, which anybody may have written: each is an entry of plain types, or nothing."""

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidnet.files.plain_file import open_plain
from covidnet.imaging.decode import THUMBNAIL

CODED = len(base64.b64encode(bytes(THUMBNAIL * THUMBNAIL)))  # characters of a thumbnail
LONGEST_LINE = 2**15  # bytes: a thumbnail, and a path of 4,096 bytes as JSON writes them
BLOCK = 512  # bytes, in which systems count what a file takes of a disk
SPARE_LINES = 2**10  # that name no plane: a header, and an empty line where a build began


@dataclass(frozen=True)
class Entry:
    """One finished image in the journal."""

    path: str  # POSIX, below the root
    identity: tuple[int, int, int, int]  # size, inode, modification and change time of the file, in bytes and ns
    content: str  # hash of the file's bytes
    plane: int  # its first plane
    channels: int  # 1 or 3 planes
    thumbnail: str  # its pixels in base 64
    checksum: int  # CRC-32 of the planes and the thumbnail


def lines_of(journal: Path, most: int) -> Iterator[str]:
    """Yield the lines of a journal; none of one that has more than ``most`` bytes, and of a long line its parts."""
    try:
        with open_plain(journal, "rb") as lines:
            if os.fstat(lines.fileno()).st_size <= most:
                yield from (line.decode(errors="replace") for line in iter(partial(lines.readline, LONGEST_LINE), b""))
    except OSError:
        return


def bytes_on_disk(file: Path) -> int | None:
    """Return how many bytes a file has, without those that it only claims, as holes; None where it is none."""
    if not file.is_file():
        return None
    status = file.stat()
    return min(status.st_size, getattr(status, "st_blocks", status.st_size) * BLOCK)


def parse(line: str) -> Entry | None:
    """Return a journal line's entry, or None for one that was cut short, damaged or made up."""
    try:
        record = json.loads(line)
        entry = Entry(**{**record, "identity": tuple(record["identity"])})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    numbers = type(entry.plane) is int and type(entry.channels) is int and type(entry.checksum) is int
    texts = type(entry.path) is str and type(entry.content) is str and type(entry.thumbnail) is str
    sound = numbers and texts and entry.channels in (1, 3) and len(entry.thumbnail) == CODED
    return entry if sound else None


def thumbnail_of(entry: Entry) -> NDArray[np.uint8] | None:
    """Return an entry's thumbnail, or None where its text stands for none."""
    try:
        content = base64.b64decode(entry.thumbnail)  # which leaves out what is no code
    except ValueError:
        return None
    small = np.frombuffer(content, dtype=np.uint8)
    return small.reshape(THUMBNAIL, THUMBNAIL) if small.size == THUMBNAIL * THUMBNAIL else None
