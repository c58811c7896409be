"""What a compressed picture tells of itself: read first, so that no room is made for pixels that it only claims."""

from typing import NamedTuple

END = b"\xff\xd9"  # of a JPEG, JPEG-LS or JPEG 2000 picture; their compressed data never hold these two bytes
SEGMENTS = 1000  # of a JPEG before its picture, and boxes of a JPEG XL; real ones have about ten
BOXES = 1 << 16  # bytes in front of a JPEG 2000 picture
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height, as JPEG XL numbers them
_SIZE_BITS = (9, 13, 18, 30)  # that a JPEG XL may take for a side


class Coded(NamedTuple):
    """What a compressed picture tells of itself."""

    rows: int
    columns: int
    samples: int
    precision: int
    adobe: int | None = None  # Adobe's colour transform: 1 where the samples are YCbCr


def jpeg_size(data: bytes) -> Coded | None:
    """Read the frame header of a JPEG or JPEG-LS picture; None where there is none."""
    at, adobe = 2, None
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
            return Coded(rows, columns, data[at + 9], data[at + 4], adobe)
        if marker == 0xEE and data[at + 4 : at + 9] == b"Adobe" and length >= 14:
            adobe = data[at + 15] if at + 15 < len(data) else None
        at += 2 + length
    return None


def jpeg_2000_size(data: bytes) -> Coded | None:
    """Read the size marker of a JPEG 2000 picture, with or without boxes around it; None where there is none."""
    at = data[:BOXES].find(b"\xff\x4f\xff\x51")
    if at == -1 or len(data) < at + 44:
        return None
    right, bottom, left, top = (int.from_bytes(data[at + 8 + 4 * i : at + 12 + 4 * i]) for i in range(4))
    return Coded(bottom - top, right - left, int.from_bytes(data[at + 40 : at + 42]), (data[at + 42] & 0x7F) + 1)


def jpeg_xl_size(data: bytes) -> tuple[int, int] | None:
    """Read columns and rows of a JPEG XL, with or without boxes around it; None where they are not found.

    The size is packed into bits behind the first two bytes (ISO/IEC 18181-1, SizeHeader).
    """
    picture = data if data[:2] == b"\xff\x0a" else _jpeg_xl_picture(data)
    if picture[:2] != b"\xff\x0a":
        return None
    bits = int.from_bytes(picture[2:12], "little")

    def take(count: int) -> int:
        nonlocal bits
        bits, taken = bits >> count, bits & ((1 << count) - 1)
        return taken

    def side() -> int:
        return 8 * (take(5) + 1) if small else take(_SIZE_BITS[take(2)]) + 1

    small = take(1)
    rows = side()
    ratio = take(3)
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
            return data[start : start + 12]
        if length < head:
            break
        at += length
    return b""
