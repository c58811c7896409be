"""Files -> the little that an audit keeps of each: small enough that a hundred thousand fit into memory."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covidnet.imaging.decode import is_turned, open_radiograph, read, thumbnail
from covidnet.imaging.radiograph import USUAL, Reading, UnreadableImageError
from covidnet.machine.parallel import cores, parallel_map, progress_bar

CHUNK = 16  # files a worker reports at once
FEW = 64  # so few are decoded sooner than worker processes start


class Traits(NamedTuple):
    """What one readable file is like."""

    mode: str  # of the file, as Pillow names it
    size: tuple[int, int]  # width and height
    coloured: bool  # its channels differ
    turned: bool  # as it tells
    pixels: str  # hash of size and decoded pixels
    histogram: NDArray[np.float32]  # (256,) shares of the pixels by grey value
    thumbnail: NDArray[np.uint8]  # (THUMBNAIL, THUMBNAIL)


def inspect_files(files: Sequence[Path], reading: Reading = USUAL) -> Iterator[Traits | str]:
    """Decode every file once, on all cores, under a progress bar; yield its traits, or why it cannot be read."""
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    processes = 1 if len(files) < FEW else cores()
    with progress_bar(len(files), "inspecting", hidden=len(files) < FEW) as bar:
        for chunk in parallel_map(partial(_inspect_chunk, reading), chunks, processes):
            for traits in chunk:
                yield traits
                bar.update()


def _inspect_chunk(reading: Reading, files: Sequence[Path]) -> list[Traits | str]:
    return [_inspect(file, reading) for file in files]


def _inspect(file: Path, reading: Reading) -> Traits | str:
    try:
        given = read(file)
        image, mode = open_radiograph(given, reading)
    except UnreadableImageError as error:
        return str(error)
    content = hashlib.blake2b(f"{image.mode} {image.size}".encode(), digest_size=16)
    content.update(image.tobytes())
    counts = np.array(image.convert("L").histogram(), dtype=np.float32)
    shares = counts / counts.sum()
    return Traits(
        mode, image.size, image.mode != "L", is_turned(given, reading), content.hexdigest(), shares, thumbnail(image)
    )
