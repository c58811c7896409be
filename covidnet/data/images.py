"""Files -> pixels by number: the one way in which images are opened, from the cache or anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from covidnet.data.cache import open_cache
from covidnet.data.changes.kinds import Lungs
from covidnet.data.changes.lungs import LungView, draw_others, mask_paths
from covidnet.data.decoding import check_images, decode_file
from covidnet.data.division.split import TEST_PREFIX
from covidnet.data.listing import Listing
from covidnet.data.walk import told_by_reason
from covidnet.errors import UserError
from covidnet.imaging.decode import Interpolation
from covidnet.imaging.radiograph import BodyPart
from covidnet.machine.telling import tell, warn

Numbers = NDArray[np.int64]
Gather = Callable[[Numbers], NDArray[np.uint8]]  # (B,) -> (B, C, H, W)
Cache = bool | Literal["verify"]  # keep decoded images; "verify" compares the bytes of every file first


@dataclass(frozen=True)
class Pixels:
    """The readable images among some files, and their pixels."""

    paths: list[str]
    channels: int  # C, 1 or 3
    gather: Gather
    unreadable: dict[str, str]  # path -> reason
    thumbnails: NDArray[np.uint8]  # (N, THUMBNAIL, THUMBNAIL)


def open_pixels(
    root: Path,
    paths: Sequence[str],
    size: int,
    interpolation: Interpolation,
    *,
    cache: Cache = True,
    cache_dir: Path | None = None,
    body_part: BodyPart = "chest",
) -> Pixels:
    """Decode files below ``root`` to (S, S), once where they are cached."""
    if cache:
        verify = cache == "verify"
        pixels, unreadable = open_cache(root, paths, size, interpolation, cache_dir, verify=verify, body_part=body_part)
        readable = [path for path in paths if path not in unreadable]
        return Pixels(readable, pixels.index.shape[1], pixels.gather, unreadable, pixels.thumbnails)
    thumbnails, unreadable = check_images(root, paths, size, interpolation, body_part)
    readable = [path for path in paths if path not in unreadable]
    return Pixels(readable, 3, Stream(root, readable, size, interpolation, body_part), unreadable, thumbnails)


class Images(NamedTuple):
    """The readable images of a folder, numbered from 0, and how to get at their pixels."""

    paths: list[str]
    labels: list[int]
    channels: int  # C, 1 or 3
    gather: Gather
    thumbnails: NDArray[np.uint8]  # (N, THUMBNAIL, THUMBNAIL)


def open_images(
    listing: Listing,
    size: int,
    interpolation: Interpolation,
    *,
    lungs: Lungs = "whole",
    skip: bool = False,
    cache: Cache = True,
    cache_dir: Path | None = None,
    body_part: BodyPart = "chest",
) -> Images:
    """Decode the images of a listing, or check that they can be decoded; tell what is left out.

    Args:
        listing: What the folder holds.
        size: Side S in pixels.
        interpolation: How images are resized.
        lungs: What of each image is shown.
        skip: Go on without images that cannot be read.
        cache: Keep decoded images on disk.
        cache_dir: Where; the user's cache folder where left out.
        body_part: What part of the body DICOM headers may name.

    Raises:
        UserError: Naming the images that cannot be read, unless they are skipped.
    """
    root, paths = listing.root, listing.paths
    if listing.ignored:
        left = f"{len(listing.ignored):,} files or folders below {root} are left out"
        warn(f"{left}:\n  {told_by_reason(listing.ignored)}")
    pixels = open_pixels(root, paths, size, interpolation, cache=cache, cache_dir=cache_dir, body_part=body_part)
    if pixels.unreadable:
        _tell_unreadable(root, pixels.unreadable, skip=skip)
    labels = [label for path, label in zip(paths, listing.targets, strict=True) if path not in pixels.unreadable]
    gather = pixels.gather
    if lungs != "whole":
        beside = mask_paths(root, pixels.paths)
        masks = open_pixels(root, beside, size, "nearest", cache=cache, cache_dir=cache_dir) if beside else None
        if masks and masks.unreadable:  # masks or the box, never both
            masks = None
        tell(f"Lungs {lungs}: by {'their mask files' if masks else 'a central box'}.")
        others = draw_others(len(labels)) if lungs == "swapped" else None
        gather = LungView(gather, lungs, masks.gather if masks else None, others)
    return Images(pixels.paths, labels, pixels.channels, gather, pixels.thumbnails)


def _tell_unreadable(root: Path, unreadable: dict[str, str], *, skip: bool) -> None:
    lines = "\n".join(f"  {path}: {reason}" for path, reason in sorted(unreadable.items()))
    message = f"{len(unreadable)} images below {root} cannot be read:\n{lines}"
    if not skip:
        raise UserError(f"{message}\nMend or remove them, or go on without them: data.on_error=skip.")
    warn(f"{message}\nThey are skipped (data.on_error=skip).")


class Stream:
    """Decode images each time they are asked for: for data larger than the disk. It travels to worker processes."""

    def __init__(
        self, root: Path, paths: Sequence[str], size: int, interpolation: Interpolation, body_part: BodyPart
    ) -> None:
        self.root = root
        self.paths = paths
        self.size = size
        self.interpolation: Interpolation = interpolation
        self.body_part: BodyPart = body_part

    def __call__(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Return the images with these numbers as (B, 3, H, W)."""
        return np.stack([self._decode(self.paths[number]) for number in numbers])

    def _decode(self, path: str) -> NDArray[np.uint8]:
        decoded = decode_file(self.root, path, self.size, self.interpolation, self.body_part)
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
