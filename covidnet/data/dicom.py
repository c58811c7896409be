"""A DICOM object's bytes -> its picture in 8 bits; what is no single chest radiograph is refused by name.

No value of a header goes into a message but numbers and terms of the standard that stand in this file or in pydicom's
dictionary: a name in the wrong place stays out of the logs.
"""

import logging
import math
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame, parse_basic_offsets
from pydicom.filereader import data_element_generator, read_dataset, read_sequence_item
from pydicom.uid import UID

from covidnet.data.dicom_frame import (
    BIG_ENDIAN,
    DEFLATED,
    JPEG,
    JPEG_2000,
    NATIVE,
    READABLE,
    Frame,
    Layout,
    Samples,
    coded_frame,
    native_frame,
)
from covidnet.data.image import Radiograph, UnreadableImageError

PREAMBLE = 128  # bytes before the letters DICM

ACCEPTED = ("CR", "DX", "DR", "RG", "OT", "SC", "HC", "")  # modalities: radiographs, captures, and where none is told
MODALITIES = (  # that a refusal may name
    *("AR", "AU", "BDUS", "BI", "BMD", "CT", "DG", "DOC", "DMS", "ECG", "EPS", "ES", "FID", "GM", "HD", "IO", "IOL"),
    *(
        "IVOCT",
        "IVUS",
        "KER",
        "KO",
        "LEN",
        "LP",
        "LS",
        "M3D",
        "MG",
        "MR",
        "NM",
        "OAM",
        "OCT",
        "OP",
        "OPM",
        "OPR",
        "OPT",
    ),
    *("OPV", "OSS", "PLAN", "PR", "PT", "PX", "REG", "RESP", "RF", "RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD"),
    *("RTSTRUCT", "RWV", "SEG", "SM", "SMR", "SR", "SRF", "STAIN", "TEXTUREMAP", "TG", "US", "VA", "XA", "XC"),
)
CLASSES = (  # SOP classes of projection radiographs and of captures; others that the standard knows are refused
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    *("1.2.840.10008.5.1.4.1.1.7", *(f"1.2.840.10008.5.1.4.1.1.7.{number}" for number in (2, 3, 4))),
)
RAW = "1.2.840.10008.5.1.4.1.1.1.1.1"  # Digital X-Ray Image Storage - For Processing
ELSEWHERE = {  # the body parts that are certainly not the chest, in the standard's terms without spaces
    *("ABDOMEN", "ADRENAL", "ANKLE", "ARM", "BLADDER", "BRAIN", "BREAST", "BUTTOCK", "CALCANEUS", "CALF", "CAROTID"),
    *("CEREBELLUM", "CLAVICLE", "COCCYX", "COLON", "CSPINE", "CTSPINE", "EAR", "ELBOW", "EXTREMITY", "EYE", "FACE"),
    *("FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HEADNECK", "HIP", "HUMERUS", "JAW", "KIDNEY", "KNEE"),
    *("LEG", "LIVER", "LOWERARM", "LOWERLEG", "LSPINE", "LSSPINE", "MANDIBLE", "MAXILLA", "NECK", "NOSE", "ORBIT"),
    *("PANCREAS", "PATELLA", "PELVIS", "PENIS", "PROSTATE", "RADIUS", "RADIUSULNA", "SCAPULA", "SELLA", "SHOULDER"),
    *("SINUS", "SKULL", "SPINE", "SPLEEN", "SSPINE", "STOMACH", "TEETH", "TESTIS", "THIGH", "THUMB", "TIBIAFIBULA"),
    *("TLSPINE", "TMJ", "TOE", "TOOTH", "TSPINE", "ULNA", "UPPERARM", "UPPERLEG", "UTERUS", "WRIST", "ZYGOMA"),
}
MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
OTHER_COLOURS = ("PALETTE COLOR", "HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB")

VALUES = 1 << 16  # that 16 bits can hold
READS = 100_000  # of a header and its items; a real one takes some hundreds
TEXT = 1024  # bytes of a text that are looked at
HEADER = 1 << 24  # bytes that a header may add to the pixels where both are deflated

_PIXELS = 0x7FE00008  # this tag and the next two: floating-point pixels, of two widths, and pixels
_FLOATING = (0x7FE00008, 0x7FE00009)
_TAGS = {
    keyword: tag_for_keyword(keyword) or 0
    for keyword in (
        *("SOPClassUID", "Modality", "BodyPartExamined", "PresentationIntentType", "NumberOfFrames"),
        *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns"),
        *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue"),
        *("PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
        *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "LUTDescriptor", "LUTData"),
        "TransferSyntaxUID",
    )
}


def open_dicom(content: bytes) -> Radiograph:
    """Decode a DICOM file's bytes: "L" for a monochrome object, whatever its bits, else "RGB".

    Stored values go through the modality table or rescaling, then through the first VOI table, or else the first
    window (PS3.3 C.11.1 and C.11.2). Without either, 8 stored bits are taken as they are, and wider ones scaled by
    their own minimum and maximum, padding left out. MONOCHROME1 is inverted. Rounding to 8 bits comes last.

    Raises:
        UnreadableImageError: With the reason.
    """
    try:
        _hush()
        header, syntax, stream = _read_header(content)
        _refuse_other_objects(header)
        layout = _layout(header, syntax)
        frame = _read_frame(stream, header, layout, syntax)
        if layout.samples == 3:
            return Radiograph(Image.fromarray(frame.samples), "RGB")
        return Radiograph(Image.fromarray(_to_grey(frame, header)), "L" if _stored_bits(header, frame) <= 8 else "I;16")
    except UnreadableImageError:
        raise
    # pydicom raises many kinds on damaged or hostile bytes, and quotes them.
    except Exception:
        raise UnreadableImageError("is a damaged DICOM file: its header cannot be understood") from None


def _hush() -> None:
    """Keep pydicom's warnings, which may quote a header, off the screen and out of logs."""
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
    logging.getLogger("pydicom").disabled = True


@dataclass(frozen=True)
class Header:
    """The elements of an object, or of an item in it, as bytes; a value is understood when it is asked for."""

    elements: Dataset
    little_endian: bool = True
    implicit: bool = False

    def raw(self, keyword: str) -> bytes:
        """Return an element's bytes, none where it is missing."""
        element = self.elements.get_item(_TAGS[keyword])
        return (element.value or b"") if isinstance(element, RawDataElement) else b""

    def texts(self, keyword: str) -> list[str]:
        """Return an element's texts, without the spaces around them."""
        text = self.raw(keyword)[:TEXT].decode("ascii", "replace")
        return [part.strip(" \0") for part in text.split("\\")]

    def text(self, keyword: str) -> str:
        """Return an element's first text."""
        return self.texts(keyword)[0]

    def integers(self, keyword: str, *, signed: bool = False) -> list[int]:
        """Return an element's 16-bit integers."""
        data = self.raw(keyword)[: 2 * VALUES]
        kind = ("<" if self.little_endian else ">") + ("i2" if signed else "u2")
        return [int(value) for value in np.frombuffer(data[: len(data) // 2 * 2], kind)]

    def integer(self, keyword: str, default: int, *, signed: bool = False) -> int:
        """Return an element's first 16-bit integer."""
        return next(iter(self.integers(keyword, signed=signed)), default)

    def numbers(self, keyword: str) -> list[float]:
        """Return an element's decimal numbers, none where one of them is none."""
        try:
            numbers = [float(text) for text in self.texts(keyword) if text]
        except ValueError:
            return []
        return numbers if all(map(math.isfinite, numbers)) else []

    def item(self, keyword: str) -> "Header | None":
        """Return the first item of a sequence."""
        element = self.elements.get_item(_TAGS[keyword])
        if isinstance(element, RawDataElement):
            stream = _Stream(element.value or b"")
            first = read_sequence_item(stream, element.is_implicit_VR, element.is_little_endian, "iso8859")
        else:
            first = element.value[0] if element is not None and len(element.value) else None
        return Header(first, self.little_endian, self.implicit) if first is not None else None


class _Stream(BytesIO):
    """Bytes that are read a limited number of times: a header of millions of empty items ends here."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > READS:
            raise OSError("too many elements")
        return super().read(size)


def _read_header(content: bytes) -> tuple[Header, str, _Stream]:
    """Return the header, the transfer syntax, and a stream that stands before the pixels."""
    stream = _Stream(content)
    stream.seek(PREAMBLE + 4)
    meta = Header(read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2))
    syntax = meta.text("TransferSyntaxUID") or NATIVE[0]
    if syntax not in READABLE:
        known = UID(syntax)
        named = f"the transfer syntax {known.name}" if known.type == "Transfer Syntax" else "a private transfer syntax"
        raise UnreadableImageError(f"is a DICOM file in {named}, which is not read; export it as PNG")
    if syntax == DEFLATED:
        stream = _Stream(_inflate(content[stream.tell() :]))
    elements = read_dataset(
        stream,
        is_implicit_VR=syntax == NATIVE[0],
        is_little_endian=syntax != BIG_ENDIAN,
        stop_when=lambda tag, vr, length: tag >= _PIXELS,
        specific_tags=list(_TAGS.values()),
    )
    implicit, little_endian = elements.original_encoding
    return Header(elements, bool(little_endian), bool(implicit)), syntax, stream


def _inflate(data: bytes) -> bytes:
    limit = HEADER + 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS is not None else 0  # 0: none
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, limit)
    except zlib.error:
        raise UnreadableImageError("is a damaged DICOM file: it cannot be inflated") from None
    if limit and len(inflated) == limit:
        raise UnreadableImageError(f"is refused as too large: it inflates to more than {limit:,} bytes")
    return inflated


def _refuse_other_objects(header: Header) -> None:
    modality, kind = header.text("Modality"), UID(header.text("SOPClassUID"))
    if modality not in ACCEPTED:
        named = f"modality {modality}" if modality in MODALITIES else "a modality that the standard does not name"
        raise UnreadableImageError(
            f"is a DICOM object of {named}, not a radiograph ({', '.join(filter(None, ACCEPTED))})"
        )
    if kind == RAW or header.text("PresentationIntentType") == "FOR PROCESSING":
        raise UnreadableImageError(
            "is raw data of a detector (DICOM, for processing), not the picture that is read by radiologists; "
            "take the object for presentation"
        )
    if kind not in CLASSES and kind.type == "SOP Class":
        raise UnreadableImageError(f"is a DICOM object of the kind {kind.name!r}, not a radiograph")
    frames = header.text("NumberOfFrames")
    if frames.isdecimal() and int(frames) > 1:
        raise UnreadableImageError(f"is a DICOM object of {int(frames):,} frames; one radiograph has one")
    part = "".join(letter for letter in header.text("BodyPartExamined").upper() if letter.isalpha())
    if part in ELSEWHERE:
        raise UnreadableImageError(f"is a DICOM object of another part of the body ({part}), not of the chest")


def _layout(header: Header, syntax: str) -> Layout:
    """Return what the header tells of the pixels; refuse what no radiograph has."""
    rows, columns = header.integer("Rows", 0), header.integer("Columns", 0)
    if not rows or not columns:
        raise UnreadableImageError("is a DICOM object without pixels")
    if Image.MAX_IMAGE_PIXELS is not None and rows * columns > Image.MAX_IMAGE_PIXELS:
        raise UnreadableImageError(
            f"is refused as too large: {columns} x {rows} pixels are more than {Image.MAX_IMAGE_PIXELS:,}"
        )
    samples, colours = header.integer("SamplesPerPixel", 1), header.text("PhotometricInterpretation")
    if colours not in (*MONOCHROME, *COLOURS):
        named = f"the colours {colours}" if colours in OTHER_COLOURS else "colours that its header does not name"
        raise UnreadableImageError(f"is a DICOM object in {named}, which are not read; export it as PNG")
    allocated, stored = header.integer("BitsAllocated", 0), _stored_bits(header)
    shift = header.integer("HighBit", stored - 1) + 1 - stored
    if samples != (1 if colours in MONOCHROME else 3) or not 0 < stored + max(shift, 0) <= allocated or shift < 0:
        raise UnreadableImageError(
            f"is a damaged DICOM file: it tells {samples} channels in {colours}, and {stored} bits in {allocated}"
        )
    if allocated not in (8, 16) or (samples == 3 and stored != 8):
        raise UnreadableImageError(
            f"is a DICOM object of {stored} bits in {allocated} in each of {samples} channels, which is not read; "
            "export it as PNG"
        )
    subsampled = colours == "YBR_FULL_422" and syntax not in JPEG
    if subsampled or (colours.startswith("YBR") and syntax in JPEG_2000 and colours not in ("YBR_RCT", "YBR_ICT")):
        raise UnreadableImageError(f"is a DICOM object in the colours {colours}, which are not read; export it as PNG")
    return Layout(rows, columns, samples, allocated, colours, planar=header.integer("PlanarConfiguration", 0) == 1)


def _read_frame(stream: BinaryIO, header: Header, layout: Layout, syntax: str) -> Frame:
    """Read the pixel data at which the stream stands, and decode them."""
    cut = UnreadableImageError("is a truncated DICOM file: its pixels are missing in part or altogether")
    end = stream.seek(0, 1), stream.seek(0, 2)
    stream.seek(end[0])
    if end[0] > end[1]:
        raise cut
    try:
        element = next(data_element_generator(stream, header.implicit, header.little_endian), None)
    except EOFError:
        raise cut from None
    if element is None:
        raise UnreadableImageError("is a DICOM object without pixels, or cut before them")
    if element.tag in _FLOATING:
        raise UnreadableImageError("is a DICOM object of floating-point pixels, which are not read; export it as PNG")
    data = element.value
    if not isinstance(element, RawDataElement) or element.tag not in (0x7FE00010,) or not isinstance(data, bytes):
        raise UnreadableImageError("is a DICOM object without pixels")
    if syntax in NATIVE:
        return native_frame(data, layout, little_endian=header.little_endian, words=element.VR == "OW")
    if element.length != 0xFFFFFFFF and len(data) < element.length:
        raise cut
    if len(offsets := parse_basic_offsets(data)) > 1:
        raise UnreadableImageError(f"is a DICOM object of {len(offsets):,} frames; one radiograph has one")
    return coded_frame(get_frame(_Stream(data), 0, number_of_frames=1), layout, syntax)


def _stored_bits(header: Header, frame: Frame | None = None) -> int:
    """Return how many bits a pixel has: the header's number, or the compressed picture's where that is smaller."""
    told = header.integer("BitsStored", header.integer("BitsAllocated", 0))
    return min(told, frame.precision) if frame is not None and frame.precision else told


def _to_grey(frame: Frame, header: Header) -> NDArray[np.uint8]:
    """Map stored values to grey: through a table of all that 16 bits can hold, one entry a value."""
    signed = header.integer("PixelRepresentation", 0) == 1
    bits = _stored_bits(header, frame)
    codes = np.arange(VALUES)
    if not frame.precision:  # where it was compressed, no stray bits are around the values
        codes = codes >> (header.integer("HighBit", bits - 1) + 1 - bits)
    stored = codes & ((1 << bits) - 1) if signed or not frame.precision else codes
    if signed:
        stored = stored - ((stored >> (bits - 1)) << bits)
    present = _present(frame.samples)
    padding = _is_padding(stored, header, signed=signed)
    if (present & ~padding).any():
        present &= ~padding
    lowest = -(1 << (bits - 1)) if signed else 0
    whole = np.array([lowest, lowest + (1 << bits) - 1], dtype=np.float64)  # what these bits can hold
    with np.errstate(all="ignore"):
        values, limits = (_rescale(numbers, header, signed=signed) for numbers in (stored.astype(np.float64), whole))
        if not np.isfinite(values).all():
            raise UnreadableImageError("is a damaged DICOM file: its rescaling leads beyond all numbers")
        inverted = header.text("PhotometricInterpretation") == "MONOCHROME1"
        grey = _window(values, header, inverted=inverted)
        if grey is None or _is_flat(grey[present]) > _is_flat(
            values[present]
        ):  # a window beside all values shows nothing
            grey = _scale(values, limits if bits == 8 else values[present], inverted=inverted)
        table = np.rint(grey.clip(0, 255)).astype(np.uint8)
    return _look_up(table, frame.samples)


def _rescale(stored: NDArray[np.float64], header: Header, *, signed: bool) -> NDArray[np.float64]:
    """Apply the modality table, or else rescaling."""
    item = header.item("ModalityLUTSequence")
    if item is not None:
        return _table_of(item, stored, signed=signed)[0]
    slope, intercept = (next(iter(header.numbers(f"Rescale{name}")), None) for name in ("Slope", "Intercept"))
    return stored * (slope or 1.0) + (intercept or 0.0)


def _window(values: NDArray[np.float64], header: Header, *, inverted: bool) -> NDArray[np.float64] | None:
    """Return the greys 0 to 255, unrounded, that the object's first VOI table or first window gives; None without."""
    item = header.item("VOILUTSequence")
    if item is not None:
        entries, top = _table_of(item, values, signed=bool((values < 0).any()))
        return (top - entries if inverted else entries) * (255.0 / top)
    center, width = (next(iter(header.numbers(f"Window{name}")), None) for name in ("Center", "Width"))
    function = header.text("VOILUTFunction") or "LINEAR"
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None
    if function == "LINEAR":  # the standard's: from the first value to the last, both included
        center, width = center - 0.5, width - 1
    offsets = center - values if inverted else values - center
    if function == "SIGMOID":
        shares = 1.0 / (1.0 + np.exp(-4.0 * offsets / width))
    else:
        shares = offsets / width + 0.5 if width else np.sign(offsets).clip(0)
    return np.asarray(255.0 * shares)


def _table_of(item: Header, values: NDArray[np.float64], *, signed: bool) -> tuple[NDArray[np.float64], float]:
    """Look values up in a DICOM table; return the entries, and the highest number that an entry may be.

    That number is taken from the entries, for the bits that a table tells of itself are often 16 where 12 are used.
    """
    count, _, bits = item.integers("LUTDescriptor")[:3]
    entries: Samples
    first = item.integers("LUTDescriptor", signed=signed)[1]
    count = count or VALUES
    data = item.raw("LUTData")
    if len(data) < 2 * count and bits <= 8 and len(data) >= count:  # some write 8-bit entries one byte each
        entries = np.frombuffer(data, np.uint8, count)
    else:
        entries = np.array(item.integers("LUTData"), dtype=np.uint16)[:count]
    if len(entries) < count:
        raise UnreadableImageError("is a damaged DICOM file: a table of grey values is shorter than it tells")
    index = np.rint(values.clip(first, first + count - 1) - first).astype(np.intp)
    return entries[index].astype(np.float64), float((1 << max(int(entries.max()).bit_length(), 1)) - 1)


def _scale(values: NDArray[np.float64], limits: NDArray[np.float64], *, inverted: bool) -> NDArray[np.float64]:
    """Scale from [minimum, maximum] of ``limits`` to [0, 255], as images of 16 bits in other formats are."""
    if inverted:
        values, limits = -values, -limits
    low, high = limits.min(), limits.max()
    return (values - low) * (255.0 / (high - low) if high > low else 0.0)


def _is_flat(values: NDArray[np.float64]) -> bool:
    return bool(values.min() == values.max())


def _is_padding(stored: NDArray[np.int64], header: Header, *, signed: bool) -> NDArray[np.bool_]:
    """Tell which stored values stand for no pixel."""
    ends = [
        number
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        for number in header.integers(keyword, signed=signed)[:1]
    ]
    if not header.raw("PixelPaddingValue"):
        return np.zeros(len(stored), dtype=bool)
    return (stored >= min(ends)) & (stored <= max(ends))


def _present(samples: Samples) -> NDArray[np.bool_]:
    """Tell which of all values occur."""
    present = np.zeros(VALUES, dtype=bool)
    for part in _parts(samples):
        present[part] = True
    return present


def _look_up(table: NDArray[np.uint8], samples: Samples) -> NDArray[np.uint8]:
    return np.concatenate([table[part] for part in _parts(samples)]).reshape(samples.shape)


def _parts(samples: Samples) -> list[Samples]:
    """Cut samples in pieces: an index takes eight bytes a pixel while it is used."""
    flat = samples.reshape(-1)
    return [flat[start : start + (1 << 20)] for start in range(0, len(flat), 1 << 20)]
