"""Cover the lungs, all but the lungs, or swap what lies around them: it tells whether a model needs the lungs."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from covidnet.data.changes.kinds import Lungs
from covidnet.data.spelling import Spellings
from covidnet.data.walk import IMAGES, MASKS, is_folder, names_in
from covidnet.imaging.decode import decode, read
from covidnet.lung_box import lung_box

MASK_LEVEL = 127  # greys of a mask above it are lung
Gather = Callable[[NDArray[np.int64]], NDArray[np.uint8]]


class LungView:
    """Pixels by number, black or another image's where the lungs lie or do not. It travels to worker processes.

    Args:
        gather: Numbers (B,) -> pixels (B, C, H, W).
        lungs: "covered": the lungs are black; "only": all else is; "swapped": all else is of another image.
        masks: Numbers (B,) -> lung masks (B, 1, H, W), 0 outside; the central box of ``lung_box`` where left out.
        others: (N,) for each number that of the image whose surround it gets, if it is swapped; see ``draw_others``.
    """

    def __init__(
        self, gather: Gather, lungs: Lungs, masks: Gather | None = None, others: NDArray[np.int64] | None = None
    ) -> None:
        self.gather = gather
        self.lungs = lungs
        self.masks = masks
        self.others = others

    def __call__(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images with these numbers as (B, C, H, W), a copy."""
        pixels = self.gather(numbers)
        inside = central_box(*pixels.shape[2:]) if self.masks is None else lungs_in(self.masks(numbers))[:, None]
        rest = np.uint8(0) if self.others is None else self.gather(self.others[numbers])
        return np.where(inside != (self.lungs == "covered"), pixels, rest)


class Masked:
    """Pixels by number with the lungs as one more channel, white; the rest of it black. It travels to workers.

    Args:
        gather: Numbers (B,) -> pixels (B, 1 or 3, H, W).
        masks: Numbers (B,) -> lung masks (B, 1 or 3, H, W).
        channels: Of the pixels, as they are given here.
    """

    def __init__(self, gather: Gather, masks: Gather, channels: int) -> None:
        self.gather, self.masks, self.channels = gather, masks, channels

    def __call__(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images with these numbers and where their lungs lie as (B, channels + 1, H, W)."""
        pixels = self.gather(numbers)
        batch, _, height, width = pixels.shape
        lungs = np.where(lungs_in(self.masks(numbers)), np.uint8(255), np.uint8(0))[:, None]
        return np.concatenate([np.broadcast_to(pixels, (batch, self.channels, height, width)), lungs], axis=1)


def draw_others(number: int) -> NDArray[np.int64]:
    """Return for each of N images another one, of whatever class: always the same draw, so that tests can be compared.

    Each image is drawn once, and none for itself where there are two or more.
    """
    order = np.random.default_rng(0).permutation(number)
    others = np.empty(number, dtype=np.int64)
    others[order] = np.roll(order, 1)
    return others


def mask_paths(root: Path, paths: Sequence[str]) -> list[str]:
    """Return the lung mask beside each image, as the later release has them, or nothing where one image has none.

    The mask of ``<class>/images/NAME``, or of ``<class>/NAME``, is ``<class>/masks/NAME``; the folders may be written
    in any letter case, a mask's name in any spelling of the image's. Masks for some images and a box for the others
    would tell their classes apart by the shape of what is covered, so whoever asks where the lungs are asks here, for
    all images at once.
    """
    folders: dict[PurePosixPath, dict[PurePosixPath, Spellings]] = {}
    found = []
    for path in map(PurePosixPath, paths):
        folder = path.parent.parent if path.parent.name.lower() == IMAGES else path.parent
        if folder not in folders:
            masks = [folder / name for name in _mask_folders(root / folder)]
            folders[folder] = {one: Spellings(names_in(root / one)) for one in masks if is_folder(root / one)}
        masks_of = ((one, names.find(path.name)) for one, names in folders[folder].items())
        mask = next((one / name for one, name in masks_of if name and (root / one / name).is_file()), None)
        if mask is None:
            return []
        found.append(mask.as_posix())
    return found


def lung_region(mask: Path | None, size: int) -> NDArray[np.bool_]:
    """Return where the lungs of one image lie (S, S): by its mask, or by the central box where it has none."""
    return central_box(size, size) if mask is None else lungs_in(decode(read(mask), size, "nearest"))


def lungs_in(masks: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the lungs (..., H, W) of masks (..., C, H, W)."""
    return np.asarray(masks.max(axis=-3) > MASK_LEVEL)


def central_box(height: int, width: int) -> NDArray[np.bool_]:
    """Return the box (H, W) that stands for lungs of which no mask tells."""
    region = np.zeros((height, width), dtype=np.bool_)
    top, bottom, left, right = lung_box(height, width)
    region[top:bottom, left:right] = True
    return region


def _mask_folders(folder: Path) -> list[str]:
    names = names_in(folder) if is_folder(folder) else []
    return sorted((name for name in names if name.lower() in MASKS), key=lambda name: (MASKS.index(name.lower()), name))
