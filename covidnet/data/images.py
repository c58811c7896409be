"""Files -> pixels by number: the one way in which images are opened, from the cache or anew."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from covidnet.data.cache import open_cache
from covidnet.data.changes.crop import OVERSIZE, Box, CropView, crops_of, lung_crop
from covidnet.data.changes.kinds import Lungs, shown
from covidnet.data.changes.lungs import LungView, Masked, central_box, draw_others, lungs_in
from covidnet.data.decoding import check_images, decode_file
from covidnet.data.listing import Listing
from covidnet.data.lung_masks import LungMasks
from covidnet.data.walk import told_by_reason
from covidnet.errors import UserError
from covidnet.imaging.decode import Interpolation
from covidnet.imaging.radiograph import USUAL, Reading
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
    folder: Path | None = None  # of their cache


def open_pixels(
    root: Path,
    paths: Sequence[str],
    size: int,
    interpolation: Interpolation,
    *,
    cache: Cache = True,
    cache_dir: Path | None = None,
    reading: Reading = USUAL,
) -> Pixels:
    """Decode files below ``root`` to (S, S), once where they are cached."""
    if cache:
        verify = cache == "verify"
        pixels, unreadable = open_cache(root, paths, size, interpolation, cache_dir, verify=verify, reading=reading)
        readable = [path for path in paths if path not in unreadable]
        mapped = getattr(pixels.planes, "filename", None)  # none where no image is readable
        folder = Path(mapped).parent if mapped else None
        return Pixels(readable, pixels.index.shape[1], pixels.gather, unreadable, pixels.thumbnails, folder)
    thumbnails, unreadable = check_images(root, paths, size, interpolation, reading)
    readable = [path for path in paths if path not in unreadable]
    return Pixels(readable, 3, Stream(root, readable, size, interpolation, reading), unreadable, thumbnails)


class Images(NamedTuple):
    """The readable images of one or more folders, numbered from 0, and how to get at their pixels."""

    paths: list[str]
    labels: list[int]
    channels: int  # C, 1 or 3
    gather: Gather
    thumbnails: NDArray[np.uint8]  # (N, THUMBNAIL, THUMBNAIL)
    masks: Gather | None = None  # of the lungs, where they were asked for and the central box does not stand for them
    folder: Path | None = None  # of the cache of the first of them

    @property
    def masked(self) -> "Images":
        """The same with the lungs as one more channel; themselves where there are no masks."""
        if self.masks is None:
            return self
        gather = Masked(self.gather, self.masks, self.channels)
        return self._replace(gather=gather, channels=self.channels + 1, masks=None)


def open_images(
    listings: Mapping[str, Listing],
    size: int,
    interpolation: Interpolation,
    *,
    lungs: Lungs = "whole",
    masks: LungMasks | None = None,
    surround: bool = False,
    skip: bool = False,
    cache: Cache = True,
    cache_dir: Path | None = None,
    reading: Reading = USUAL,
) -> Images:
    """Decode the images of listings, or check that they can be decoded; tell what is left out.

    Args:
        listings: What the paths of a folder begin with here -> what it holds. Each has a cache of its own.
        size: Side S in pixels.
        interpolation: How images are resized.
        lungs: What of each image is shown.
        masks: What says where the lungs lie; "auto" where left out. A folder that it names is asked for each image's
            mask, whatever is shown.
        surround: Whether masks of a named folder are served too.
        skip: Go on without images that cannot be read.
        cache: Keep decoded images on disk.
        cache_dir: Where; the user's cache folder where left out.
        reading: How files are read.

    Raises:
        UserError: Naming the images that cannot be read, unless they are skipped.
    """
    view, crop = shown(lungs)
    side = size * OVERSIZE if crop else size

    def opened(root: Path, paths: Sequence[str], how: Interpolation) -> Pixels:
        return open_pixels(root, paths, side, how, cache=cache, cache_dir=cache_dir, reading=reading)

    for listing in listings.values():
        if listing.ignored:
            left = f"{len(listing.ignored):,} files or folders below {listing.root} are left out"
            warn(f"{left}:\n  {told_by_reason(listing.ignored)}")
    parts = {prefix: opened(listing.root, listing.paths, interpolation) for prefix, listing in listings.items()}
    for prefix, pixels in parts.items():
        if pixels.unreadable:
            _tell_unreadable(listings[prefix].root, pixels.unreadable, skip=skip)
    pixels = join_pixels(parts)
    labels = [
        label
        for prefix, listing in listings.items()
        for path, label in zip(listing.paths, listing.targets, strict=True)
        if path not in parts[prefix].unreadable
    ]
    masks, gather, regions = masks or LungMasks(), pixels.gather, None
    if lungs != "whole" or masks.named:
        found = masks.of({prefix: (listings[prefix].root, part.paths) for prefix, part in parts.items()})
        if found:  # also where a report or the lungs test is all that will ask: a bad mask is told before training
            regions = _open_masks({prefix: opened(*own, "nearest") for prefix, own in found.items()}, masks)
    served = regions if surround and masks.named else None
    if lungs != "whole":
        tell(f"Lungs {lungs}: {masks.told(regions is not None)}.")
    if view != "whole":
        others = draw_others(len(labels)) if view == "swapped" else None
        gather = LungView(gather, view, regions, others)
    if crop:
        boxes = _crops(regions, len(labels), side)
        gather = CropView(gather, boxes, size, interpolation)
        served = served and CropView(served, boxes, size, "nearest")
    return Images(pixels.paths, labels, pixels.channels, gather, pixels.thumbnails, served, pixels.folder)


def _crops(regions: Gather | None, number: int, side: int) -> list[Box]:
    """Return what each of N images is cut to: its lungs by masks, or the central box."""
    if regions is None:
        return [lung_crop(central_box(side, side))] * number
    return crops_of(lambda numbers: lungs_in(regions(numbers)), number)


def _open_masks(opened: Mapping[str, Pixels], masks: LungMasks) -> Gather | None:
    """Return lung masks by the numbers of their images; None where one beside an image cannot be read: it is none.

    Raises:
        UserError: Where one of a named folder cannot be read, or is no mask.
    """
    unreadable = {prefix + path: why for prefix, part in opened.items() for path, why in part.unreadable.items()}
    masks.refuse_unreadable(unreadable)
    if unreadable:
        return None
    joined = join_pixels(opened)
    masks.refuse_no_lungs(joined.paths, joined.thumbnails)
    return joined.gather


def _tell_unreadable(root: Path, unreadable: dict[str, str], *, skip: bool) -> None:
    lines = "\n".join(f"  {path}: {reason}" for path, reason in sorted(unreadable.items()))
    message = f"{len(unreadable)} images below {root} cannot be read:\n{lines}"
    if not skip:
        raise UserError(f"{message}\nMend them, move them elsewhere, or go on without them: data.on_error=skip.")
    warn(f"{message}\nThey are skipped (data.on_error=skip).")


class Stream:
    """Decode images each time they are asked for: for data larger than the disk. It travels to worker processes."""

    def __init__(
        self, root: Path, paths: Sequence[str], size: int, interpolation: Interpolation, reading: Reading
    ) -> None:
        self.root = root
        self.paths = paths
        self.size = size
        self.interpolation: Interpolation = interpolation
        self.reading = reading

    def __call__(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Return the images with these numbers as (B, 3, H, W)."""
        return np.stack([self._decode(self.paths[number]) for number in numbers])

    def _decode(self, path: str) -> NDArray[np.uint8]:
        decoded = decode_file(self.root, path, self.size, self.interpolation, self.reading)
        if decoded.pixels is None:
            raise UserError(f"{self.root / path} could be read when the run began, but now {decoded.reason}.")
        return np.broadcast_to(decoded.pixels, (3, self.size, self.size))


def join(first: Images, second: Images) -> Images:
    """Number the images of one part, then those of another, whose paths are as they should be in both."""
    channels = max(first.channels, second.channels)
    thumbnails = np.concatenate([first.thumbnails, second.thumbnails])
    sizes = [len(first.paths), len(second.paths)]
    gather = _Joined([first.gather, second.gather], sizes)
    masks = _Joined([first.masks, second.masks], sizes) if first.masks and second.masks else None
    paths, labels = [*first.paths, *second.paths], [*first.labels, *second.labels]
    return Images(paths, labels, channels, gather, thumbnails, masks, first.folder)


def join_pixels(parts: Mapping[str, Pixels]) -> Pixels:
    """Number the images of several parts, one after the other; their paths begin with the names of the parts."""
    prefix, first = next(iter(parts.items()))
    if len(parts) == 1 and not prefix:
        return first
    return Pixels(
        paths=[prefix + path for prefix, part in parts.items() for path in part.paths],
        channels=max(part.channels for part in parts.values()),
        gather=_Joined([part.gather for part in parts.values()], [len(part.paths) for part in parts.values()]),
        unreadable={prefix + path: why for prefix, part in parts.items() for path, why in part.unreadable.items()},
        thumbnails=np.concatenate([part.thumbnails for part in parts.values()]),
        folder=first.folder,
    )


class _Joined:
    """Images of several parts by number, those of the first part first. It travels to worker processes."""

    def __init__(self, gathers: Sequence[Gather], sizes: Sequence[int]) -> None:
        self.gathers = list(gathers)
        self.ends = np.cumsum(sizes)

    def __call__(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Return the images with these numbers as (B, C, H, W)."""
        places = np.searchsorted(self.ends, numbers, side="right")
        starts = np.concatenate([[0], self.ends[:-1]])
        present = np.unique(places).tolist()
        parts = [self.gathers[place](numbers[places == place] - starts[place]) for place in present]
        if len(parts) == 1:
            return np.asarray(parts[0])
        pixels = np.empty((len(numbers), 3, *parts[0].shape[2:]), dtype=np.uint8)
        for place, part in zip(present, parts, strict=True):
            pixels[places == place] = part  # one channel repeats itself to three
        return pixels
