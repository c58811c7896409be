"""Decode once -> one memory-mapped uint8 array.

A cache is a folder with two append-only files: ``planes.u8``, square planes of bytes one after the other (one plane a
grey image, three a coloured one), and ``journal.jsonl``, a header and then one JSON line for each finished image with
its path, the file's identity, its thumbnail, its planes and their checksum. A line is written after its planes, so
whatever moment a build dies at, every line stands for finished work; a damaged plane fails its checksum and is decoded
again. Nothing is ever overwritten in place, so a run that reads the cache is safe from one that adds to it.
"""

import base64
import errno
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from covidnet.data.cache_journal import LONGEST_LINE, SPARE_LINES, Entry, bytes_on_disk, lines_of, parse, thumbnail_of
from covidnet.data.decoding import Decoded, decode_all, digest_of, file_identity, stack_thumbnails
from covidnet.data.spelling import Spellings
from covidnet.errors import MachineError, UserError
from covidnet.files.folders import default_cache_dir, locked
from covidnet.files.in_use import share
from covidnet.files.plain_file import make_plain_folders, open_plain, refuse_no_file
from covidnet.imaging.decode import DECODER, RESIZER, Interpolation, read
from covidnet.imaging.radiograph import USUAL, BodyPart, Orientation, Reading, UnreadableImageError
from covidnet.machine.parallel import refuse_in_unguarded_worker

Thumbnail = NDArray[np.uint8]  # (THUMBNAIL, THUMBNAIL)
FORMAT = 2  # raise when the files of a cache change their meaning
PLANES, JOURNAL, LOCK = "planes.u8", "journal.jsonl", "lock"
DISK_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EROFS,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,
)
BEFORE = {"body_part": "chest", "orientation": "stored"}  # what caches mean whose journals do not tell it


@dataclass(frozen=True)
class PixelCache:
    """Decoded images: ``planes`` (P, S, S) uint8, memory-mapped, and ``index`` (N, C), the planes of each image.

    C is 1 where all images are grey, else 3; a grey image among coloured ones names its plane three times.
    ``thumbnails`` (N, THUMBNAIL, THUMBNAIL) uint8 depend on the files alone, not on S.
    """

    planes: NDArray[np.uint8]
    index: NDArray[np.int64]
    inode: int  # of the file that is mapped: another run may put a new one in its place
    thumbnails: NDArray[np.uint8]

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to a worker process as a file name: the worker maps the same pages, it gets no copy.

        The thumbnails, which no worker asks for, stay behind.
        """
        planes = self.planes
        if isinstance(planes, np.memmap) and planes.filename:
            return _reopen, (Path(planes.filename), planes.shape, self.index, self.inode)
        return PixelCache, (planes, self.index, self.inode, stack_thumbnails([]))

    def gather(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images with these numbers (B,) as (B, C, S, S) uint8, a copy."""
        return np.asarray(self.planes[self.index[numbers]])


@dataclass(frozen=True)
class Decoding:
    """What is decoded, from where, and how; its hash names the cache's folder."""

    root: str  # resolved
    size: int
    interpolation: Interpolation
    decoder: int = DECODER
    resizer: str = RESIZER
    format: int = FORMAT
    body_part: BodyPart = "chest"
    orientation: Orientation = "stored"

    @property
    def header(self) -> dict[str, Any]:
        """The first line of its journal, without what is as it was before there was a choice."""
        return {key: told for key, told in asdict(self).items() if BEFORE.get(key) != told}

    @property
    def name(self) -> str:
        """A folder name that no other root or option has."""
        return hashlib.sha256(json.dumps(self.header).encode()).hexdigest()[:20]

    @property
    def plane_bytes(self) -> int:
        """Bytes of one plane."""
        return self.size * self.size


def open_cache(
    root: Path,
    paths: Sequence[str],
    size: int,
    interpolation: Interpolation = "bilinear",
    cache_dir: Path | None = None,
    *,
    verify: bool = False,
    reading: Reading = USUAL,
) -> tuple[PixelCache, dict[str, str]]:
    """Open the cache of ``paths`` (POSIX, below ``root``) at ``size``; decode what it lacks, on all cores.

    An image is taken from the cache where its file has the same size, inode, modification and change time as when it
    was decoded (with ``verify``: and the same bytes), and its planes their checksum. Two processes may call this at
    the same time: the second waits for the first.

    Returns:
        The cache, whose ``index`` follows ``paths`` without the unreadable ones; and the reason for each of those.

    Raises:
        UserError: Where the disk is too small or not writable.
    """
    refuse_in_unguarded_worker()  # which would wait for its own parent's lock
    decoding = Decoding(
        str(root.resolve()), size, interpolation, body_part=reading.body_part, orientation=reading.orientation
    )
    above = cache_dir or default_cache_dir()
    folder = above / decoding.name
    with explain_disk_errors(folder, "decoded images"):
        make_plain_folders(above, decoding.name)
        with locked(folder / LOCK):
            entries, thumbnails = _usable_entries(folder, decoding, root, paths, verify=verify)
            missing = [path for path in paths if path not in entries]
            unreadable = _add(folder, decoding, root, missing, entries, thumbnails)
            planes = _map(folder, decoding)
            inode = (folder / PLANES).stat().st_ino
    images = [entries[path] for path in paths if path in entries]
    small = stack_thumbnails([thumbnails[entry.path] for entry in images])
    return PixelCache(planes, _plane_index(images), inode, small), unreadable


def _plane_index(images: Sequence[Entry]) -> NDArray[np.int64]:
    first = np.array([entry.plane for entry in images], dtype=np.int64)[:, None]  # (N, 1)
    coloured = np.array([entry.channels == 3 for entry in images], dtype=np.int64)[:, None]
    return first + coloured * np.arange(3) if coloured.any() else first


def _usable_entries(
    folder: Path, decoding: Decoding, root: Path, paths: Sequence[str], *, verify: bool
) -> tuple[dict[str, Entry], dict[str, Thumbnail]]:
    """Return the entries of ``paths`` that may be trained on, and thumbnails; compact a cache that is mostly stale."""
    journal = _as_asked(_read_journal(folder, decoding), paths)
    planes = _map(folder, decoding)
    wanted = set(paths)
    fresh = [entry for path, entry in journal.items() if path in wanted and _unchanged(root, entry, verify=verify)]
    with ThreadPoolExecutor() as threads:  # a CRC leaves Python's lock free
        intact = list(threads.map(partial(_intact, planes), fresh))
    thumbnails = {entry.path: small for entry, small in zip(fresh, intact, strict=True) if small is not None}
    usable = {entry.path: entry for entry in fresh if entry.path in thumbnails}
    live = sum(entry.channels for path, entry in journal.items() if path in usable or path not in wanted)
    if live < len(planes) // 2:
        kept = {path: entry for path, entry in journal.items() if path in usable or path not in wanted}
        entries = _compact(folder, decoding, planes, kept)
        return {path: entry for path, entry in entries.items() if path in usable}, thumbnails
    return usable, thumbnails


def _as_asked(journal: dict[str, Entry], paths: Sequence[str]) -> dict[str, Entry]:
    """Return entries by the names that are asked for now: a disk may write one otherwise than when it was decoded."""
    lacking = [path for path in paths if path not in journal]
    others = Spellings(journal.keys() - set(paths) if lacking else ())
    named = {own: path for path in lacking if (own := others.find(path))}
    return {
        named.get(own, own): replace(entry, path=named[own]) if own in named else entry
        for own, entry in journal.items()
    }


def _unchanged(root: Path, entry: Entry, *, verify: bool) -> bool:
    try:
        if file_identity(root / entry.path) != entry.identity:
            return False
        return not verify or digest_of(read(root / entry.path)) == entry.content
    except (OSError, UnreadableImageError):
        return False


def _read_journal(folder: Path, decoding: Decoding) -> dict[str, Entry]:
    """Return the last entry of each path; start anew where the journal is missing, foreign or has lost its planes."""
    refuse_no_file(folder / PLANES)
    length = (folder / PLANES).stat().st_size if (folder / PLANES).is_file() else None
    planes = (bytes_on_disk(folder / PLANES) or 0) // decoding.plane_bytes
    lines = lines_of(folder / JOURNAL, LONGEST_LINE * (planes + SPARE_LINES))
    first = next(lines, "")
    try:
        header = json.loads(first)
    except (ValueError, RecursionError):
        header = None
    if header != decoding.header or length is None:
        _compact(folder, decoding, np.empty((0, decoding.size, decoding.size), dtype=np.uint8), {})
        return {}
    entries = {}
    for line in lines:
        entry = parse(line)
        if entry is not None and entry.plane >= 0 and (entry.plane + entry.channels) * decoding.plane_bytes <= length:
            entries[entry.path] = entry
    return entries


def _add(
    folder: Path,
    decoding: Decoding,
    root: Path,
    missing: Sequence[str],
    entries: dict[str, Entry],
    thumbnails: dict[str, Thumbnail],
) -> dict[str, str]:
    """Decode ``missing`` into the cache, ``entries`` and ``thumbnails``; return the reason for each unreadable one."""
    if not missing:
        return {}
    needed = len(missing) * decoding.plane_bytes
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise MachineError(
            f"The decoded images need at least {_size(needed)} in {folder}, but only {_size(free)} are free there. "
            "Give data.cache_dir=FOLDER on a larger disk, a smaller data.image_size, or data.cache=false."
        )
    unreadable: dict[str, str] = {}
    with open_plain(folder / PLANES, "r+b") as planes, open_plain(folder / JOURNAL, "a", encoding="utf-8") as journal:
        _mend_tails(planes, journal, decoding)
        how = (decoding.size, decoding.interpolation, Reading(decoding.body_part, decoding.orientation))
        for image in decode_all(root, missing, *how, f"in {folder}"):
            if image.pixels is None or image.thumbnail is None:
                unreadable[image.path] = image.reason
            else:
                entries[image.path] = _append(planes, journal, decoding, image)
                thumbnails[image.path] = image.thumbnail
    return unreadable


def _append(planes: IO[bytes], journal: IO[str], decoding: Decoding, image: Decoded) -> Entry:
    assert image.pixels is not None
    assert image.thumbnail is not None
    plane = planes.tell() // decoding.plane_bytes
    content = image.pixels.tobytes()
    small = base64.b64encode(image.thumbnail.tobytes()).decode()
    planes.write(content)
    planes.flush()  # before its line: a line without its planes would be a lie
    checksum = zlib.crc32(small.encode(), zlib.crc32(content))
    entry = Entry(image.path, image.identity, image.content, plane, len(image.pixels), small, checksum)
    journal.write(json.dumps(asdict(entry)) + "\n")
    journal.flush()
    return entry


def _mend_tails(planes: IO[bytes], journal: IO[str], decoding: Decoding) -> None:
    """Make both files end on a whole record after a killed build."""
    end = planes.seek(0, os.SEEK_END)
    planes.seek(end - end % decoding.plane_bytes)
    planes.truncate()
    journal.write("\n")  # ends a line that was cut short; an empty line is no entry


def _compact(
    folder: Path, decoding: Decoding, planes: NDArray[np.uint8], entries: dict[str, Entry]
) -> dict[str, Entry]:
    """Write the cache anew with the undamaged ``entries`` alone, in new files: another run may map the old ones.

    A crash in between leaves planes that fail their checksums.
    """
    kept: dict[str, Entry] = {}
    new_planes, new_journal = folder / f"{PLANES}.new", folder / f"{JOURNAL}.new"
    with open_plain(new_planes, "xb") as out, open_plain(new_journal, "x", encoding="utf-8") as journal:
        journal.write(json.dumps(decoding.header) + "\n")
        for entry in entries.values():
            small = _intact(planes, entry)
            if small is None:
                continue
            pixels = np.asarray(planes[entry.plane : entry.plane + entry.channels])
            image = Decoded(entry.path, entry.identity, entry.content, pixels, small)
            kept[entry.path] = _append(out, journal, decoding, image)
    new_planes.replace(folder / PLANES)
    new_journal.replace(folder / JOURNAL)
    return kept


def _map(folder: Path, decoding: Decoding) -> NDArray[np.uint8]:
    """Map the planes (P, S, S) read-only."""
    count = (folder / PLANES).stat().st_size // decoding.plane_bytes
    shape = (count, decoding.size, decoding.size)
    return _mapped(folder / PLANES, shape) if count else np.empty(shape, dtype=np.uint8)  # nothing cannot be mapped


def _mapped(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Map a file, and mark it as being read until nothing is mapped to it any more."""
    with file.open("rb") as content:
        share(content)
        return np.memmap(content, dtype=np.uint8, mode="r", shape=shape)


def _reopen(file: Path, shape: tuple[int, ...], index: NDArray[np.int64], inode: int) -> PixelCache:
    planes = _mapped(file, shape)
    if file.stat().st_ino != inode:
        raise RuntimeError(f"{file} was written anew by another run while this one started; start it again")
    return PixelCache(planes, index, inode, stack_thumbnails([]))


def _intact(planes: NDArray[np.uint8], entry: Entry) -> Thumbnail | None:
    """Return an entry's thumbnail where its planes have its checksum, whoever wrote the line; else None."""
    return thumbnail_of(entry) if _checksum(planes, entry) == entry.checksum else None


def _checksum(planes: NDArray[np.uint8], entry: Entry) -> int:
    pixels = planes[entry.plane : entry.plane + entry.channels]
    return zlib.crc32(entry.thumbnail.encode(errors="replace"), zlib.crc32(pixels.data))


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


@contextmanager
def explain_disk_errors(folder: Path, what: str) -> Iterator[Any]:
    """Have an error of a disk say which part of the cache could not be written, and which key to change."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        kind = MachineError if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else UserError
        raise kind(
            f"The cache of {what} cannot be written to {folder}: {error.strerror}. What is finished is kept. "
            "Give data.cache_dir=FOLDER on another disk, or data.cache=false."
        ) from error
