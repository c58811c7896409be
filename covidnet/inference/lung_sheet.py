"""A contact sheet: images with the outlines of their lung masks, the least sure first, for a person to look at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from covidnet.imaging.decode import decode, read
from covidnet.imaging.radiograph import Reading

TILE, CAPTION, ACROSS = 192, 16, 8  # pixels of a picture and of the line below it; pictures in a row
WORST, OTHERS = 64, 32  # pictures: those of the least quality, then some of the rest, evenly spaced by it
SMALL = 11  # points of the letters
OUTLINE = np.array([255, 210, 0], dtype=np.uint8)

Shown = tuple[float, Path, Path, str]  # quality, image, mask, what it is called


def draw_sheet(masks: Sequence[Shown], reading: Reading) -> Image.Image:
    """Return the contact sheet of masks that were written: quality and name stand below each picture."""
    ranked = sorted(masks, key=lambda one: (one[0], one[3]))
    rest = ranked[WORST:]
    places = sorted({round(place) for place in np.linspace(0, len(rest) - 1, OTHERS)}) if rest else []
    shown = [*ranked[:WORST], *(rest[place] for place in places)]
    rows = -(-len(shown) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * TILE, rows * (TILE + CAPTION)), "black")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(SMALL)
    for number, (quality, image, mask, name) in enumerate(shown):
        left, top = number % ACROSS * TILE, number // ACROSS * (TILE + CAPTION)
        sheet.paste(Image.fromarray(_outlined(image, mask, reading)), (left, top))
        pen.text((left + 2, top + TILE + 1), _caption(quality, name, font), fill="white", font=font)
    return sheet


def _outlined(image: Path, mask: Path, reading: Reading) -> NDArray[np.uint8]:
    """Return an image (TILE, TILE, 3) with the outline of its lungs."""
    pixels = np.broadcast_to(decode(read(image), TILE, reading=reading), (3, TILE, TILE)).transpose(1, 2, 0).copy()
    lungs = decode(read(mask), TILE, "nearest")[0] > 127
    pixels[lungs & ~binary_erosion(lungs)] = OUTLINE
    return pixels


def _caption(quality: float, name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return the quality and as much of a name as fits: its end tells more than its beginning."""
    text = f"{quality:.2f} {name}"
    while font.getlength(text) > TILE - 4 and name:
        name = name[1:]
        text = f"{quality:.2f} ...{name}"
    return text
