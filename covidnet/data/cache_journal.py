"""The lines of a cache's journal, which anybody may have written: each is an entry of plain types, or nothing."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidnet.files.plain_file import open_plain
from covidnet.imaging.decode import THUMBNAIL

CODED = len(base64.b64encode(bytes(THUMBNAIL * THUMBNAIL)))  # characters of a thumbnail
LONGEST_LINE = 2**15  # bytes: a thumbnail, and a path of 4,096 bytes as JSON writes them
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


def lines_of(journal: Path, most: int) -> list[str]:
    """Return the lines of a journal; none of one that is longer than its planes can account for."""
    try:
        with open_plain(journal, "rb") as lines:
            content = lines.read(most + 1)
    except OSError:
        return []
    return content.decode(errors="replace").splitlines() if len(content) <= most else []


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
