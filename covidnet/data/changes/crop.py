"""Cut images to their lungs: what lies far around them is not seen, and the lungs are seen larger."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covidnet.imaging.decode import Interpolation, resize

MARGIN = 0.05  # of the box of the lungs, added at each of its sides: ribs and diaphragm tell where a lung ends
OVERSIZE = 2  # side of the pixels that are cut, to that of the images: a box of half a side loses no detail
UNCUT = 0.0, 1.0, 0.0, 1.0
CHUNK = 256  # masks that are looked at together
Box = tuple[float, float, float, float]  # top, bottom, left and right as shares of the image
Gather = Callable[[NDArray[np.int64]], NDArray[np.uint8]]


def lung_crop(lungs: NDArray[np.bool_]) -> Box:
    """Return what an image is cut to whose lungs (H, W) are known: their bounding box and ``MARGIN``, in the image.

    An image without lungs is not cut.
    """
    if not lungs.any():
        return UNCUT
    (top, bottom), (left, right) = _ends(lungs), _ends(lungs.T)
    down, across = MARGIN * (bottom - top), MARGIN * (right - left)
    return max(0.0, top - down), min(1.0, bottom + down), max(0.0, left - across), min(1.0, right + across)


def cut(pixels: NDArray[np.uint8], box: Box, size: int, interpolation: Interpolation) -> NDArray[np.uint8]:
    """Return the part of an image (C, H, W) in a box as (C, size, size)."""
    _, height, width = pixels.shape
    (top, bottom), (left, right) = _places(box[:2], height), _places(box[2:], width)
    part = [Image.fromarray(np.ascontiguousarray(plane[top:bottom, left:right])) for plane in pixels]
    return np.concatenate([resize(plane, size, interpolation) for plane in part])


def crops_of(regions: Callable[[NDArray[np.int64]], NDArray[np.bool_]], number: int) -> list[Box]:
    """Return what each of N images is cut to, whose lungs (B, H, W) ``regions`` gives by their numbers."""
    parts = (regions(np.arange(start, min(start + CHUNK, number))) for start in range(0, number, CHUNK))
    return [lung_crop(lungs) for part in parts for lungs in part]


class CropView:
    """Pixels by number, cut to the lungs and resized. It travels to worker processes.

    Args:
        gather: Numbers (B,) -> pixels (B, C, H, W), ``OVERSIZE`` times as wide as what is returned.
        boxes: What each image is cut to, by its number.
        size: Side S of what is returned.
        interpolation: To that side.
    """

    def __init__(self, gather: Gather, boxes: list[Box], size: int, interpolation: Interpolation) -> None:
        self.gather, self.boxes, self.size = gather, boxes, size
        self.interpolation: Interpolation = interpolation

    def __call__(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images with these numbers as (B, C, S, S)."""
        pairs = zip(self.gather(numbers), numbers, strict=True)
        return np.stack([cut(pixels, self.boxes[number], self.size, self.interpolation) for pixels, number in pairs])


def _places(ends: tuple[float, float], side: int) -> tuple[int, int]:
    """Return two shares of a side in pixels, at least one apart."""
    start = min(round(ends[0] * side), side - 1)
    return start, max(round(ends[1] * side), start + 1)


def _ends(lungs: NDArray[np.bool_]) -> tuple[float, float]:
    """Return where the rows (H, W) with any lung begin and end, as shares of their number."""
    rows = lungs.nonzero()[0]
    return float(rows.min() / len(lungs)), float((rows.max() + 1) / len(lungs))
