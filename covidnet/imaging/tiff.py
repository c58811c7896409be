"""TIFF: what a file's tags tell of its samples, and who makes the right greys of them.

Pillow decodes the usual kinds, libtiff by way of imagecodecs those that Pillow shows as something else; what neither
does is refused by name (TIFF 6.0, Adobe 1992).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covidnet.imaging.arrays import eight_bits, many_bits, picture_of
from covidnet.imaging.orientation import METHODS
from covidnet.imaging.radiograph import UnreadableImageError

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
UNSIGNED, SIGNED, FLOATING = 1, 2, 3
CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}  # that Pillow or libtiff show
OTHERS = {4: "a mask", LAB: "the mode LAB", 9: "the mode ICCLab", 10: "the mode ITULab", 32803: "a camera's sensor"}
PREMULTIPLIED = 1  # an extra sample: alpha by which the colours were multiplied
MOST_SAMPLES = 6  # a pixel, as Pillow has it
LARGEST_TILE = 1 << 26  # pixels
PAGES = 64  # that are looked at for one that is no thumbnail
ENTRIES = 4096  # of a page; real ones have some dozens
VALUES = 3 << 16  # of an entry, as the longest palette has

DAMAGED = (struct.error, KeyError, OverflowError)  # what tags of chance bytes end in
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}
# fmt: off
_KIND, _OLD_KIND, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANAR, _PALETTE, \
    _INKS, _EXTRA, _FORMAT, _SHARED = 254, 255, 256, 257, 258, 259, 262, 274, 277, 284, 320, 332, 338, 339, 530
_TILE = (322, 323)
_NEEDED = (
    *_TILE,
    _KIND, _OLD_KIND, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANAR, _PALETTE,
    _INKS, _EXTRA, _FORMAT, _SHARED,
)
# fmt: on
_OLD_JPEG = 6  # a compression of which Pillow knows the colours
_SIGNS = {UNSIGNED: "unsigned", SIGNED: "signed", FLOATING: "floating-point"}

Tags = Mapping[int, Sequence[int]]


class Tiff(NamedTuple):
    """What the page of a TIFF that is shown tells of its samples."""

    page: int  # its number, from 0
    size: tuple[int, int]  # width and height, as stored
    photometric: int
    bits: int  # of a sample
    sign: int
    samples: int  # a pixel
    planar: bool  # plane by plane
    premultiplied: bool
    orientation: int
    bytes_as_entries: bool  # its palette has 8 bits an entry where 16 belong
    foreign: bool  # a big-endian BigTIFF, which Pillow does not know

    @property
    def is_usual(self) -> bool:
        """Whether Pillow decodes it right."""
        if self.foreign or (self.planar and self.photometric != CMYK):
            return False  # of planes it takes the first letter of a mode for the whole
        if self.sign != UNSIGNED or (self.photometric == WHITE_IS_ZERO and self.samples > 1):
            return False
        return self.bits <= 8 or (self.bits == 16 and self.photometric == BLACK_IS_ZERO and self.samples == 1)

    def decode(self, content: bytes) -> tuple[Image.Image, str]:
        """Decode what is not usual to 8 bits; return the picture and the mode of its file, as Pillow would name it.

        Raises:
            UnreadableImageError: Where libtiff does not.
        """
        width, height = self.size
        if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
            raise UnreadableImageError(
                f"is refused as too large: {width} x {height} pixels are more than {Image.MAX_IMAGE_PIXELS:,}"
            )
        pixels = self._pixels(content)
        narrow = self.sign == UNSIGNED and self.bits <= 8
        if self.photometric == RGB:
            picture, mode = picture_of(pixels), "RGB"
        else:
            white_is_zero = self.photometric == WHITE_IS_ZERO
            limits = (0, (1 << self.bits) - 1) if narrow else None
            picture = eight_bits(pixels.reshape(height, width), limits, zero_is_white=white_is_zero)
            mode = "L" if narrow else "F" if self.sign == FLOATING else "I;16" if self.bits <= 16 else "I"
        method = METHODS.get(self.orientation)
        return (picture if method is None else picture.transpose(method)), mode

    def _pixels(self, content: bytes) -> NDArray[Any]:
        """Return grey (H, W, 1) or RGB (H, W, 3), without what is no colour."""
        from imagecodecs import tiff_decode  # where none is met, libtiff is not waited for

        width, height = self.size
        try:
            pixels = tiff_decode(content, index=self.page, verbose=0)
        # libtiff has many errors; whichever it is, the file is at fault.
        except Exception:
            raise UnreadableImageError(
                f"is a TIFF of {self.told}, and cannot be decoded: it is damaged, or compressed in a way that is not "
                "read; save it as PNG"
            ) from None
        planes = np.moveaxis(pixels, 0, -1) if self.planar and self.samples > 1 else np.atleast_3d(pixels)
        if planes.shape != (height, width, self.samples):
            raise UnreadableImageError("is a damaged TIFF: it holds other pixels than its tags tell")
        return planes[..., : CHANNELS[self.photometric]]

    @property
    def told(self) -> str:
        """Its samples in words."""
        several = f"{self.samples} channels of " if self.samples > 1 else ""
        return f"{several}{self.bits} {_SIGNS[self.sign]} bits{', plane by plane' if self.planar else ''}"


def tell_tiff(content: bytes) -> Tiff:
    """Read what a TIFF tells of its first page that is no thumbnail and no mask.

    Raises:
        UnreadableImageError: Naming what it is that is not read, and what to do.
    """
    try:
        pages = list(_pages(content))
    except DAMAGED:
        pages = []
    if not pages:
        raise UnreadableImageError("is a damaged TIFF: its tags cannot be read")
    page = next((number for number, tags in enumerate(pages) if not _is_aside(tags)), 0)
    return _told(page, pages[page], foreign=content.startswith(b"MM\0+"))


def _told(page: int, tags: Tags, *, foreign: bool) -> Tiff:
    def one(tag: int, default: int) -> int:
        return next(iter(tags.get(tag, ())), default)

    photometric, samples = one(_PHOTOMETRIC, -1), one(_SAMPLES, 1)
    if one(_COMPRESSION, 1) == _OLD_JPEG:
        photometric, samples = YCBCR, one(_SAMPLES, 3)
    bits, formats = set(tags.get(_BITS, (1,))[:samples]), set(tags.get(_FORMAT, (UNSIGNED,))[:samples])
    extra, entries = tags.get(_EXTRA, ()), tags.get(_PALETTE, ())
    if photometric == -1:
        raise UnreadableImageError(
            "is a TIFF that does not tell whether zero is black or white (tag 262, PhotometricInterpretation); save it "
            "as PNG"
        )
    if photometric not in CHANNELS or (photometric == CMYK and one(_INKS, 1) != 1):
        named = OTHERS.get(photometric, f"a kind that is not known (PhotometricInterpretation {photometric})")
        raise UnreadableImageError(f"is a TIFF in colours of {named}, which are not read; save it as grey or RGB")
    if photometric == YCBCR and one(_COMPRESSION, 1) == 1 and tuple(tags.get(_SHARED, (2, 2))) != (1, 1):
        raise UnreadableImageError(
            "is a TIFF in YCbCr of which pixels share colours, which is not read; save it as PNG"
        )
    if len(bits) != 1 or len(formats) != 1 or not formats <= set(_SIGNS):
        raise UnreadableImageError(
            f"is a TIFF of samples of {sorted(bits)} bits in the formats {sorted(formats)}, which is not read; save it "
            "as 8- or 16-bit PNG"
        )
    depth, alone = bits.pop(), samples == 1
    told = Tiff(
        page=page,
        size=(one(_WIDTH, 0), one(_HEIGHT, 0)),
        photometric=photometric,
        bits=depth,
        sign=formats.pop(),
        samples=samples,
        planar=one(_PLANAR, 1) == 2 and not (alone and depth == 8 and photometric in (BLACK_IS_ZERO, PALETTE)),
        premultiplied=PREMULTIPLIED in extra,
        orientation=one(_ORIENTATION, 1),
        bytes_as_entries=bool(entries) and max(entries) < 256,
        foreign=foreign,
    )
    _refuse_misread(told)
    if not told.is_usual and one(_TILE[0], 0) * one(_TILE[1], 0) > LARGEST_TILE:
        raise UnreadableImageError("is refused as too large: its tiles have more than 64 million pixels")
    return told


def _refuse_misread(told: Tiff) -> None:
    """Refuse the kinds of which nobody makes the right greys."""
    deep = told.bits > 8 or told.sign != UNSIGNED
    grey = told.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO)
    if not grey and told.samples > 1 and (told.bits, told.sign) == (16, UNSIGNED):
        raise UnreadableImageError(many_bits(told.bits))
    unread = (
        (deep and not grey)
        or (told.samples > 1 and told.bits < 8)
        or told.samples > MOST_SAMPLES
        or (grey and told.samples > 2)
        or (told.samples > 1 and told.premultiplied and not told.is_usual)
        or (told.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB) and not told.is_usual)
        or told.samples < CHANNELS[told.photometric] * (told.photometric != YCBCR)  # which a grey JPEG may call itself
    )
    if unread:
        kind = {PALETTE: " in a palette", YCBCR: " in YCbCr", CMYK: " in CMYK"}.get(told.photometric, "")
        alpha = " with premultiplied alpha" if told.premultiplied else ""
        raise UnreadableImageError(
            f"is a TIFF of {told.told}{kind}{alpha}, which is not read; save it as 8- or 16-bit PNG"
        )


def _is_aside(tags: Tags) -> bool:
    """Tell a page that is a smaller copy of another (1, or 2 in the older tag), or a mask (4)."""
    return bool(sum(tags.get(_KIND, ())) & 5) or sum(tags.get(_OLD_KIND, ())) == 2


def _pages(content: bytes) -> Iterator[Tags]:
    """Yield the needed tags of each page, of the first 64.

    Raises:
        One of DAMAGED: Where the first is cut or damaged.
    """
    order = {b"II": "<", b"MM": ">"}[content[:2]]
    big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    (at,) = struct.unpack_from(f"{order}Q", content, 8) if big else struct.unpack_from(f"{order}I", content, 4)
    for number in range(PAGES):
        if not at:
            return
        try:
            tags, at = _directory(content, at, order, big=big)
        except DAMAGED:
            if not number:
                raise
            return
        yield tags


def _directory(content: bytes, at: int, order: str, *, big: bool) -> tuple[dict[int, tuple[int, ...]], int]:
    """Return the needed tags of the page that begins at a place, and where the next begins."""
    length, count, whole, room = ("Q", "Q", 20, 8) if big else ("H", "I", 12, 4)
    (entries,) = struct.unpack_from(order + length, content, at)
    at += struct.calcsize(f"{order}{length}")
    tags = {}
    for number in range(min(entries, ENTRIES)):
        tag, kind, values = struct.unpack_from(f"{order}HH{count}", content, at + number * whole)
        if tag not in _NEEDED or values > VALUES:
            continue
        form = f"{order}{values}{_TYPES[kind]}"
        place = at + number * whole + whole - room
        if struct.calcsize(form) > room:
            (place,) = struct.unpack_from(order + ("Q" if big else "I"), content, place)
        tags[tag] = struct.unpack_from(form, content, place)
    (following,) = struct.unpack_from(order + ("Q" if big else "I"), content, at + entries * whole)
    return tags, following
