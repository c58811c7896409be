"""A file that Pillow decodes -> its picture, where what the file tells of its samples is what Pillow makes of them."""

import io
import re
import struct
import warnings
from collections.abc import Callable, Mapping

from PIL import Image, ImagePalette, UnidentifiedImageError

from covidnet.imaging.arrays import many_bits
from covidnet.imaging.coded import jpeg_2000_samples, jpeg_size
from covidnet.imaging.kinds import BMP, JPEG, JPEG_2000, PNG, PPM, Kind, kind_of_content
from covidnet.imaging.orientation import png_may_turn, told_orientation
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.imaging.tiff import Tiff

# What Pillow decodes by itself: for others it would start programs such as Ghostscript on a stranger's file.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "DIB", "PPM", "GIF", "JPEG2000", "AVIF")
_GREY = b"\0"  # a PNG's colour type
_BLACK, _WHITE = bytes(3), b"\xff" * 3
_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PPM = re.compile(rb"P[36]" + (_SPACE + rb"\d+") * 2 + _SPACE + rb"(\d{1,9})\s")  # coloured; its greatest number
_SRGB, _GREYSCALE = 16, 17  # colour spaces of a JPEG 2000


def open_by_pillow(content: bytes, kind: Kind | None, tiff: Tiff | None) -> Image.Image:
    """Open and fully load an image: a truncated file fails here, not in mid-epoch.

    Args:
        content: Of the file.
        kind: What its first bytes tell that it is.
        tiff: What it tells of its samples, if it is a TIFF.

    Raises:
        UnreadableImageError: Naming the kind, and what to do.
    """
    if kind in _CHECKS:
        _CHECKS[kind](content)
    _hush()
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        if tiff:
            image.seek(tiff.page)
            _mend_palette(image, tiff)
        image.load()
    except UnidentifiedImageError:
        raise UnreadableImageError(_why_unknown(content, kind)) from None
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"is refused as too large: {error}") from None
    # Damaged data makes Pillow's decoders raise many kinds; each is the file's fault here, not ours.
    except Exception as error:
        named = f"a damaged {kind.name}" if kind else "damaged"
        raise UnreadableImageError(
            f"is {named}, or of a kind that is not read ({error}); copy it anew, or save it as PNG"
        ) from None
    return image


def tells_turn(content: bytes) -> bool:
    """Tell whether a file that Pillow decodes tells that its picture is to be turned; its pixels are left alone."""
    if kind_of_content(content) is PNG and not png_may_turn(content):
        return False
    _hush()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return told_orientation(image) != 1
    # As above; such a file is refused where it is decoded.
    except Exception:
        return False


def _hush() -> None:
    """Keep Pillow from warning of damaged EXIF, which may be in whole pictures."""
    warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")


def _why_unknown(content: bytes, kind: Kind | None) -> str:
    """Return why Pillow does not know a file."""
    if kind and kind.is_read:
        return (
            f"is {kind.name}, but damaged, or the Pillow installed here reads none of its kind: pip install -U pillow, "
            "or save it as PNG"
        )
    if kind:
        return kind.why_not
    if not content.strip(b"\0"):
        return f"is not an image: it holds {len(content):,} zeros and nothing else; copy it anew"
    return f"is not an image of a kind that is known: it begins with {content[:8]!r}"


def _mend_palette(image: Image.Image, tiff: Tiff) -> None:
    """Take the entries of a palette as they are meant; Pillow takes the upper of two bytes."""
    if tiff.bytes_as_entries and image.mode in ("P", "PA"):
        entries = image.tag_v2[320]  # type: ignore[attr-defined]  # of the TIFF that it is
        image.palette = ImagePalette.raw("RGB;L", bytes(entries))


def _check_png(content: bytes) -> None:
    if content[24:25] == b"\x10" and content[25:26] != _GREY:
        # Pillow keeps the upper byte of each channel alone: a 12-bit radiograph would turn black.
        raise UnreadableImageError(many_bits(16))


def _check_jpeg(content: bytes) -> None:
    coded = jpeg_size(content)
    if coded and coded.samples not in (1, 3, 4):
        raise UnreadableImageError(f"is a JPEG of {coded.samples} channels, which is not read; save it as PNG")


def _check_jpeg_2000(content: bytes) -> None:
    """Refuse what Pillow shifts by too few bits or too many, and colours that it takes for others."""
    samples = jpeg_2000_samples(content)
    if not samples:
        return
    first = samples[0]
    if len(set(samples)) > 1 or (first.across, first.down) != (1, 1) or len(samples) > 4:
        raise UnreadableImageError(
            "is a JPEG 2000 whose channels have several sizes or numbers of bits, or are more than four, which is not "
            "read; save it as PNG"
        )
    if first.bits > 8 and len(samples) > 1:
        raise UnreadableImageError(many_bits(first.bits))
    if first.bits < 8 or first.bits > 16:
        raise UnreadableImageError(
            f"is a JPEG 2000 of {first.bits} bits, which is not read; save it as 8- or 16-bit PNG"
        )
    head = content[: content.find(b"\xff\x4f\xff\x51")]
    at = head.find(b"ihdr")
    if at != -1:
        channels, bits = int.from_bytes(head[at + 12 : at + 14]), (head[at + 14 : at + 15] or b"\xff")[0]
        if channels != len(samples) or (bits != 255 and (bits & 0x7F) + 1 != first.bits):
            raise UnreadableImageError("is a damaged JPEG 2000: its boxes tell other channels than its picture has")
    _check_colours(head, len(samples))


def _check_colours(head: bytes, channels: int) -> None:
    """Refuse a JPEG 2000 whose boxes tell other colours than RGB, in another order, or premultiplied."""
    at = head.find(b"colr")
    space = int.from_bytes(head[at + 7 : at + 11]) if at != -1 and head[at + 4 : at + 5] == b"\1" else _SRGB
    at = head.find(b"cdef")
    count = min(int.from_bytes(head[at + 4 : at + 6]), channels) if at != -1 else 0
    told = [struct.unpack_from(">HHH", head.ljust(at + 32, b"\0"), at + 6 + 6 * number) for number in range(count)]
    in_order = all(
        channel == number and (kind == 1 or (kind == 0 and place in (0, number + 1)))
        for number, (channel, kind, place) in enumerate(told)
    )
    if space not in (_SRGB, _GREYSCALE) or not in_order or b"pclr" in head:
        raise UnreadableImageError(
            "is a JPEG 2000 in colours other than grey or RGB, with a palette, or with its channels in another order, "
            "which is not read; save it as PNG"
        )


def _check_bmp(content: bytes) -> None:
    """Refuse palettes that Pillow takes for pixels of another depth."""
    header = int.from_bytes(content[14:18], "little")
    old = header == 12
    bits = int.from_bytes(content[24:26] if old else content[28:30], "little")
    used = 0 if old else int.from_bytes(content[46:50], "little")
    if bits not in (4, 8):
        return
    count, size = used or 1 << bits, 3 if old else 4
    table = content[14 + header : 14 + header + size * min(count, 256)]
    colours = [table[start : start + 3] for start in range(0, len(table), size)]
    own = [bytes([number] * 3) for number in range(len(colours))]
    if colours == [_BLACK, _WHITE] or count <= 2 or (bits == 4 and colours == own):
        raise UnreadableImageError(
            f"is a BMP of {bits} bits whose palette is of fewer, which is not read; save it as PNG"
        )


def _check_ppm(content: bytes) -> None:
    """Refuse colours in the whole range of 16 bits, of which nobody knows how many are used."""
    fields = _PPM.match(content)
    if fields and int(fields[1]) == 65535:
        raise UnreadableImageError(many_bits(16))


_CHECKS: Mapping[Kind | None, Callable[[bytes], None]] = {
    PNG: _check_png,
    JPEG: _check_jpeg,
    JPEG_2000: _check_jpeg_2000,
    BMP: _check_bmp,
    PPM: _check_ppm,
}
