"""Files -> decoded images, on all cores; nothing is kept here."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidnet.imaging.decode import THUMBNAIL, Interpolation, open_radiograph, read, resize, thumbnail
from covidnet.imaging.radiograph import USUAL, Reading, UnreadableImageError
from covidnet.machine.parallel import cores, parallel_map, progress_bar

CHUNK = 16  # images a worker decodes before it reports: what a kill can lose
FEW = 64  # so few images are decoded sooner than worker processes start


@dataclass(frozen=True)
class Decoded:
    """What a worker returns for one file: pixels (C, S, S), or the reason why there are none."""

    path: str
    identity: tuple[int, int, int, int]
    content: str
    pixels: NDArray[np.uint8] | None
    thumbnail: NDArray[np.uint8] | None = None
    reason: str = ""


def check_images(
    root: Path, paths: Sequence[str], size: int, interpolation: Interpolation, reading: Reading = USUAL
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Decode every image once, keeping its thumbnail alone; return them and the reason for each unreadable image."""
    thumbnails, unreadable = [], {}
    for image in decode_all(root, paths, size, interpolation, reading):
        if image.thumbnail is None:
            unreadable[image.path] = image.reason
        else:
            thumbnails.append(image.thumbnail)
    return stack_thumbnails(thumbnails), unreadable


def decode_all(
    root: Path,
    paths: Sequence[str],
    size: int,
    interpolation: Interpolation,
    reading: Reading = USUAL,
    where: str = "",
) -> Iterator[Decoded]:
    """Decode files in parallel, in order, under a progress bar."""
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    work = partial(_decode_chunk, root, size=size, interpolation=interpolation, reading=reading)
    title = f"decoding {len(paths):,} images to {size}x{size} {where}".rstrip()
    with progress_bar(len(paths), title, hidden=len(paths) < FEW) as bar:
        for chunk in parallel_map(work, chunks, processes=1 if len(paths) < FEW else cores()):
            for image in chunk:
                yield image
                bar.update()


def _decode_chunk(
    root: Path, paths: Sequence[str], size: int, interpolation: Interpolation, reading: Reading
) -> list[Decoded]:
    return [decode_file(root, path, size, interpolation, reading) for path in paths]


def decode_file(root: Path, path: str, size: int, interpolation: Interpolation, reading: Reading = USUAL) -> Decoded:
    """Read and decode one file; an unreadable one comes back with its reason."""
    try:
        identity = file_identity(root / path)
        content = read(root / path)
    except (OSError, UnreadableImageError) as error:
        reason = f"cannot be opened: {error.strerror}" if isinstance(error, OSError) else str(error)
        return Decoded(path, (0, 0, 0, 0), "", None, reason=reason)
    digest = digest_of(content)
    try:
        image = open_radiograph(content, reading).image
    except UnreadableImageError as error:
        return Decoded(path, identity, digest, None, reason=str(error))
    return Decoded(path, identity, digest, resize(image, size, interpolation), thumbnail(image))


def file_identity(path: Path) -> tuple[int, int, int, int]:
    """Return size (bytes), inode, modification and change time (ns): what tells that a file is still the same."""
    status = path.stat()
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def digest_of(content: bytes) -> str:
    """Return the hash of a file's bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def stack_thumbnails(thumbnails: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return thumbnails as (N, THUMBNAIL, THUMBNAIL), also where there are none."""
    return np.array(thumbnails, dtype=np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL)
