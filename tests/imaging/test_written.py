"""Facts about files written byte by byte: each kind of each format is shown right, or refused by name."""

import imagecodecs
import numpy as np
import pytest

from bench.written.kinds import kinds
from bench.written.tiff import Tiff
from covidnet.imaging.coded import jpeg_xl_told
from covidnet.imaging.decode import open_radiograph
from covidnet.imaging.radiograph import UnreadableImageError

KINDS = kinds()
# What a refusal names: the kind, and what to do.
NAMES = ("TIFF", "BMP", "JPEG", "AVIF", "bits in each of several channels", "a picture in a format that is not read")


def decoded(content, like):
    """Return greys, as three channels where those of ``like`` are."""
    pixels = np.asarray(open_radiograph(content).image).astype(float)
    return pixels[..., None].repeat(3, axis=-1) if np.ndim(like) == 3 and pixels.ndim == 2 else pixels


def outcome(content, like=None):
    """Return greys, or the reason why there are none."""
    try:
        return decoded(content, like)
    except UnreadableImageError as error:
        return str(error)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_shown_to_one_grey_value_or_refused_by_name(name):
    made = KINDS[name](np.random.default_rng(0))
    found = outcome(made.content, made.shown)
    if isinstance(found, str):
        assert any(kind in found for kind in NAMES)
        assert "save it as" in found or "damaged" in found
    else:
        assert made.shown is not None, "nobody knows its greys"
        assert abs(found - made.shown).max() <= made.within


READ = (  # and not refused
    "TIFF grey 8i big-endian zero is black LZW",
    "TIFF grey 16u big-endian zero is white one strip",
    "TIFF grey 16i big-endian zero is black deflate",
    "TIFF grey 32u little-endian zero is black one strip",
    "TIFF grey 64f little-endian zero is black one strip",
    "TIFF RGB 8u little-endian planes 2 extra (2,) tiles",
    "TIFF palette of 8 bits, 8-bit entries",
    "TIFF of a thumbnail and its image",
    "PNG interlaced 8, 3 channels",
    "PNM P6 up to 4095",
    "JPEG 12 bits",
    "JPEG without losses 3 bits",
    "JPEG XL 4 bits, 1 channels",
    "JPEG 2000 signed 16 bits",
)


@pytest.mark.parametrize("name", READ)
def test_what_can_be_known_is_read(name):
    made = KINDS[name](np.random.default_rng(1))
    assert abs(decoded(made.content, made.shown) - made.shown).max() <= made.within


@pytest.mark.parametrize("bits", [1, 3, 8, 10, 12, 16])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
@pytest.mark.parametrize("boxes", [False, True])
def test_a_jpeg_xl_tells_its_bits(bits, channels, boxes):
    pixels = np.zeros((9, 300, *channels), np.uint8 if bits <= 8 else np.uint16)
    content = imagecodecs.jpegxl_encode(pixels, bitspersample=bits, usecontainer=boxes, lossless=True)
    assert jpeg_xl_told(bytes(content)) == (bits, 1)


def test_a_moving_jpeg_xl_tells_its_bits():
    content = imagecodecs.jpegxl_encode(np.zeros((3, 9, 11), np.uint8), bitspersample=4, lossless=True)
    assert jpeg_xl_told(bytes(content)) == (4, 1)


@pytest.mark.parametrize("at", range(8, 160, 7))
def test_damage_among_a_tiffs_tags_gives_pixels_or_a_reason(at):
    content = bytearray(Tiff(16, "i", ">", compression=5).write(np.arange(600).reshape(20, 30)))
    for value in (0, 1, 255):
        content[at % len(content)] = value
        assert len(outcome(bytes(content)))
