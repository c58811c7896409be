"""JPEG-LS and JPEG XL files -> Pillow images: by imagecodecs, for Pillow reads neither."""

from typing import Any

import imagecodecs
from numpy.typing import NDArray
from PIL import Image

from covidnet.imaging.arrays import MANY_BITS, picture_of
from covidnet.imaging.coded import END, jpeg_size, jpeg_xl_size
from covidnet.imaging.kinds import JPEG_XL, Kind
from covidnet.imaging.radiograph import UnreadableImageError

MOST_SAMPLES = 4  # a pixel


def open_coded(content: bytes, kind: Kind) -> Image.Image:
    """Decode a JPEG-LS or the first frame of a JPEG XL, as a picture of the mode that a file of other kind would have.

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
        raise UnreadableImageError(MANY_BITS)
    return picture_of(pixels)


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


def _decoded(content: bytes, kind: Kind) -> NDArray[Any]:
    try:
        return imagecodecs.jpegxl_decode(content, index=0) if kind is JPEG_XL else imagecodecs.jpegls_decode(content)
    except ImportError:
        raise UnreadableImageError(
            f"is {kind.name}, which the imagecodecs installed here does not decode: pip install -U imagecodecs, or "
            "save it as PNG"
        ) from None
    # Each decoder has its own errors; whichever it is, the file is at fault.
    except Exception:
        raise UnreadableImageError(f"is a damaged {kind.name}: it cannot be decoded") from None
