"""A decoded radiograph, or the reason why a file gives none."""

from typing import NamedTuple

from PIL import Image


class UnreadableImageError(Exception):
    """The reason, in plain words, why a file gives no pixels."""


class Radiograph(NamedTuple):
    """A decoded file at its own size."""

    image: Image.Image  # 8 bits; "L" where all channels are equal, else "RGB"
    mode: str  # of the file, as Pillow names it
