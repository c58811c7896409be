"""What a compressed picture tells of itself: read first, so that no room is made for pixels that it only claims."""

from typing import NamedTuple

END = b"\xff\xd9"  # of a JPEG, JPEG-LS or JPEG 2000 picture; their compressed data never hold these two bytes
SEGMENTS = 1000  # of a JPEG before its picture, and boxes of a JPEG XL; real ones have about ten
BOXES = 1 << 16  # bytes in front of a JPEG 2000 picture
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height, as JPEG XL numbers them
HEAD_OF_JPEG_XL = 40  # bytes that hold what is asked of it
_SIZE_BITS = (9, 13, 18, 30)  # that a JPEG XL may take for a side


class Coded(NamedTuple):
    """What a compressed picture tells of itself."""

    rows: int
    columns: int
    samples: int
    precision: int
    adobe: int | None = None  # Adobe's colour transform: 1 where the samples are YCbCr
    jfif: bool = False  # whose colours are YCbCr
    called_rgb: bool = False  # its channels are

    def is_ycbcr(self, otherwise: bool) -> bool:
        """Tell whether three channels are YCbCr, by what the picture itself tells, else as something else does."""
        if self.adobe is not None:
            return self.adobe == 1
        return not self.called_rgb and (self.jfif or otherwise)


def jpeg_size(data: bytes) -> Coded | None:
    """Read the frame header of a JPEG or JPEG-LS picture; None where there is none."""
    at, adobe, jfif = 2, None, False
    if data[:2] != b"\xff\xd8":
        return None
    for _ in range(SEGMENTS):
        if at + 10 > len(data) or data[at] != 0xFF:
            return None
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xFF:  # filling
            at += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            called = data[at + 10 : at + 19 : 3].upper() == b"RGB"
            return Coded(rows, columns, data[at + 9], data[at + 4], adobe, jfif, called)
        if marker == 0xEE and data[at + 4 : at + 9] == b"Adobe" and length >= 14:
            adobe = data[at + 15] if at + 15 < len(data) else None
        jfif |= marker == 0xE0 and data[at + 4 : at + 8] == b"JFIF"
        at += 2 + length
    return None


def jpeg_2000_size(data: bytes) -> Coded | None:
    """Read the size marker of a JPEG 2000 picture, with or without boxes around it; None where there is none."""
    at = data[:BOXES].find(b"\xff\x4f\xff\x51")
    if at == -1 or len(data) < at + 44:
        return None
    right, bottom, left, top = (int.from_bytes(data[at + 8 + 4 * i : at + 12 + 4 * i]) for i in range(4))
    return Coded(bottom - top, right - left, int.from_bytes(data[at + 40 : at + 42]), (data[at + 42] & 0x7F) + 1)


def is_deep_jpeg(data: bytes) -> bool:
    """Tell a JPEG whose samples have more than 8 bits, or fewer: lossless ones have from 2 to 16."""
    coded = jpeg_size(data)
    return coded is not None and coded.precision != 8


class Sample(NamedTuple):
    """What a JPEG 2000 tells of one of its channels."""

    bits: int
    signed: bool
    across: int  # pixels for each sample
    down: int


def jpeg_2000_samples(data: bytes) -> list[Sample]:
    """Read the channels of a JPEG 2000 picture; none where there are none."""
    at, coded = data[:BOXES].find(b"\xff\x4f\xff\x51"), jpeg_2000_size(data)
    told = data[at + 42 : at + 42 + 3 * coded.samples] if coded else b""
    parts = (told[start : start + 3] for start in range(0, len(told) // 3 * 3, 3))
    return [Sample((depth & 0x7F) + 1, depth > 0x7F, across, down) for depth, across, down in parts]


def jpeg_xl_size(data: bytes) -> tuple[int, int] | None:
    """Read columns and rows of a JPEG XL, with or without boxes around it; None where they are not found.

    The size is packed into bits behind the first two bytes (ISO/IEC 18181-1, SizeHeader).
    """
    picture = data if data[:2] == b"\xff\x0a" else _jpeg_xl_picture(data)
    return _Bits(picture[2:]).size() if picture[:2] == b"\xff\x0a" else None


class JpegXl(NamedTuple):
    """What a JPEG XL tells of itself."""

    bits: int = 8  # of a sample
    orientation: int = 1  # as EXIF numbers them; its decoders turn it


def jpeg_xl_told(data: bytes) -> JpegXl:
    """Read what a JPEG XL tells (ISO/IEC 18181-1, ImageMetadata), the usual where that is not found.

    Behind a preview nothing is looked for: nobody writes them.
    """
    orientation = 1
    picture = data if data[:2] == b"\xff\x0a" else _jpeg_xl_picture(data)
    bits = _Bits(picture[2:])
    bits.size()
    if bits.take(1):  # all as usual
        return JpegXl()
    if bits.take(1):  # more fields: a turn, another size that is meant, a preview, an animation
        orientation = bits.take(3) + 1
        if bits.take(1):
            bits.size()
        if bits.take(1):
            return JpegXl(orientation=orientation)
        if bits.take(1):
            bits.number(100, 1000, -10, -30)
            bits.number(1, 1001, -8, -10)
            bits.number(0, -3, -16, -32)
            bits.take(1)
    floats = bits.take(1)
    return JpegXl(bits.number(32, 16, 24, -6) if floats else bits.number(8, 10, 12, -6), orientation)


class _Bits:
    """The bits of a JPEG XL's header, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self.rest = int.from_bytes(data[:HEAD_OF_JPEG_XL], "little")

    def take(self, count: int) -> int:
        self.rest, taken = self.rest >> count, self.rest & ((1 << count) - 1)
        return taken

    def number(self, *choices: int) -> int:
        """Return one of four numbers; of a negative one, as many bits more, from 1 on."""
        chosen = choices[self.take(2)]
        return chosen if chosen >= 0 else self.take(-chosen) + 1

    def size(self) -> tuple[int, int]:
        """Return columns and rows."""
        small = self.take(1)

        def side() -> int:
            return 8 * (self.take(5) + 1) if small else self.take(_SIZE_BITS[self.take(2)]) + 1

        rows = side()
        ratio = self.take(3)
        if not ratio:
            return side(), rows
        across, up = _RATIOS[ratio - 1]
        return rows * across // up, rows


def _jpeg_xl_picture(data: bytes) -> bytes:
    """Return the beginning of the first box that holds a picture, or nothing."""
    at = 0
    for _ in range(SEGMENTS):
        length, kind, head = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16]), 16
        if kind in (b"jxlc", b"jxlp"):
            start = at + head + 4 * (kind == b"jxlp")  # which has the number of the part first
            return data[start : start + 2 + HEAD_OF_JPEG_XL]
        if length < head:
            break
        at += length
    return b""
