"""covidnet.data.images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covidnet.data.cache import check_images, decode_file, open_cache
from covidnet.data.division.split import TEST_PREFIX
from covidnet.errors import UserError
from covidnet.imaging.decode import Interpolation

Numbers = NDArray[np.int64]


class Images(NamedTuple):
    """The readable images of a folder, numbered from 0, and how to get at their pixels."""

    paths: list[str]
    labels: list[int]
    channels: int  # C, 1 or 3
    gather: Callable[[Numbers], NDArray[np.uint8]]  # (B,) -> (B, C, H, W)
    thumbnails: NDArray[np.uint8]  # (N, THUMBNAIL, THUMBNAIL)


class Stream:
    """Decode images each time they are asked for: for data larger than the disk. It travels to worker processes."""

    def __init__(self, root: Path, paths: Sequence[str], size: int, interpolation: Interpolation) -> None:
        self.root = root
        self.paths = paths
        self.size = size
        self.interpolation: Interpolation = interpolation

    def __call__(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Return the images with these numbers as (B, 3, H, W)."""
        return np.stack([self._decode(self.paths[number]) for number in numbers])

    def _decode(self, path: str) -> NDArray[np.uint8]:
        decoded = decode_file(self.root, path, self.size, self.interpolation)
        if decoded.pixels is None:
            raise UserError(f"{self.root / path} could be read when the run began, but now {decoded.reason}.")
        return np.broadcast_to(decoded.pixels, (3, self.size, self.size))


def join(first: Images, second: Images) -> Images:
    """Number the images of a root, then those of its test root, whose paths begin with ``test:``."""
    paths = [*first.paths, *(TEST_PREFIX + path for path in second.paths)]
    channels = max(first.channels, second.channels)
    thumbnails = np.concatenate([first.thumbnails, second.thumbnails])
    return Images(paths, [*first.labels, *second.labels], channels, _Joined(first, second), thumbnails)


class _Joined:
    """The images of a root, then those of its test root."""

    def __init__(self, first: Images, second: Images) -> None:
        self.first = first
        self.second = second

    def __call__(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Return the images with these numbers as (B, C, H, W)."""
        own = numbers < len(self.first.paths)
        if own.all():
            return self.first.gather(numbers)
        others = self.second.gather(numbers[~own] - len(self.first.paths))
        if not own.any():
            return others
        pixels = np.empty((len(numbers), 3, *others.shape[2:]), dtype=np.uint8)
        pixels[own], pixels[~own] = self.first.gather(numbers[own]), others  # one channel repeats itself to three
        return pixels


@dataclass(frozen=True)
class Pixels:
    """The readable images among some files, and their pixels."""

    paths: list[str]
    gather: Callable[[Numbers], NDArray[np.uint8]]  # (B,) -> (B, C, S, S)
    unreadable: dict[str, str]  # path -> reason
    thumbnails: NDArray[np.uint8]  # (N, THUMBNAIL, THUMBNAIL)


def open_pixels(
    root: Path,
    paths: Sequence[str],
    size: int,
    interpolation: Interpolation,
    *,
    cache: bool = True,
    cache_dir: Path | None = None,
) -> Pixels:
    """Decode files below ``root``, once where they are cached."""
    gather: Callable[[Numbers], NDArray[np.uint8]]
    if cache:
        pixels, unreadable = open_cache(root, paths, size, interpolation, cache_dir)
        gather, thumbnails = pixels.gather, pixels.thumbnails
        readable = [path for path in paths if path not in unreadable]
    else:
        thumbnails, unreadable = check_images(root, paths, size, interpolation)
        readable = [path for path in paths if path not in unreadable]
        gather = Stream(root, readable, size, interpolation)
    return Pixels(readable, gather, unreadable, thumbnails)
