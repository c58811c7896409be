"""Which images show one radiograph, kept beside their decoded pixels: a search of seconds, done once.

A file of rows, one a pair, and a hash of these and of all that they come from: the thumbnails, their order, the rule.
Where an image, a byte of the file or the rule is another, the search is done again.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidnet.data.division.duplicates import Duplicates, find_duplicates
from covidnet.data.division.moved import INVERTED, MIRRORED, MOVED, TURNED, UNMOVED
from covidnet.errors import UserError
from covidnet.files.plain_file import open_plain
from covidnet.files.whole import write_whole

COPIES = "copies.bin"  # in the folder of a cache
RULE = 1  # raise when the search finds something else in the same thumbnails
KINDS = (UNMOVED, TURNED, MIRRORED, INVERTED, MOVED)
PAIR = np.dtype([("first", "<i4"), ("second", "<i4"), ("correlation", "<f4"), ("kind", "u1")])
DIGEST = 16  # bytes
MOST = 2**26  # bytes; of a folder with more copies than that, the search is done each time


def copies_among(thumbnails: NDArray[np.uint8], folder: Path | None) -> Duplicates:
    """Return what ``find_duplicates`` finds in thumbnails (N, S, S): what ``folder`` keeps, or searched and kept there.

    Without a folder, or where nothing can be written to it, it is searched each time.
    """
    kept = _kept(folder / COPIES, thumbnails) if folder else None
    if kept is not None:
        return kept
    found = find_duplicates(thumbnails)
    rows = np.zeros(len(found.pairs), dtype=PAIR)
    rows["first"], rows["second"], rows["correlation"] = *found.pairs.T, found.correlations
    rows["kind"] = [KINDS.index(kind) for kind in found.kinds]
    if folder and rows.nbytes <= MOST:
        with suppress(OSError, UserError):  # the pixels are there, and training needs no more
            write_whole(folder / COPIES, rows.tobytes() + _digest(thumbnails, rows.tobytes()))
    return found


def _kept(file: Path, thumbnails: NDArray[np.uint8]) -> Duplicates | None:
    """Return what a file keeps of these thumbnails; None where it does not, whoever wrote it."""
    try:
        with open_plain(file, "rb") as content:
            told = content.read(MOST + DIGEST)
    except (OSError, UserError):
        return None
    rows = told[:-DIGEST]
    if len(rows) % PAIR.itemsize or told[-DIGEST:] != _digest(thumbnails, rows):
        return None
    pairs = np.frombuffer(rows, dtype=PAIR)
    ordered = (pairs["first"] >= 0) & (pairs["first"] < pairs["second"]) & (pairs["second"] < len(thumbnails))
    if not (ordered & (pairs["kind"] < len(KINDS)) & np.isfinite(pairs["correlation"])).all():
        return None
    numbers = np.column_stack([pairs["first"], pairs["second"]]).astype(np.int64)
    return Duplicates(numbers, pairs["correlation"].astype(np.float32), [KINDS[kind] for kind in pairs["kind"]])


def _digest(thumbnails: NDArray[np.uint8], rows: bytes) -> bytes:
    told = hashlib.blake2b(f"{RULE} {thumbnails.shape}".encode(), digest_size=DIGEST)
    told.update(np.ascontiguousarray(thumbnails).data)
    told.update(rows)
    return told.digest()
