"""PNG, the PNM family and BMP."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np

from bench.written.bits import Order, Samples, packed

Chunk = tuple[bytes, bytes]
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png(
    samples: Samples,
    bits: int = 8,
    colour: int = 0,
    before: Sequence[Chunk] = (),
    after: Sequence[Chunk] = (),
    *,
    interlaced: bool = False,
) -> bytes:
    """Return a PNG (ISO/IEC 15948) of samples (H, W, C), of a colour type, with chunks before and after the pixels."""
    height, width = samples.shape[:2]
    rows = _rows(samples, bits)
    if interlaced:
        rows = b"".join(_rows(samples[top::down, left::across], bits) for left, top, across, down in _ADAM7)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    chunks = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(rows)), *after, (b"IEND", b"")]
    lines = [struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(lines)


def _rows(samples: Samples, bits: int) -> bytes:
    data = packed(samples, bits)
    row = len(data) // len(samples)
    return b"".join(b"\0" + data[start : start + row] for start in range(0, len(data), row))


def pnm(samples: Samples, letter: str, most: int = 255) -> bytes:
    """Return a PBM, PGM or PPM: "P1" to "P3" in digits, "P4" to "P6" packed; ``most`` is its greatest number."""
    height, width = samples.shape[:2]
    head = f"{letter}\n# written by hand\n{width} {height}\n" + ("" if letter in ("P1", "P4") else f"{most}\n")
    if letter in ("P1", "P2", "P3"):
        return head.encode() + "\n".join(" ".join(map(str, row)) for row in samples.reshape(height, -1)).encode()
    bits = 1 if letter == "P4" else 8 if most < 256 else 16
    return head.encode() + packed(samples, bits)


def pfm(samples: Samples, order: Order = "<") -> bytes:
    """Return a PFM: floats, the lowest row first."""
    height, width = samples.shape[:2]
    head = f"{'Pf' if samples.ndim == 2 else 'PF'}\n{width} {height}\n{'-1.0' if order == '<' else '1.0'}\n"
    return head.encode() + samples[::-1].astype(f"{order}f4").tobytes()


def bmp(
    samples: Samples,
    bits: int,
    palette: Samples | None = None,
    *,
    downward: bool = False,
    masks: Sequence[int] = (),
    packed_as: bytes = b"",
    old: bool = False,
) -> bytes:
    """Return a BMP: numbers of ``palette`` (N, 3), or whole pixels as they are packed, the lowest row first.

    Args:
        samples: (H, W), or (H, W, 3) of 24 bits.
        bits: A pixel.
        palette: Red, green and blue of each number.
        downward: The highest row first.
        masks: Of red, green and blue in a pixel.
        packed_as: Run lengths instead of the rows.
        old: With the header of OS/2.
    """
    height, width = samples.shape[:2]
    rows = samples if downward else samples[::-1]
    stride = -(-width * bits // 32) * 4
    if bits in (16, 32):
        data = rows.astype(f"<u{bits // 8}").tobytes()
    else:
        data = packed(rows[..., ::-1] if rows.ndim == 3 else rows, bits if bits < 24 else 8)
    own = len(data) // height
    data = b"".join(data[start : start + own].ljust(stride, b"\0") for start in range(0, len(data), own))
    data = packed_as or data
    colours = b"" if palette is None else np.pad(palette[:, ::-1], ((0, 0), (0, 1))).astype(np.uint8).tobytes()
    colours = struct.pack(f"<{len(masks)}I", *masks) + colours
    count = 0 if palette is None else len(palette)
    kind = 3 if masks else 1 if packed_as else 0
    size = (width, -height if downward else height)
    head = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, kind, len(data), 0, 0, count, 0)
    if old:
        colours = b"" if palette is None else palette[:, ::-1].astype(np.uint8).tobytes()
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    start = 14 + len(head) + len(colours)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + head + colours + data
