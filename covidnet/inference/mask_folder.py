"""A folder of radiographs -> a folder of their lung masks, for all images or for none."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covidnet.data.mask_names import mask_names
from covidnet.errors import UserError, some
from covidnet.files.whole import whole_folder
from covidnet.imaging.decode import open_radiograph, read, resize
from covidnet.imaging.radiograph import Reading, UnreadableImageError
from covidnet.inference.lung_masks import BATCH, at_size, lung_maps
from covidnet.inference.lung_sheet import draw_sheet
from covidnet.inference.mask_files import COLUMNS, SHEET, TABLE, refuse_others_files
from covidnet.machine.parallel import progress_bar
from covidnet.models.lung_network import SIDE

DOUBTFUL = 0.9  # of films that it had not seen, those of less quality had a Dice of .90, the others of .95


@dataclass(frozen=True)
class Mask:
    """A mask that was written: the paths of image and mask, each below its folder, and what is told of it."""

    path: str
    mask: str
    quality: float  # in [0, 1]
    lung_share: float  # of the image's pixels


def write_masks(root: Path, paths: Sequence[str], out: Path, reading: Reading) -> list[Mask]:
    """Write the masks of images, a table of their quality and a contact sheet, under a progress bar.

    A mask is a grey PNG of its image's size as it is read, upright, 0 outside and 255 in the lungs.

    Args:
        root: The folder of the images.
        paths: N paths below it, POSIX.
        out: The folder of the masks, which takes its name when all is written; what an earlier call has written there
            goes then.
        reading: How files are read.

    Raises:
        UserError: Where images cannot be read, which are named; or ``out`` holds other files.
    """
    refuse_others_files(out)
    with whole_folder(out) as folder:
        masks = list(_written(root, paths, folder, reading))
        with (folder / TABLE).open("w", encoding="utf-8", errors="surrogatepass", newline="") as lines:
            rows = [(one.path, one.mask, f"{one.quality:.3f}", f"{one.lung_share:.3f}") for one in masks]
            csv.writer(lines, lineterminator="\n").writerows([COLUMNS, *rows])
        shown = [(one.quality, root / one.path, folder / one.mask, one.path) for one in masks]
        with (folder / SHEET).open("xb") as content:
            draw_sheet(shown, reading).save(content, "PNG")
    return masks


def _written(root: Path, paths: Sequence[str], folder: Path, reading: Reading) -> Iterator[Mask]:
    """Yield each mask as it is written; after the first image that cannot be read the others are only looked at."""
    names = mask_names(paths, taken=[SHEET, TABLE])
    unreadable: list[str] = []
    with progress_bar(len(paths), "finding lungs") as bar:
        for start in range(0, len(paths), BATCH):
            part = slice(start, start + BATCH)
            films: list[NDArray[np.uint8]] = []
            sizes: list[tuple[int, int]] = []
            for path in paths[part]:
                try:
                    image = open_radiograph(read(root / path), reading).image.convert("L")
                except UnreadableImageError as error:
                    unreadable.append(f"  {path} {error}")
                else:
                    films.append(resize(image, SIDE)[0])
                    sizes.append(image.size)
            if not unreadable:
                maps, quality = lung_maps(np.stack(films))
                for one, size, sure, path, name in zip(maps, sizes, quality, paths[part], names[part], strict=True):
                    mask = at_size(one, *size)
                    _save(mask, folder / name)
                    yield Mask(path, name, float(sure), float(mask.mean()))
            bar.update(len(paths[part]))
    if unreadable:
        raise UserError(
            f"{len(unreadable)} images below {root} cannot be read, so that no mask was written: masks are for all "
            f"images or for none.\n{some(unreadable, between=chr(10))}\nMend them, or move them elsewhere."
        )


def _save(mask: NDArray[np.bool_], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as content:  # of two names that are one to this disk the second would hide the first
        Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(content, "PNG", compress_level=1)
