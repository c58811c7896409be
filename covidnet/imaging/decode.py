"""One image file -> its pixels: the single decoding path of training, testing and prediction."""

import stat
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
from imagecodecs import png_decode
from numpy.typing import NDArray
from PIL import Image

from covidnet.imaging.arrays import eight_bits
from covidnet.imaging.coded import is_deep_jpeg, jpeg_xl_told
from covidnet.imaging.kinds import DICOM, JPEG, JPEG_LS, JPEG_XL, TIFF, kind_of_content
from covidnet.imaging.opened import open_by_pillow, tells_turn
from covidnet.imaging.orientation import png_may_turn, turn_upright
from covidnet.imaging.radiograph import USUAL, Radiograph, Reading, UnreadableImageError
from covidnet.imaging.tiff import tell_tiff

Interpolation = Literal["bilinear", "nearest"]
LARGEST = 2**30  # bytes of a file that is read: no radiograph has as many
DECODER = 2  # raise when the pixels that this file makes change: caches of another number are not read
RESIZER = f"Pillow {PIL.__version__.partition('.')[0]}"  # a series of another number may round otherwise: 13 did
THUMBNAIL = 48  # side of the small grey copy by which images are compared, in pixels
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "nearest": Image.Resampling.NEAREST}
_PNG = b"\x89PNG\r\n\x1a\n"
_PLAIN = (b"\0\0\0\0", b"\2\0\0\0")  # a PNG's header behind its bits: grey or RGB, not interlaced
_PHOTOMETRIC = 262  # TIFF's tag; 0 means that zero is white
_WIDE_MODES = ("I", "F")  # and the 16-bit modes, whose names begin with "I;"
_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}  # what Pillow turns into nothing else


def decode(
    content: bytes, size: int, interpolation: Interpolation = "bilinear", reading: Reading = USUAL
) -> NDArray[np.uint8]:
    """Decode a file's bytes and resize to ``(C, size, size)`` uint8; C is 1 where all channels are equal, else 3.

    Raises:
        UnreadableImageError: With the reason.
    """
    return resize(open_radiograph(content, reading).image, size, interpolation)


def open_radiograph(content: bytes, reading: Reading = USUAL) -> Radiograph:
    """Decode a file's bytes to 8 bits; of a file of several frames the first.

    What a DICOM file gives is told in `covidnet.imaging.dicom.read`; how ``reading`` changes what is read, there.

    Raises:
        UnreadableImageError: With the reason.
    """
    plain = _open_plain_png(content, reading)
    if plain is not None:
        return plain
    kind = kind_of_content(content)
    if not content:
        raise UnreadableImageError("is empty (0 bytes)")
    if kind is DICOM:
        from covidnet.imaging.dicom.read import open_dicom  # where none is met, pydicom is not waited for

        image, mode = open_dicom(content, reading.body_part)
        return Radiograph(as_radiograph(image).image, mode)
    if kind in (JPEG_LS, JPEG_XL) or (kind is JPEG and is_deep_jpeg(content)):
        from covidnet.imaging.codecs import open_coded  # nor the libraries of these

        return _upright(open_coded(content, kind), reading)
    tiff = tell_tiff(content) if kind is TIFF else None
    if tiff and not tiff.is_usual:
        return Radiograph(*tiff.decode(content))
    return _upright(open_by_pillow(content, kind, tiff), reading)


def is_turned(content: bytes, reading: Reading = USUAL) -> bool:
    """Tell whether `open_radiograph` turns a file's picture as the file tells it."""
    kind = kind_of_content(content)
    if kind is JPEG_XL:
        return jpeg_xl_told(content).orientation != 1
    return (reading.orientation == "upright" or kind is TIFF) and kind is not DICOM and tells_turn(content)


def _upright(image: Image.Image, reading: Reading) -> Radiograph:
    return as_radiograph(turn_upright(image) if reading.orientation == "upright" else image)


def as_radiograph(image: Image.Image) -> Radiograph:
    """Reduce a picture of any of Pillow's modes to 8 bits.

    Images of more than 8 bits are scaled by their own minimum and maximum: Pillow's own conversion would clip a 16-bit
    radiograph to white. An alpha channel is dropped.

    Raises:
        UnreadableImageError: With the reason.
    """
    mode = image.mode
    if not (image.width and image.height):
        raise UnreadableImageError(f"has no pixels: it is {image.width} x {image.height}")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow's advice; the alpha channel is dropped below
    if image.mode in _WIDE_MODES or image.mode.startswith("I;"):
        zero_is_white = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
        image = eight_bits(np.asarray(image), zero_is_white=zero_is_white)
    elif image.mode != "L":
        image = _to_rgb(image)
        first, *others = image.split()
        if all(first.tobytes() == other.tobytes() for other in others):
            image = first  # grey: a third of the resizing, the same pixels
    return Radiograph(image, mode)


def resize(image: Image.Image, size: int, interpolation: Interpolation = "bilinear") -> NDArray[np.uint8]:
    """Resize a decoded image to ``(C, size, size)`` uint8; bilinear resizing is antialiased, as Pillow does it."""
    resized = np.asarray(image.resize((size, size), _RESAMPLING[interpolation]))
    return np.ascontiguousarray(np.atleast_3d(resized).transpose(2, 0, 1))  # (C, size, size)


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Return the small grey copy ``(THUMBNAIL, THUMBNAIL)`` of a decoded image, whatever size is trained on."""
    # Box-averaged most of the way: a third of the time on a large image, and hardly another picture.
    small = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small)


def read(path: Path) -> bytes:
    """Return the bytes of ``path``.

    Raises:
        UnreadableImageError: Where the system refuses, or it is no plain file: a pipe would never end.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe gives nothing and a device no end
            raise UnreadableImageError("is no plain file: a folder, a pipe, a socket or a device")
        if status.st_size > LARGEST:
            raise UnreadableImageError(f"is refused as too large: it has {status.st_size:,} bytes")
        return path.read_bytes()
    except UnreadableImageError:
        raise
    except (OSError, ValueError) as error:  # the latter of a name that no system has
        raise UnreadableImageError(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error


def _open_plain_png(content: bytes, reading: Reading) -> Radiograph | None:
    """Decode a PNG of 8 bits, grey or RGB, row by row, by libpng: in two thirds of Pillow's time, to the same pixels.

    Returns None for other files, and for what is damaged, transparent, huge or turned: Pillow has the word there.
    """
    if content[:8] != _PNG or content[24:25] != b"\x08" or content[25:29] not in _PLAIN:
        return None
    if reading.orientation == "upright" and png_may_turn(content):
        return None
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        return None
    try:
        pixels = png_decode(content)
    except Exception:  # PngError, or UnicodeDecodeError where libpng's message quotes the damaged bytes
        return None
    if pixels.ndim == 2:
        return Radiograph(Image.fromarray(pixels), "L")
    if pixels.shape[2] != 3:
        return None
    red, green, blue = (pixels[..., channel] for channel in range(3))
    equal = np.array_equal(red, green) and np.array_equal(red, blue)
    return Radiograph(Image.fromarray(red if equal else pixels), "RGB")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    try:
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError:  # as LAB, which takes profiles of colours
        raise UnreadableImageError(
            f"has colours of the mode {image.mode}, which Pillow turns into no RGB; save it as grey or RGB"
        ) from None
