"""TIFF: any bits, sign, planes, byte order and compression (TIFF 6.0; BigTIFF)."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import imagecodecs
import numpy as np

from bench.written.bits import Order, Samples, Sign, mirrored, packed

SHORT, LONG, LONG8 = 3, 4, 16
_CODES = {SHORT: "H", LONG: "I", LONG8: "Q"}
_FORMATS = {"u": 1, "i": 2, "f": 3}
NONE, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773
Tag = tuple[int, int, Sequence[int]]  # number, type, values


@dataclass(frozen=True)
class Tiff:
    """How samples are written.

    Attributes:
        bits: Of a sample.
        sign: Of its type.
        order: Of its bytes, and of those of the header.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr, 8 Lab; None leaves it out.
        planar: 1 pixel by pixel, 2 plane by plane.
        big: BigTIFF.
        fill: 2 where the lowest bit of a byte comes first.
        compression: As the constants above.
        rows: Of a strip; 0 for one strip.
        tile: Side of a square tile; 0 for strips.
        predictor: 2 where differences along a row are stored.
        extra: What samples beyond the colours are: 0 nothing, 1 premultiplied alpha, 2 alpha.
        tags: Others.
        pages: Tags of pages that follow, with the same pixels; and of one before, where ``first`` is given.
    """

    bits: int = 8
    sign: Sign = "u"
    order: Order = "<"
    photometric: int | None = 1
    planar: int = 1
    big: bool = False
    fill: int = 1
    compression: int = NONE
    rows: int = 0
    tile: int = 0
    predictor: int = 1
    extra: Sequence[int] = ()
    tags: Sequence[Tag] = field(default_factory=tuple)

    def write(self, samples: Samples, *others: "tuple[Samples, Sequence[Tag]]") -> bytes:
        """Return a file of samples (H, W) or (H, W, C), and of other pages behind, each with tags of its own."""
        mark = b"II" if self.order == "<" else b"MM"
        head = struct.pack(f"{self.order}H", 43 if self.big else 42)
        head += struct.pack(f"{self.order}HHQ", 8, 0, 16) if self.big else struct.pack(f"{self.order}I", 8)
        content = mark + head
        pages = [(samples, self.tags), *others]
        for number, (page, tags) in enumerate(pages):
            content += self._page(np.atleast_3d(page), tags, len(content), last=number == len(pages) - 1)
        return content

    def _page(self, samples: Samples, tags: Sequence[Tag], at: int, *, last: bool) -> bytes:
        height, width, count = samples.shape
        pieces = self._pieces(samples)
        long = LONG8 if self.big else LONG
        entries: list[Tag] = [
            (256, LONG, [width]),
            (257, LONG, [height]),
            (258, SHORT, [self.bits] * count),
            (259, SHORT, [self.compression]),
            (277, SHORT, [count]),
            (284, SHORT, [self.planar]),
            (339, SHORT, [_FORMATS[self.sign]] * count),
            *tags,
        ]
        if self.photometric is not None:
            entries.append((262, SHORT, [self.photometric]))
        if self.fill != 1:
            entries.append((266, SHORT, [self.fill]))
        if self.predictor != 1:
            entries.append((317, SHORT, [self.predictor]))
        if self.extra:
            entries.append((338, SHORT, list(self.extra)))
        if self.tile:
            entries += [(322, LONG, [self.tile]), (323, LONG, [self.tile])]
        else:
            entries.append((278, LONG, [self.rows or height]))
        places, lengths = (324, 325) if self.tile else (273, 279)
        entries.append((lengths, long, [len(piece) for piece in pieces]))
        without = self._directory([*entries, (places, long, [0] * len(pieces))], at, 0)
        starts = at + len(without) + np.cumsum([0, *map(len, pieces)])
        following = 0 if last else int(starts[-1])
        return self._directory([*entries, (places, long, starts[:-1].tolist())], at, following) + b"".join(pieces)

    def _directory(self, entries: Sequence[Tag], at: int, following: int) -> bytes:
        count, size, room = ("Q", 20, 8) if self.big else ("H", 12, 4)
        number = struct.pack(self.order + count, len(entries))
        end = at + len(number) + size * len(entries) + room
        lines, beyond = b"", b""
        for tag, kind, values in sorted(entries):
            data = struct.pack(f"{self.order}{len(values)}{_CODES[kind]}", *values)
            if len(data) > room:
                place, beyond = end + len(beyond), beyond + data + bytes(len(data) % 2)
                data = struct.pack(self.order + ("Q" if self.big else "I"), place)
            length = struct.pack(self.order + ("Q" if self.big else "I"), len(values))
            lines += struct.pack(f"{self.order}HH", tag, kind) + length + data.ljust(room, b"\0")
        return number + lines + struct.pack(self.order + ("Q" if self.big else "I"), following) + beyond

    def _pieces(self, samples: Samples) -> list[bytes]:
        planes = [samples] if self.planar == 1 else [samples[..., [plane]] for plane in range(samples.shape[2])]
        return [self._compressed(piece) for plane in planes for piece in self._cut(plane)]

    def _cut(self, plane: Samples) -> list[Samples]:
        height, width = plane.shape[:2]
        if not self.tile:
            step = self.rows or height
            return [plane[top : top + step] for top in range(0, height, step)]
        side = self.tile
        whole = np.zeros((-(-height // side) * side, -(-width // side) * side, plane.shape[2]), plane.dtype)
        whole[:height, :width] = plane
        return [
            whole[top : top + side, left : left + side]
            for top in range(0, height, side)
            for left in range(0, width, side)
        ]

    def _compressed(self, piece: Samples) -> bytes:
        if self.predictor == 2:
            piece = np.diff(piece.astype(np.int64), axis=1, prepend=0) % (1 << self.bits)
        data = packed(piece, self.bits, self.order, self.sign if self.predictor == 1 else "u")
        if self.compression == DEFLATE:
            data = zlib.compress(data)
        elif self.compression == LZW:
            data = bytes(imagecodecs.lzw_encode(data))
        elif self.compression == PACKBITS:
            row = len(data) // len(piece)  # each is packed by itself
            rows = (data[start : start + row] for start in range(0, len(data), row))
            data = b"".join(bytes(imagecodecs.packbits_encode(one)) for one in rows)
        return mirrored(data) if self.fill == 2 else data
