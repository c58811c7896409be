"""A decoded radiograph, or the reason why a file gives none."""

from typing import Literal, NamedTuple

from PIL import Image

BodyPart = Literal["chest", "any"]  # what a DICOM header may name: "any" where such headers are known to be wrong


class UnreadableImageError(ValueError):
    """The reason, in plain words, why a file or an array gives no radiograph; a name goes before it."""


class Radiograph(NamedTuple):
    """A decoded file at its own size."""

    image: Image.Image  # 8 bits; "L" where all channels are equal, else "RGB"
    mode: str  # of the file, as Pillow names it
