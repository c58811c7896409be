"""Images from elsewhere, cut to their lungs as those of the training were."""

from dataclasses import replace
from pathlib import Path

from covidnet.data.changes.crop import OVERSIZE, UNCUT, CropView, lung_crop
from covidnet.data.changes.kinds import shown
from covidnet.data.changes.lungs import central_box
from covidnet.data.images import Pixels
from covidnet.data.lung_masks import LungMasks
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError, some
from covidnet.inference.seen import crops_found
from covidnet.machine.telling import tell


def cut_to_lungs(data: Radiographs, root: Path, pixels: Pixels, given: str | None) -> Pixels:
    """Return images below ``root`` cut to their lungs, where those of the training were.

    Args:
        data: How the images of the training were made.
        root: The folder.
        pixels: Its images, ``OVERSIZE`` times as wide as the model's.
        given: What says where their lungs lie, as ``data.masks``. Where left out, the central box where the training
            had it, else covidnet's own lung network.

    Raises:
        UserError: Where a folder of masks is named, and lacks one, or is of no use.
    """
    if not shown(data.lungs)[1]:
        if given:
            raise UserError(f"--masks={given} is for a model whose images are cut to their lungs. Leave it out.")
        return pixels
    number, side = len(pixels.paths), data.image_size * OVERSIZE
    masks = LungMasks(given, data.cache_dir, "--masks") if given else data.masks
    if given or not data.masks.named:
        files = [*masks.of_split([{"": root}], pixels.paths).values()]
        regions = masks.regions(files, side) if files else None
        boxes = [*map(lung_crop, regions)] if regions is not None else [lung_crop(central_box(side, side))] * number
        tell(f"The images are cut to their lungs {masks.told(regions is not None)}.")
    else:
        reading = data.reading._replace(body_part="any")  # what may be read was asked when they were opened
        boxes = crops_found([root / path for path in pixels.paths], side, reading)
        tell("The images are cut to their lungs by covidnet's own lung network.")
    if uncut := [path for path, box in zip(pixels.paths, boxes, strict=True) if box == UNCUT]:
        tell(f"{len(uncut):,} images are not cut, as they show no lungs or nothing else: {some(uncut, 3, ', ')}.")
    return replace(pixels, gather=CropView(pixels.gather, boxes, data.image_size, data.interpolation))
