"""A DICOM file's header: the few elements that are asked for, within limits that hostile bytes do not pass.

A picture needs none that says who somebody is, so reading one never looks at them.
"""

import logging
import math
import warnings
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_sequence_item
from pydicom.uid import UID

from covidnet.imaging.dicom.frame import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, READABLE
from covidnet.imaging.kinds import HEAD, LETTERS, PREAMBLE, bare_encoding
from covidnet.imaging.radiograph import UnreadableImageError

READS = 30_000  # of a header, and of an item in it: the real ones take some hundreds
INTEGERS = 1 << 16  # as many as the longest table has
TEXT = 1024  # bytes of a text that are looked at
HEAD_OF_A_FILE = 1 << 18  # bytes that are read first: they hold nearly every header
LARGEST_FILE = 1 << 30  # bytes that are read at all
EXTRA = 1 << 24  # bytes that a header may add to the pixels where both are deflated

_GROUP = 0x7FE00008  # the first of the tags that hold pixels
_META = b"\x02\0"  # the group of the file meta information, whose elements tell the transfer syntax
_BARE = {"explicit": EXPLICIT, "implicit": IMPLICIT, "big": BIG_ENDIAN}  # of a file without preamble and without meta
# fmt: off
_OF_A_PICTURE = (
    "TransferSyntaxUID", "SOPClassUID", "Modality", "BodyPartExamined", "PresentationIntentType",
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "LUTDescriptor", "LUTData",
    "PresentationLUTShape", "PresentationLUTSequence",
)
# fmt: on


@dataclass(frozen=True)
class Header:
    """Elements of an object, or of an item in it, as bytes; each is understood when it is asked for."""

    elements: Dataset
    implicit: bool
    little_endian: bool

    def raw(self, keyword: str) -> bytes:
        """Return an element's bytes, none where it is missing."""
        element = self.elements.get_item(_tag(keyword))
        return (element.value or b"") if isinstance(element, RawDataElement) else b""

    def texts(self, keyword: str) -> list[str]:
        """Return an element's texts, one or more, without the spaces around them."""
        text = self.raw(keyword)[:TEXT].decode("ascii", "replace")
        return [part.strip(" \0") for part in text.split("\\")]

    def text(self, keyword: str) -> str:
        """Return an element's first text, "" where it is missing."""
        return self.texts(keyword)[0]

    def integers(self, keyword: str, *, signed: bool = False) -> list[int]:
        """Return an element's 16-bit integers."""
        data = self.raw(keyword)[: 2 * INTEGERS]
        kind = ("<" if self.little_endian else ">") + ("i2" if signed else "u2")
        values: list[int] = np.frombuffer(data[: len(data) // 2 * 2], kind).tolist()
        return values

    def integer(self, keyword: str, default: int, *, signed: bool = False) -> int:
        """Return an element's first 16-bit integer."""
        return next(iter(self.integers(keyword, signed=signed)), default)

    def number(self, keyword: str) -> float | None:
        """Return an element's first decimal number; None where it is missing, or is none."""
        try:
            number = float(self.text(keyword))
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def item(self, keyword: str) -> "Header | None":
        """Return the first item of a sequence."""
        element = self.elements.get_item(_tag(keyword))
        if element is None or not element.value:
            return None
        if isinstance(element, RawDataElement):
            first = read_sequence_item(Limited(element.value), element.is_implicit_VR, self.little_endian, "iso8859")
        else:
            first = element.value[0]
        return Header(first, self.implicit, self.little_endian) if first is not None else None


class Limited(BytesIO):
    """Bytes that can be read a limited number of times: a header of millions of empty items ends there."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > READS:
            raise OSError("too many elements")
        return super().read(size)


def read_header_of(file: Path, keywords: Sequence[str], *, before: int = _GROUP, head: int = HEAD_OF_A_FILE) -> Header:
    """Return the elements of a file's header with these keywords; mostly no more of it is read than they take.

    Args:
        file: The file.
        keywords: As for ``read_header``.
        before: The tag at which the reading ends.
        head: Bytes that are read first; all of the file where the elements go on behind them.

    Raises:
        Exception: As ``read_header``, and OSError.
    """
    with file.open("rb") as stream:
        content = stream.read(head)
        with suppress(Exception):  # as of a header that goes on
            header, _, rest = read_header(content, keywords, before)
            if len(content) < head or rest.tell() < len(content):  # it stands before the tag
                return header
        header, _, _ = read_header(content + stream.read(LARGEST_FILE - head), keywords, before)
        return header


def read_header(
    content: bytes, keywords: Sequence[str] = _OF_A_PICTURE, before: int = _GROUP
) -> tuple[Header, str, Limited]:
    """Return a file's header, its transfer syntax, and a stream that stands before the pixels, or the tag ``before``.

    A file without the preamble and the letters begins with its elements, those of the file meta information or others.
    Of the elements those with ``keywords``, as DICOM's dictionary has them, are kept.

    Raises:
        UnreadableImageError: Where the transfer syntax is none that we read, or the file inflates without end.
        Exception: Any that pydicom meets on damaged bytes; it may quote them.
    """
    _hush()
    stream = Limited(content)
    whole = content.startswith(LETTERS, PREAMBLE)
    if whole or content.startswith(_META):
        stream.seek(HEAD if whole else 0)
        meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        syntax = UID(Header(meta, implicit=False, little_endian=True).text("TransferSyntaxUID") or IMPLICIT)
    else:
        syntax = UID(_BARE[bare_encoding(content) or "implicit"])
    if syntax not in READABLE:
        named = f"transfer syntax {syntax.name}" if syntax.type == "Transfer Syntax" else "private transfer syntax"
        raise UnreadableImageError(f"is a DICOM file in the {named}, which is not read; export it as PNG")
    if syntax == DEFLATED:
        stream = Limited(_inflate(content[stream.tell() :]))
    elements = read_dataset(
        stream,
        is_implicit_VR=syntax == IMPLICIT,
        is_little_endian=syntax != BIG_ENDIAN,
        stop_when=lambda tag, vr, length: tag >= before,
        specific_tags=[_tag(keyword) for keyword in keywords],
    )
    implicit, little_endian = elements.original_encoding  # some files tell another one than they have
    return Header(elements, bool(implicit), bool(little_endian)), syntax, stream


@cache
def _tag(keyword: str) -> int:
    return tag_for_keyword(keyword) or 0


def _hush() -> None:
    """Keep pydicom's warnings, which may quote a header, off the screen and out of logs."""
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
    logging.getLogger("pydicom").disabled = True


def _inflate(data: bytes) -> bytes:
    limit = EXTRA + 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS is not None else 0  # 0: none
    try:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit)
    except zlib.error:
        raise UnreadableImageError("is a damaged DICOM file: it cannot be inflated") from None
    if limit and len(inflated) == limit:
        raise UnreadableImageError(f"is refused as too large: it inflates to {limit:,} bytes or more")
    return inflated
