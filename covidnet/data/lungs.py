"""Cover the lungs, or all but the lungs: what is left tells whether a model needs them."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from covidnet.data.folder import IMAGES, MASKS
from covidnet.lungs import lung_box

Lungs = Literal["whole", "covered", "only"]
Gather = Callable[[NDArray[np.int64]], NDArray[np.uint8]]


class LungView:
    """Pixels by number, black where the lungs lie, or everywhere else. It travels to worker processes.

    Args:
        gather: Numbers (B,) -> pixels (B, C, H, W).
        lungs: "covered" or "only".
        masks: Numbers (B,) -> lung masks (B, 1, H, W), 0 outside; the central box of ``lung_box`` where left out.
    """

    def __init__(self, gather: Gather, lungs: Lungs, masks: Gather | None = None) -> None:
        self.gather = gather
        self.lungs = lungs
        self.masks = masks

    def __call__(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images with these numbers as (B, C, H, W), a copy."""
        pixels = self.gather(numbers)
        if self.masks is not None:
            inside = self.masks(numbers).max(axis=1, keepdims=True) > 127
        else:
            height, width = pixels.shape[2:]
            inside = np.zeros((1, 1, height, width), dtype=bool)
            top, bottom, left, right = lung_box(height, width)
            inside[..., top:bottom, left:right] = True
        return np.where(inside == (self.lungs == "only"), pixels, np.uint8(0))


def mask_paths(root: Path, paths: Sequence[str]) -> list[str]:
    """Return the lung mask beside each image, as the later release has them, or nothing where one image has none.

    Masks for some images and a box for the others would tell their classes apart by the shape of what is covered.
    """
    found = []
    for path in map(PurePosixPath, paths):
        folder = path.parent.parent if path.parent.name.lower() == IMAGES else path.parent
        masks = [folder / name / path.name for name in MASKS if (root / folder / name / path.name).is_file()]
        if not masks:
            return []
        found.append(masks[0].as_posix())
    return found
