"""The films and masks that the lung network may learn from, and which of them show one patient."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covidnet.data.changes.lungs import MASK_LEVEL
from covidnet.data.division.duplicates import find_duplicates
from covidnet.data.division.metadata import linked_groups
from covidnet.imaging.decode import open_radiograph, read, resize, thumbnail
from covidnet.models.lung_network import SIDE

TABLE = "metadata.csv"
CONVENTION, LICENCE = "lungs_with_region_behind_heart", "CC BY 4.0"
COVID = "/COVID/"  # of a film's other places, which tells its class


@dataclass(frozen=True)
class Masked:
    """A mask of a film: a row of the table."""

    row: dict[str, str]
    pixels: NDArray[np.uint8]  # (SIDE, SIDE), grey, of the film
    mask: NDArray[np.bool_]  # at its own size
    film: int  # equal for files that show one radiograph
    group: int  # equal for films of one patient, too

    @property
    def source(self) -> str:
        """Where the film was published."""
        return self.row["image_source"]


def allowed(row: dict[str, str]) -> bool:
    """Tell the masks that a network of ours may learn from, and whose films it is not tested on elsewhere."""
    return row["convention"] == CONVENTION and row["mask_licence"] == LICENCE and not row["also_in_external"]


def read_masked(folder: Path) -> list[Masked]:
    """Return all masks of a folder with ``metadata.csv``, in the table's order."""
    with (folder / TABLE).open(encoding="utf-8", errors="replace", newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = list(dict.fromkeys(row["image"] for row in rows))
    pictures = {name: open_radiograph(read(folder / name)).image.convert("L") for name in names}
    pairs = find_duplicates(np.stack([thumbnail(picture) for picture in pictures.values()])).pairs
    patients = {row["image"]: {"patient": row["patient"]} for row in rows}
    groups = dict(zip(names, linked_groups(names, patients, pairs), strict=True))
    numbers = dict(zip(names, linked_groups(names, {}, pairs), strict=True))
    films = {name: resize(picture, SIDE)[0] for name, picture in pictures.items()}
    return [
        Masked(row, films[name], read_mask(folder / row["mask"]), numbers[name], groups[name])
        for row in rows
        for name in [row["image"]]
    ]


def read_mask(file: Path) -> NDArray[np.bool_]:
    """Return a mask at its own size (H, W)."""
    return np.asarray(open_radiograph(read(file)).image.convert("L")) > MASK_LEVEL


def soft(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the share of lung in each pixel of the network's output (SIDE, SIDE)."""
    small = Image.fromarray(mask.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small)
