"""Facts about decoding: which pixels a file's bytes give, and which reason a bad file."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from covidnet.imaging.decode import decode
from covidnet.imaging.radiograph import UnreadableImageError

SIZE = 10
RNG = np.random.default_rng(0)
LEVELS = RNG.permutation(np.arange(1200) % 256).reshape(30, 40).astype(np.uint8)  # 0 and 255 are among them
GREY = Image.fromarray(LEVELS)
COLOUR = Image.fromarray(RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8))
ALPHA = Image.fromarray(np.where(np.arange(40) < 20, 0, 128).astype(np.uint8)[None].repeat(30, axis=0))


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_alpha(image):
    image = image.copy()
    image.putalpha(ALPHA)
    return image


def resized(image, how=Image.Resampling.BILINEAR):
    """Return Pillow's own resize as (C, SIZE, SIZE)."""
    return np.atleast_3d(np.asarray(image.resize((SIZE, SIZE), how))).transpose(2, 0, 1)


def deep_png(values, colour_type):
    """Write a PNG of 16-bit channels (H, W, C), which Pillow cannot write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(c)) + t + c + struct.pack(">I", zlib.crc32(t + c)) for t, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


GREY_FILES = {
    "PNG": encode(GREY, "PNG"),
    "PNG of equal RGB channels": encode(GREY.convert("RGB"), "PNG"),
    "PNG with alpha": encode(with_alpha(GREY), "PNG"),
    "PNG of equal RGB channels with alpha": encode(with_alpha(GREY.convert("RGB")), "PNG"),
    "PNG with a palette of greys": encode(GREY.convert("P"), "PNG"),
    "WEBP": encode(GREY.convert("RGB"), "WEBP", lossless=True),
    "TIFF": encode(GREY, "TIFF"),
    "compressed TIFF": encode(GREY, "TIFF", compression="tiff_lzw"),
    "BMP": encode(GREY, "BMP"),
    "PGM": encode(GREY, "PPM"),
}


@pytest.mark.parametrize("how", ["bilinear", "nearest"])
@pytest.mark.parametrize("content", GREY_FILES.values(), ids=GREY_FILES)
def test_grey_gives_one_channel_of_pillows_own_resize(content, how):
    expected = resized(GREY, Image.Resampling[how.upper()])
    np.testing.assert_array_equal(decode(content, SIZE, how), expected, strict=True)


@pytest.mark.parametrize("how", ["bilinear", "nearest"])
@pytest.mark.parametrize(
    "content",
    [
        encode(COLOUR, "PNG"),
        encode(with_alpha(COLOUR), "PNG"),
        encode(COLOUR, "TIFF"),
        encode(COLOUR, "WEBP", lossless=True),
    ],
    ids=["PNG", "PNG with alpha", "TIFF", "WEBP"],
)
def test_colour_gives_three_channels_of_pillows_own_resize(content, how):
    expected = resized(COLOUR, Image.Resampling[how.upper()])
    np.testing.assert_array_equal(decode(content, SIZE, how), expected, strict=True)


@pytest.mark.parametrize("odd", range(3))
def test_two_equal_channels_are_not_grey(odd):
    channels = [GREY] * 3
    channels[odd] = GREY.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    image = Image.merge("RGB", channels)
    np.testing.assert_array_equal(decode(encode(image, "PNG"), SIZE), resized(image), strict=True)


@pytest.mark.parametrize(
    ("image", "kind", "channels"),
    [
        (GREY, "JPEG", 1),
        (GREY.convert("RGB"), "JPEG", 1),
        (COLOUR, "JPEG", 3),
        (COLOUR, "WEBP", 3),
        (COLOUR.convert("P"), "PNG", 3),
        (GREY.convert("1"), "PNG", 1),
        (GREY.convert("1"), "TIFF", 1),
        (COLOUR.convert("CMYK"), "JPEG", 3),
    ],
    ids=lambda value: getattr(value, "mode", str(value)),
)
def test_pixels_are_those_of_pillow_as_rgb(image, kind, channels):
    content = encode(image, kind)
    expected = resized(Image.open(io.BytesIO(content)).convert("RGB"))[:channels]
    np.testing.assert_array_equal(decode(content, SIZE), expected, strict=True)


@pytest.mark.parametrize("transparency", [0, bytes(range(256))], ids=["one entry", "every entry"])
def test_a_palettes_transparency_is_dropped_without_a_warning(transparency):
    content = encode(GREY.convert("P"), "PNG", transparency=transparency)
    np.testing.assert_array_equal(decode(content, SIZE), resized(GREY))


WIDE_FILES = {
    "16-bit PNG": encode(Image.fromarray(LEVELS.astype(np.uint16) * 257), "PNG"),
    "12 in 16-bit PNG": encode(Image.fromarray(LEVELS.astype(np.uint16) * 16), "PNG"),
    "16-bit PNG above 40,000": encode(Image.fromarray(LEVELS.astype(np.uint16) * 80 + 40_000), "PNG"),
    "16-bit TIFF": encode(Image.fromarray(LEVELS.astype("<u2") * 16), "TIFF"),
    "big-endian 16-bit TIFF": encode(Image.fromarray((LEVELS.astype(np.uint16) * 16).astype(">u2")), "TIFF"),
    "32-bit TIFF below zero": encode(Image.fromarray(LEVELS.astype(np.int32) * 1000 - 70_000), "TIFF"),
    "float TIFF": encode(Image.fromarray(LEVELS.astype(np.float32) / 2550 - 0.05), "TIFF"),
    "float TIFF of large numbers": encode(Image.fromarray(LEVELS.astype(np.float32) * 1e4), "TIFF"),
}


@pytest.mark.parametrize("content", WIDE_FILES.values(), ids=WIDE_FILES)
def test_wide_pixels_are_scaled_to_the_eight_bits_they_were_made_from(content):
    np.testing.assert_array_equal(decode(content, SIZE), resized(GREY), strict=True)


@pytest.mark.parametrize(("channels", "colour_type"), [(2, 4), (3, 2), (4, 6)], ids=["grey+alpha", "RGB", "RGBA"])
def test_twelve_bits_in_deep_colour_are_scaled_or_refused_not_turned_black(channels, colour_type):
    values = np.repeat(LEVELS.astype(np.uint16)[..., None] * 16, channels, axis=-1)
    with contextlib.suppress(UnreadableImageError):
        assert decode(deep_png(values, colour_type), SIZE).mean() > 100


WHITE_IS_ZERO = {262: 0}  # TIFF's photometric interpretation: Pillow inverts 8 bits on writing, deeper ones never


@pytest.mark.parametrize("values", [LEVELS, (255 - LEVELS).astype("<u2") * 257], ids=["8 bits", "16 bits"])
def test_a_tiff_whose_zero_is_white_is_not_shown_inverted(values):
    content = encode(Image.fromarray(values), "TIFF", tiffinfo=WHITE_IS_ZERO)
    np.testing.assert_array_equal(decode(content, SIZE), resized(GREY))


@pytest.mark.parametrize("level", [0, 700, 65_535])
def test_a_constant_wide_image_is_black(level):
    content = encode(Image.fromarray(np.full((4, 4), level, dtype=np.uint16)), "PNG")
    assert not decode(content, SIZE).any()


def test_the_result_is_contiguous_and_may_be_written():
    pixels = decode(encode(COLOUR, "PNG"), SIZE)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


BAD_FILES = {
    "empty": (b"", "empty"),
    "half a PNG": (encode(COLOUR, "PNG")[:1500], "damaged"),
    "half a JPEG": (encode(COLOUR, "JPEG")[:1200], "damaged"),
    "a web page": (b"\n <!DOCTYPE html><html>Sign in</html>", "web page"),
    "a resource fork": (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(100), "AppleDouble"),
    "an empty DICOM file": (bytes(128) + b"DICM" + bytes(100), "DICOM"),
    "DICOM without its beginning": (b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(200), "letters DICM"),
    "random bytes": (b"\x93" + RNG.bytes(500), "not an image"),
    "text": (b"version https://git-lfs.github.com/spec/v1\n", "not an image"),
    "not a number": (encode(Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32)), "TIFF"), "finite"),
    "endless": (encode(Image.fromarray(np.array([[0, np.inf]], dtype=np.float32)), "TIFF"), "finite"),
}


@pytest.mark.parametrize(("content", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_gives_a_reason(content, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        decode(content, SIZE)


def test_a_gigantic_image_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImageError, match="too large"):
        decode(GREY_FILES["PNG"], SIZE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_damage_anywhere_gives_pixels_or_a_reason_never_another_error(kind):
    content = encode(COLOUR.crop((0, 0, 8, 8)), kind)
    cut = [content[:length] for length in range(0, len(content), 5)]
    flipped = [content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :] for at in range(0, len(content), 3)]
    for damaged in cut + flipped:
        with contextlib.suppress(UnreadableImageError):
            assert decode(damaged, SIZE).shape[1:] == (SIZE, SIZE)


@pytest.mark.parametrize("image", [GREY, COLOUR], ids=["grey", "RGB"])
def test_a_transparent_colour_changes_no_pixel(image):
    key = 7 if image.mode == "L" else (7, 8, 9)
    content = encode(image, "PNG", transparency=key)
    np.testing.assert_array_equal(decode(content, SIZE), resized(image))


def test_a_png_whose_checksum_alone_is_wrong_is_read_as_pillow_reads_it():
    content = bytearray(encode(COLOUR, "PNG"))
    content[-14] ^= 1  # in the checksum before the end chunk
    np.testing.assert_array_equal(decode(bytes(content), SIZE), resized(COLOUR))
