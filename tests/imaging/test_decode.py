"""Facts about decoding: which pixels a file's bytes give, and which reason a bad file."""

import contextlib
import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from covidnet.imaging.coded import jpeg_xl_size
from covidnet.imaging.decode import decode, open_radiograph
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
    "zeros": (bytes(500), "500 zeros and nothing else; copy it anew"),
    "damage behind a signature": (b"BM" + bytes(4) + bytes(4) + RNG.bytes(60), "BMP"),
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


# --- formats that came later

DEEP = np.add.outer(np.arange(30), np.arange(40)).astype(np.uint16) * 900
LATER = {
    "GIF": (encode(GREY, "GIF"), GREY),
    "GIF of two frames": (encode(GREY, "GIF", save_all=True, append_images=[COLOUR.convert("L")]), GREY),
    "JP2": (encode(GREY, "JPEG2000"), GREY),
    "JP2 of colours": (encode(COLOUR, "JPEG2000"), COLOUR),
    "J2K": (imagecodecs.jpeg2k_encode(LEVELS, codecformat="J2K", level=0), GREY),
    "JPEG-LS": (imagecodecs.jpegls_encode(LEVELS), GREY),
    "JPEG-LS of colours": (imagecodecs.jpegls_encode(np.asarray(COLOUR)), COLOUR),
    "JPEG XL": (imagecodecs.jpegxl_encode(LEVELS, lossless=True), GREY),
    "JPEG XL in boxes": (imagecodecs.jpegxl_encode(LEVELS, lossless=True, usecontainer=True), GREY),
    "JPEG XL of colours": (imagecodecs.jpegxl_encode(np.asarray(COLOUR), lossless=True), COLOUR),
    "JPEG XL with alpha": (imagecodecs.jpegxl_encode(np.asarray(with_alpha(COLOUR)), lossless=True), COLOUR),
}


@pytest.mark.parametrize(("content", "image"), LATER.values(), ids=LATER)
def test_a_lossless_file_gives_the_pixels_that_were_saved(content, image):
    np.testing.assert_array_equal(decode(content, SIZE), resized(image), strict=True)


def test_avif_gives_the_pixels_that_were_saved_but_for_its_losses():
    smooth = Image.fromarray((np.add.outer(np.arange(30), np.arange(40)) * 3).astype(np.uint8))
    pixels = decode(encode(smooth, "AVIF", quality=95), SIZE)
    assert len(pixels) == 1
    assert abs(pixels.astype(int) - resized(smooth)).max() <= 3


@pytest.mark.parametrize(
    "content",
    [
        imagecodecs.jpegls_encode(DEEP),
        imagecodecs.jpegls_encode(DEEP // 16),
        imagecodecs.jpegxl_encode(DEEP, lossless=True),
    ],
    ids=["JPEG-LS of 16 bits", "JPEG-LS of 12 bits", "JPEG XL of 16 bits"],
)
def test_deep_files_are_scaled_by_their_own_range_as_png_is(content):
    assert open_radiograph(content).mode == "I;16"
    expected = decode(encode(Image.fromarray(DEEP), "PNG"), SIZE)
    assert abs(decode(content, SIZE).astype(int) - expected).max() <= 1  # 12 bits are rounded


@pytest.mark.parametrize(
    "content",
    [imagecodecs.jpegxl_encode(np.dstack([DEEP] * 3), lossless=True), imagecodecs.jpegls_encode(np.dstack([DEEP] * 3))],
    ids=["JPEG XL", "JPEG-LS"],
)
def test_deep_colours_are_refused_as_in_png(content):
    with pytest.raises(UnreadableImageError, match="16 bits in each of several channels"):
        decode(content, SIZE)


@pytest.mark.parametrize(
    "shape", [(1, 1), (8, 8), (8, 256), (30, 40), (40, 30), (33, 500), (513, 3), (9, 16), (100, 150)]
)
@pytest.mark.parametrize("boxes", [False, True])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(shape, boxes):
    content = imagecodecs.jpegxl_encode(np.zeros(shape, np.uint8), usecontainer=boxes)
    assert jpeg_xl_size(content) == (shape[1], shape[0])


@pytest.mark.parametrize("kind", ["JPEG-LS", "JPEG XL", "JPEG XL in boxes", "GIF", "JP2"])
def test_a_gigantic_file_of_a_later_format_is_refused_before_it_is_decoded(kind, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("jpegls_decode", "jpegxl_decode"):
        monkeypatch.setattr(imagecodecs, name, lambda *_, **__: pytest.fail("it was decoded"))
    with pytest.raises(UnreadableImageError, match="too large"):
        decode(LATER[kind][0], SIZE)


@pytest.mark.parametrize("kind", [name for name in LATER if name.startswith("JPEG")])
def test_damage_in_a_later_format_gives_pixels_or_a_reason(kind):
    content = LATER[kind][0]
    cut = [content[:length] for length in range(0, len(content), max(len(content) // 40, 1))]
    at = RNG.integers(0, len(content), 60)
    flipped = [content[:i] + bytes([content[i] ^ 0xFF]) + content[i + 1 :] for i in at]
    for damaged in cut + flipped:
        with contextlib.suppress(UnreadableImageError):
            assert decode(damaged, SIZE).shape[1:] == (SIZE, SIZE)


@pytest.mark.parametrize("kind", ["JPEG-LS", "JPEG XL", "JPEG XL in boxes"])
def test_half_a_file_of_a_later_format_is_damaged(kind):
    content = LATER[kind][0]
    with pytest.raises(UnreadableImageError, match="damaged"):
        decode(content[: len(content) // 2], SIZE)


def test_a_decoder_that_is_not_there_is_named_with_the_remedy(monkeypatch):
    def missing(*_, **__):
        raise ImportError("no _jpegxl")

    monkeypatch.setattr(imagecodecs, "jpegxl_decode", missing)
    with pytest.raises(UnreadableImageError, match="is JPEG XL, which the imagecodecs installed here does not decode"):
        decode(LATER["JPEG XL"][0], SIZE)


def test_avif_that_pillow_does_not_read_is_named_with_the_remedy():
    with pytest.raises(UnreadableImageError, match="is AVIF, but damaged, or the Pillow installed here reads none"):
        decode(b"\0\0\0\x1cftypavif" + bytes(40), SIZE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.7\n", "is a PDF"),
        (b"PK\x03\x04" + bytes(50), "is an archive"),
        (b"\x93NUMPY\x01\0", "is an array of numbers"),
        (b"\0\0\0\x1cftypheic" + bytes(40), "is HEIC"),
    ],
)
def test_what_is_no_image_under_an_images_name_is_told_with_its_kind(content, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        decode(content, SIZE)


def test_a_tiff_of_colours_that_pillow_does_not_turn_into_rgb_is_refused(monkeypatch):
    content = encode(Image.merge("LAB", COLOUR.split()), "TIFF")

    def convert(image, mode):
        raise ValueError(f"conversion from {image.mode} to {mode} not supported")  # as an older Pillow says

    monkeypatch.setattr(Image.Image, "convert", convert)
    with pytest.raises(UnreadableImageError, match="colours of the mode LAB"):
        decode(content, SIZE)
