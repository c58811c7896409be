"""The pixel data of one DICOM frame -> its stored samples, in every transfer syntax that hospitals use.

A compressed picture must have the size that the object's header tells: what is allocated was agreed to.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from imagecodecs import jpeg2k_decode, jpeg8_decode, jpegls_decode, packbits_decode
from numpy.typing import NDArray
from PIL import Image

from covidnet.imaging.coded import END, jpeg_2000_size, jpeg_size
from covidnet.imaging.radiograph import UnreadableImageError

Samples = NDArray[np.unsignedinteger[Any]]  # uint8 or uint16

NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN = NATIVE
RLE = "1.2.840.10008.1.2.5"
JPEG = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))  # baseline, 12 bits, lossless
JPEG_LS = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (80, 81))
JPEG_2000 = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203))  # the last three: HTJ2K
READABLE = (*NATIVE, RLE, *JPEG, *JPEG_LS, *JPEG_2000)

_RLE_HEADER = 64


@dataclass(frozen=True)
class Layout:
    """What an object's header tells of its pixels."""

    rows: int
    columns: int
    samples: int  # 1 or 3 a pixel
    allocated: int  # bits, 8 or 16
    colours: str  # its photometric interpretation
    planar: bool = False  # one colour after the other

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its samples."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def is_ycbcr(self) -> bool:
        """Whether its colours are to be turned into RGB."""
        return self.colours in ("YBR_FULL", "YBR_FULL_422")

    @property
    def length(self) -> int:
        """Its bytes where it is not compressed."""
        return self.rows * self.columns * self.samples * (self.allocated // 8)


class Frame(NamedTuple):
    """Decoded samples, ``(H, W)`` or RGB ``(H, W, 3)``, uint8 or uint16."""

    samples: Samples
    precision: int  # bits in which a compressed picture was written; 0 where it was not compressed
    signed: bool = False  # as the compressed picture tells
    exact_sign: bool = True  # the highest of these is a sign where there is one; not so if a lossless JPEG has others


def native_frame(data: bytes, layout: Layout, *, little_endian: bool, words: bool) -> Frame:
    """Return uncompressed samples; ``words`` tells that bytes were written two by two.

    Raises:
        UnreadableImageError: Where there are fewer bytes than the header tells, or more by more than a row.
    """
    told = f"its header tells {layout.columns} x {layout.rows} pixels, {layout.length:,} bytes, but it holds"
    if len(data) < layout.length:
        raise UnreadableImageError(f"is a truncated DICOM file: {told} {len(data):,}")
    if len(data) > layout.length + max(layout.length // layout.rows, 2):
        raise UnreadableImageError(f"is a damaged DICOM file: {told} {len(data):,}")
    samples: Samples
    if layout.allocated == 16:
        samples = np.frombuffer(data, "<u2" if little_endian else ">u2", layout.length // 2).astype(np.uint16)
    elif words and not little_endian:
        padded = data + bytes(len(data) % 2)
        samples = np.frombuffer(padded, ">u2").astype("<u2").view(np.uint8)[: layout.length]
    else:
        samples = np.frombuffer(data, np.uint8, layout.length)
    if layout.samples == 3 and layout.planar:
        return Frame(_rgb(samples.reshape(3, *layout.shape[:2]).transpose(1, 2, 0), layout), 0)
    return Frame(_rgb(samples.reshape(layout.shape), layout), 0)


def coded_frame(data: bytes, layout: Layout, syntax: str) -> Frame:
    """Decode a compressed frame.

    Raises:
        UnreadableImageError: Where it is damaged, or of another size than the header tells.
    """
    if syntax == RLE:
        return Frame(_rgb(_decode_rle(data, layout), layout), 0)
    coded = jpeg_2000_size(data) if syntax in JPEG_2000 else jpeg_size(data)
    if coded is None:
        raise UnreadableImageError("is a damaged DICOM file: its compressed pixels do not begin as they should")
    if (coded.rows, coded.columns, coded.samples) != (layout.rows, layout.columns, layout.samples):
        raise UnreadableImageError(
            f"is a damaged DICOM file: its header tells {layout.columns} x {layout.rows} pixels of {layout.samples} "
            f"channels, its compressed picture {coded.columns} x {coded.rows} of {coded.samples}"
        )
    if coded.precision > 16 or (layout.samples == 3 and coded.precision != 8):
        raise UnreadableImageError(f"has {coded.precision} bits a channel; export it as PNG")
    if data.rfind(END) == -1:
        raise UnreadableImageError("is a truncated DICOM file: its compressed picture has no end")
    samples: NDArray[Any]
    try:
        if syntax in JPEG_2000:
            samples = jpeg2k_decode(data)
        elif syntax in JPEG_LS:
            samples = jpegls_decode(data)
        else:
            as_is = "RGB" if layout.samples == 3 else None  # two names of one colour space: nothing is converted
            samples = jpeg8_decode(data, colorspace=as_is, outcolorspace=as_is)
    # Each decoder has its own errors; whichever it is, the file is at fault.
    except Exception:
        raise UnreadableImageError("is a damaged DICOM file: its compressed pixels cannot be decoded") from None
    if samples.shape != layout.shape or samples.dtype.itemsize > 2:
        raise UnreadableImageError("is a damaged DICOM file: its compressed picture is not what its own header tells")
    signed = samples.dtype.kind == "i"
    samples = samples.view(np.uint8 if samples.dtype.itemsize == 1 else np.uint16)  # a sign is the header's to tell
    if layout.samples == 3 and coded.is_ycbcr(layout.is_ycbcr):
        samples = _ycbcr_to_rgb(samples)
    return Frame(samples, coded.precision, signed, exact_sign=syntax in (*JPEG_2000, *JPEG_LS))


def _rgb(samples: Samples, layout: Layout) -> Samples:
    return _ycbcr_to_rgb(samples) if layout.is_ycbcr else samples


def _ycbcr_to_rgb(samples: Samples) -> NDArray[np.uint8]:
    channels = [Image.fromarray(np.ascontiguousarray(samples[..., channel])) for channel in range(3)]
    return np.asarray(Image.merge("YCbCr", channels).convert("RGB"))


def _decode_rle(data: bytes, layout: Layout) -> Samples:
    """Decode run lengths: one segment a byte of each sample, the upper bytes first."""
    header = np.frombuffer(data[:_RLE_HEADER].ljust(_RLE_HEADER, b"\0"), "<u4").astype(np.int64)
    width, pixels = layout.allocated // 8, layout.rows * layout.columns
    count, starts = int(header[0]), header[1:].tolist()
    if count != layout.samples * width:
        raise UnreadableImageError(
            f"is a damaged DICOM file: its run lengths have {count} segments where {layout.samples * width} belong"
        )
    ends = [*starts[1:count], len(data)]
    planes = np.empty((layout.samples, width, pixels), dtype=np.uint8)
    for plane, start, end in zip(planes.reshape(-1, pixels), starts, ends, strict=False):
        try:
            decoded = packbits_decode(data[start:end], out=pixels + 1)  # some write one more
        except Exception:  # ImcdError, which is not exported: too long, or cut
            raise UnreadableImageError("is a damaged DICOM file: its run lengths cannot be decoded") from None
        if len(decoded) < pixels:
            raise UnreadableImageError("is a truncated DICOM file: its run lengths end before the last pixel")
        plane[:] = np.frombuffer(decoded, np.uint8, pixels)
    samples: Samples = planes[:, 0]
    if width == 2:
        samples = samples.astype(np.uint16) << np.uint16(8) | planes[:, 1]
    return samples.T.reshape(layout.shape)
