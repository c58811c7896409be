"""JPEG-LS, JPEG XL and deep JPEG files -> Pillow images: by imagecodecs, for Pillow reads none of them."""

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covidnet.imaging.arrays import many_bits, picture_of
from covidnet.imaging.coded import END, jpeg_size, jpeg_xl_size, jpeg_xl_told
from covidnet.imaging.kinds import JPEG, JPEG_XL, Kind
from covidnet.imaging.radiograph import UnreadableImageError

MOST_SAMPLES = 4  # a pixel
_EXIF = b"Exif\0\0"
_LONGEST = 1 << 16  # bytes of a segment


def open_coded(content: bytes, kind: Kind) -> Image.Image:
    """Decode a JPEG-LS, a JPEG, or the first frame of a JPEG XL, as a picture of the mode that other files would have.

    Of fewer than 8 bits the greatest number is white. JPEG XL comes turned as it is to be shown; a JPEG keeps its EXIF.

    Raises:
        UnreadableImageError: With the reason.
    """
    width, height = _size(content, kind)
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise UnreadableImageError(
            f"is refused as too large: {width} x {height} pixels are more than {Image.MAX_IMAGE_PIXELS:,}"
        )
    pixels = _decoded(content, kind)
    if pixels.dtype.itemsize > 1 and pixels.ndim > 2:
        raise UnreadableImageError(many_bits(_bits(content, kind)))
    if pixels.dtype == np.uint8 and (bits := _bits(content, kind)) < 8:
        pixels = np.rint(pixels * (255 / ((1 << bits) - 1))).clip(0, 255).astype(np.uint8)
    picture = picture_of(pixels)
    if kind is JPEG and (at := content.find(_EXIF, 0, _LONGEST)) != -1:
        picture.info["exif"] = content[at : at + _LONGEST]
    return picture


def _size(content: bytes, kind: Kind) -> tuple[int, int]:
    """Return width and height as the file tells them."""
    size = None
    if kind is JPEG_XL:
        size = jpeg_xl_size(content)
    elif (coded := jpeg_size(content)) and coded.samples <= MOST_SAMPLES and content.rfind(END) != -1:
        size = coded.columns, coded.rows
    if size is None:
        raise UnreadableImageError(f"is damaged: it begins as {kind.name}, but is cut or tells no size")
    return size


def _bits(content: bytes, kind: Kind) -> int:
    coded = None if kind is JPEG_XL else jpeg_size(content)
    return coded.precision if coded else jpeg_xl_told(content).bits


def _decoded(content: bytes, kind: Kind) -> NDArray[Any]:
    try:
        if kind is JPEG_XL:
            return imagecodecs.jpegxl_decode(content, index=0)
        return imagecodecs.jpeg8_decode(content) if kind is JPEG else imagecodecs.jpegls_decode(content)
    except ImportError:
        raise UnreadableImageError(
            f"is {kind.name}, which the imagecodecs installed here does not decode: pip install -U imagecodecs, or "
            "save it as PNG"
        ) from None
    # Each decoder has its own errors; whichever it is, the file is at fault.
    except Exception:
        raise UnreadableImageError(f"is a damaged {kind.name}: it cannot be decoded") from None
