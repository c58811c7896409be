"""A decoded radiograph, how files are read to get one, or the reason why a file gives none."""

from typing import Literal, NamedTuple

from PIL import Image

BodyPart = Literal["chest", "any"]  # what a DICOM header may name: "any" where such headers are known to be wrong
Orientation = Literal["upright", "stored"]


class Reading(NamedTuple):
    """How files are read; a checkpoint keeps it.

    Attributes:
        body_part: What part of the body DICOM headers may name.
        orientation: "upright" turns an image as its file tells it, by EXIF or XMP; "stored" does so for TIFF alone, as
            everything did that was trained before there was a choice.
    """

    body_part: BodyPart = "chest"
    orientation: Orientation = "upright"


USUAL = Reading()


class UnreadableImageError(ValueError):
    """The reason, in plain words, why a file or an array gives no radiograph; a name goes before it."""


class Radiograph(NamedTuple):
    """A decoded file at its own size."""

    image: Image.Image  # 8 bits; "L" where all channels are equal, else "RGB"
    mode: str  # of the file, as Pillow names it
