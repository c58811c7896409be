"""Cover the lungs, all but the lungs, or swap what lies around them: it tells whether a model needs the lungs."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from covidnet.data.walk import IMAGES, MASKS
from covidnet.lung_box import lung_box

Lungs = Literal["whole", "covered", "only", "swapped"]
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
        if self.masks is not None:
            inside = self.masks(numbers).max(axis=1, keepdims=True) > 127
        else:
            height, width = pixels.shape[2:]
            inside = np.zeros((1, 1, height, width), dtype=bool)
            top, bottom, left, right = lung_box(height, width)
            inside[..., top:bottom, left:right] = True
        rest = np.uint8(0) if self.others is None else self.gather(self.others[numbers])
        return np.where(inside != (self.lungs == "covered"), pixels, rest)


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
