"""Features of images on disk, by what the images' pixels are.

A shelf is a folder with ``about.json``, which tells the encoder, and ``rows.f32``, to which rows of one length are
appended: the hash of an image's pixels, a checksum, its features. So whatever tells how images are read, their size
above all, is in the hash; a row that a killed process has left half-written is cut off, a damaged one computed again.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from covidnet.files.plain import is_whole
from covidnet.files.plain_file import open_plain
from covidnet.files.reading import UNREADABLE, read_json
from covidnet.files.whole import write_whole

FEATURES, ABOUT, ROWS = "features", "about.json", "rows.f32"  # the folder of the cache, and the files of a shelf
FORMAT = 1  # raise when the files of a shelf change their meaning
WIDEST = 2**20  # features of an image
DIGEST = 16  # bytes
ROWS_AT_ONCE = 1024  # that are read
Digest: TypeAlias = bytes
Features = NDArray[np.float32]  # (F,) of an image, or a row each


def about(folder: Path) -> dict[str, Any] | None:
    """Return what a shelf tells: ``name`` of the encoder, how many ``features`` a row has; None where it is none."""
    try:
        told = read_json(folder / ABOUT)
        sound = told["format"] == FORMAT and is_whole(told["features"], 1, WIDEST) and type(told["name"]) is str
    except (*UNREADABLE, KeyError, TypeError):
        return None
    return told if sound else None


def digest_of(pixels: NDArray[np.uint8]) -> Digest:
    """Return the hash of an image's pixels (C, S, S), the same of a grey image whatever number of channels it has."""
    grey = len(pixels) == 1 or bool((pixels[0] == pixels[1]).all() and (pixels[0] == pixels[2]).all())
    plane = np.ascontiguousarray(pixels[0] if grey else pixels)
    return hashlib.blake2b(plane.data, digest_size=DIGEST, person=str(plane.shape).encode()).digest()


def _row(width: int) -> np.dtype[Any]:
    return np.dtype([("digest", f"V{DIGEST}"), ("checksum", "<u4"), ("features", "<f4", (width,))])


def _checksum(digest: Digest, features: Features) -> int:
    return zlib.crc32(features.astype("<f4").tobytes(), zlib.crc32(digest))


def read_rows(folder: Path, wanted: Set[Digest]) -> dict[Digest, Features]:
    """Return what a shelf has of the images that are wanted, undamaged."""
    told = about(folder)
    if told is None or not (folder / ROWS).is_file():
        return {}
    row, found = _row(told["features"]), {}
    with open_plain(folder / ROWS, "rb") as rows:
        while content := rows.read(row.itemsize * ROWS_AT_ONCE):
            for one in np.frombuffer(content[: len(content) // row.itemsize * row.itemsize], dtype=row):
                digest = one["digest"].tobytes()
                if digest in wanted and _checksum(digest, one["features"]) == one["checksum"]:
                    found[digest] = one["features"].astype(np.float32)
    return found


def append_rows(folder: Path, name: str, digests: Sequence[Digest], features: Features) -> None:
    """Add rows; begin a shelf anew where it is none of such rows, and cut off half a row."""
    row, told = _row(features.shape[1]), about(folder)
    rows = np.empty(len(digests), dtype=row)
    for place, (digest, own) in enumerate(zip(digests, features, strict=True)):
        rows[place] = (digest, _checksum(digest, own), own)
    known = told is not None and told["features"] == features.shape[1]
    if not known:
        text = json.dumps({"format": FORMAT, "name": name, "features": features.shape[1]})
        write_whole(folder / ABOUT, text.encode())
    with open_plain(folder / ROWS, "r+b" if known and (folder / ROWS).is_file() else "xb") as file:
        end = file.seek(0, 2)
        file.seek(end - end % row.itemsize)
        file.truncate()
        file.write(rows.tobytes())
