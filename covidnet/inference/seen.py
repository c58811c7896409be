"""A decoded radiograph -> what a model was trained to see of it: all of it, or what lies about its lungs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covidnet.data.changes.crop import OVERSIZE, Box, cut, lung_crop
from covidnet.data.changes.kinds import shown
from covidnet.data.changes.lungs import central_box
from covidnet.imaging.decode import open_radiograph, read, resize
from covidnet.imaging.radiograph import Reading, UnreadableImageError
from covidnet.machine.parallel import progress_bar
from covidnet.runs.checkpoint import Preprocessing

NO_LUNGS = "shows no lungs that could be found, to which its model has images cut; perhaps it is no chest radiograph"
CHUNK = 32  # images whose lungs are sought at once


class Seen(NamedTuple):
    """What a model sees of a radiograph."""

    pixels: NDArray[np.uint8]  # (C, S, S), C 1 or 3
    part: Image.Image  # what they show, as it was decoded


def see(image: Image.Image, made: Preprocessing) -> Seen:
    """Return what a model sees of a decoded radiograph, as its training images were made.

    Raises:
        UnreadableImageError: Where it has to be cut to its lungs, and none are found.
    """
    size, side = made.image_size, made.image_size * OVERSIZE
    if not shown(made.lungs)[1]:
        return Seen(resize(image, size, made.interpolation), image)
    lungs = central_box(side, side) if made.boxed else lungs_found([image], side)[0]
    if not lungs.any():
        raise UnreadableImageError(NO_LUNGS)
    top, bottom, left, right = box = lung_crop(lungs)
    width, height = image.size
    part = image.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))
    return Seen(cut(resize(image, side, made.interpolation), box, size, made.interpolation), part)


def crops_found(files: Sequence[Path], side: int, reading: Reading) -> list[Box]:
    """Return what each of several files is cut to, by covidnet's lung network; all of one in which it finds no lung.

    Raises:
        UnreadableImageError: Where one is not there any more.
    """
    boxes: list[Box] = []
    with progress_bar(len(files), "finding lungs", hidden=len(files) < CHUNK) as bar:
        for start in range(0, len(files), CHUNK):
            images = [open_radiograph(read(file), reading).image for file in files[start : start + CHUNK]]
            boxes += map(lung_crop, lungs_found(images, side))
            bar.update(len(images))
    return boxes


def lungs_found(images: Sequence[Image.Image], side: int) -> list[NDArray[np.bool_]]:
    """Return where covidnet's network sees lungs in each image (S, S): as its masks would tell it in a folder."""
    from covidnet.inference.lung_masks import at_size, lung_maps  # which take the network
    from covidnet.models.lung_network import SIDE

    maps, _ = lung_maps(np.stack([resize(image.convert("L"), SIDE)[0] for image in images]))
    masks = (Image.fromarray(at_size(one, *image.size)) for one, image in zip(maps, images, strict=True))
    return [resize(mask.convert("L"), side, "nearest")[0] > 0 for mask in masks]
