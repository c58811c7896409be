"""A decoded radiograph -> what a model was trained to see of it: all of it, or what lies about its lungs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covidnet.data.changes.crop import CHUNK, OVERSIZE, Box, cut, lung_crop
from covidnet.data.changes.kinds import shown
from covidnet.data.changes.lungs import central_box
from covidnet.imaging.decode import resize
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.runs.checkpoint import Preprocessing

NO_LUNGS = "shows no lungs that could be found, to which its model has images cut: is it a chest radiograph?"


class Seen(NamedTuple):
    """What a model sees of a radiograph."""

    pixels: NDArray[np.uint8]  # (C, S, S), C 1 or 3
    part: Image.Image  # what they show, as it was decoded


def see(image: Image.Image, made: Preprocessing) -> Seen:
    """Return what a model sees of a decoded radiograph, as its training images were made.

    Raises:
        UnreadableImageError: Where it has to be cut to its lungs, and none are found.
    """
    if not shown(made.lungs)[1]:
        return Seen(resize(image, made.image_size, made.interpolation), image)
    large = resize(image, made.image_size * OVERSIZE, made.interpolation)
    lungs = central_box(*large.shape[1:]) if made.boxed else lungs_found(large[None])[0]
    if not lungs.any():
        raise UnreadableImageError(NO_LUNGS)
    top, bottom, left, right = box = lung_crop(lungs)
    width, height = image.size
    part = image.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))
    return Seen(cut(large, box, made.image_size, made.interpolation), part)


def crops_found(gather: Callable[[NDArray[np.int64]], NDArray[np.uint8]], number: int) -> list[Box]:
    """Return what each of N images is cut to, by covidnet's own lung network; all of one in which it finds no lung."""
    parts = (np.arange(start, min(start + CHUNK, number)) for start in range(0, number, CHUNK))
    return [lung_crop(lungs) for part in parts for lungs in lungs_found(gather(part))]


def lungs_found(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where covidnet's own network sees lungs (B, H, W) in pixels (B, C, H, W)."""
    from covidnet.inference.lung_masks import lung_masks  # which reads the network

    masks, _ = lung_masks(pixels.mean(axis=1).round().astype(np.uint8))
    return masks
