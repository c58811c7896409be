"""What is refused of a file before it is decoded: formats that nobody needs here, and bombs."""

from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from covidnet.imaging.dicom.frame import JPEG
from covidnet.imaging.dicom.header import Limited, read_header
from covidnet.imaging.kinds import is_dicom, why_not
from covidnet.imaging.radiograph import UnreadableImageError

# Pillow knows many more; some of them start other programs or write files.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
NAMES = "PNG, JPEG, TIFF, WEBP, BMP"
SCANS = 50  # of a JPEG; each costs the time of a whole image, however few bytes it has
CHUNKS = 20_000  # of a PNG; writers put some thousand bytes into each
_PNG = b"\x89PNG\r\n\x1a\n"
_SCAN = b"\xff\xda"
_TILE = (322, 323)  # TIFF's tags of a tile's width and height


class TooLargeError(UnreadableImageError):
    """The file would give more pixels, or take more time, than is granted."""


def check(content: bytes, max_pixels: int) -> int:
    """Return how many pixels a file says that it has, without decoding them.

    Raises:
        TooLargeError: Where they are more than ``max_pixels``.
        UnreadableImageError: Where it is in none of the formats that are taken, or its header is damaged.
    """
    if not content:
        raise UnreadableImageError("is empty (0 bytes)")
    width, height = _dicom_size(content) or _webp_size(content) or _header_size(content, max_pixels)
    if width * height > max_pixels:
        raise TooLargeError(
            f"has {width} x {height} pixels; up to {max_pixels / 1e6:g} million are taken: make it smaller"
        )
    return width * height


def _dicom_size(content: bytes) -> tuple[int, int] | None:
    if not is_dicom(content):
        return None
    if content.startswith(_PNG):  # as what it would be decoded is not ours to guess
        raise UnreadableImageError("is PNG and DICOM at once")
    try:
        header, syntax, _ = read_header(content)
        size = header.integer("Columns", 0), header.integer("Rows", 0)
    except UnreadableImageError:
        raise
    # pydicom raises many kinds on damaged or hostile bytes, and quotes them.
    except Exception:
        raise UnreadableImageError("is a damaged DICOM file: its header cannot be understood") from None
    if syntax in JPEG:
        _refuse_many_scans(content)
    return size


def _header_size(content: bytes, max_pixels: int) -> tuple[int, int]:
    _refuse_many_chunks(content)
    try:
        with Image.open(Limited(content), formats=FORMATS) as image:
            if isinstance(image, JpegImageFile):
                _refuse_many_scans(content)
            if isinstance(image, TiffImageFile):
                width, height = (int(image.tag_v2.get(tag, 0)) for tag in _TILE)
                if width * height > max_pixels:
                    raise TooLargeError(f"has tiles of {width} x {height} pixels")
            return image.size
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        unknown = f"is not an image in a format that is taken: {NAMES}, DICOM"
        raise UnreadableImageError(why_not(content) or unknown) from None
    except Image.DecompressionBombError:
        raise TooLargeError(f"has far more pixels than the {max_pixels / 1e6:g} million that are taken") from None
    # Damaged headers make Pillow raise many kinds; each is the file's fault here, not ours.
    except Exception as error:
        raise UnreadableImageError(f"is damaged: {error}") from None


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """Return the size of a WEBP from its first chunk: Pillow makes room for all pixels as it opens one."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return None
    kind, head = content[12:16], content[20:30]
    if kind == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    raise UnreadableImageError("is a damaged WEBP")


def _refuse_many_scans(content: bytes) -> None:
    if content.count(_SCAN) > SCANS:
        raise TooLargeError(f"holds a JPEG of more than {SCANS} scans, which no camera writes")


def _refuse_many_chunks(content: bytes) -> None:
    """Refuse a PNG of countless empty chunks, which Pillow would go through one by one."""
    at, found = len(_PNG), 0
    while content.startswith(_PNG) and at < len(content):
        at += 12 + int.from_bytes(content[at : at + 4])
        found += 1
        if found > CHUNKS:
            raise TooLargeError(f"is a PNG of more than {CHUNKS:,} chunks")


@dataclass(frozen=True)
class Limits:
    """What a client may ask.

    Attributes:
        max_bytes: Of an upload.
        under_way: Requests at once, from the first byte of an upload to the last of the answer that its client reads.
        seconds: For an upload to arrive.
        connections: Open at once, whatever they do.
    """

    max_bytes: int = 32_000_000
    under_way: int = 128
    seconds: float = 30.0
    connections: int = 512
