"""A DICOM file's bytes -> its picture in 8 bits; what is no single chest radiograph is refused by name.

No value of a header goes into a message but numbers, and terms that stand in this file or in pydicom's dictionary: a
name in the wrong place stays out of the logs.
"""

from os import SEEK_END

from PIL import Image
from pydicom.dataelem import RawDataElement
from pydicom.encaps import generate_fragments, parse_basic_offsets
from pydicom.filereader import data_element_generator
from pydicom.uid import UID

from covidnet.imaging.dicom.frame import JPEG, JPEG_2000, NATIVE, RLE, Frame, Layout, coded_frame, native_frame
from covidnet.imaging.dicom.grey import stored_bits, to_grey
from covidnet.imaging.dicom.header import Header, Limited, read_header
from covidnet.imaging.kinds import LETTERS, ODD_DICOM, PREAMBLE
from covidnet.imaging.radiograph import BodyPart, Radiograph, UnreadableImageError

MODALITIES = ("CR", "DX", "DR", "RG", "OT", "SC", "HC", "")  # radiographs, captures, and where none is told
# fmt: off
OTHER_MODALITIES = (  # that a refusal may name
    "BMD", "CT", "DOC", "ECG", "ES", "GM", "IO", "IVUS", "KO", "MG", "MR", "NM", "OCT", "OP", "OPT", "PR", "PT",
    "PX", "REG", "RF", "RTDOSE", "RTIMAGE", "RTPLAN", "RTSTRUCT", "SEG", "SM", "SR", "US", "XA", "XC",
)
# fmt: on
CLASSES = (  # of radiographs and captures; the others that the standard knows are refused
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
    *(f"1.2.840.10008.5.1.4.1.1.7.{number}" for number in (2, 3, 4)),
)
RAW = "1.2.840.10008.5.1.4.1.1.1.1.1"  # Digital X-Ray Image Storage - For Processing
# fmt: off
ELSEWHERE = {  # parts of the body that are certainly not the chest, in the standard's terms
    "ABDOMEN", "ANKLE", "ARM", "BLADDER", "BRAIN", "BREAST", "BUTTOCK", "CALCANEUS", "CALF", "CLAVICLE", "COCCYX",
    "COLON", "CSPINE", "ELBOW", "EXTREMITY", "EYE", "FACE", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD",
    "HEADNECK", "HIP", "HUMERUS", "JAW", "KIDNEY", "KNEE", "LEG", "LIVER", "LOWERARM", "LOWERLEG", "LSPINE",
    "LSSPINE", "MANDIBLE", "MAXILLA", "NECK", "NOSE", "ORBIT", "PATELLA", "PELVIS", "RADIUS", "RADIUSULNA",
    "SCAPULA", "SHOULDER", "SINUS", "SKULL", "SPINE", "SSPINE", "STOMACH", "TEETH", "THIGH", "THUMB", "TIBIA",
    "TIBIAFIBULA", "TLSPINE", "TMJ", "TOE", "TSPINE", "ULNA", "UPPERARM", "UPPERLEG", "WRIST", "ZYGOMA",
}
# fmt: on
MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
OTHER_COLOURS = ("PALETTE COLOR", "HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB")

STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")  # of a JPEG or JPEG-LS, and of a JPEG 2000

_PIXELS, _UNKNOWN_LENGTH = 0x7FE00010, 0xFFFFFFFF
_FLOATING_POINT = (0x7FE00008, 0x7FE00009)


def open_dicom(content: bytes, body_part: BodyPart = "chest") -> Radiograph:
    """Decode a DICOM file's bytes to "L", or to "RGB" where it is coloured; `to_grey` tells which greys.

    The mode is "I;16" where more than 8 bits were stored. ``body_part`` "any" believes no BodyPartExamined.

    Raises:
        UnreadableImageError: With the reason.
    """
    try:
        header, syntax, stream = read_header(content)
        _refuse_other_objects(header)
        if body_part != "any":
            _refuse_other_parts(header)
        layout = _layout(header, syntax)
        frame = _read_frame(stream, header, layout, syntax)
        if layout.samples == 3:
            return Radiograph(Image.fromarray(frame.samples), "RGB")
        mode = "L" if stored_bits(header, frame.precision) <= 8 else "I;16"
        return Radiograph(Image.fromarray(to_grey(frame, header)), mode)
    except UnreadableImageError:
        raise
    # pydicom raises many kinds on damaged or hostile bytes, and quotes them.
    except Exception:
        damaged = "is a damaged DICOM file: it cannot be understood"
        raise UnreadableImageError(damaged if content.startswith(LETTERS, PREAMBLE) else ODD_DICOM.why_not) from None


def _refuse_other_objects(header: Header) -> None:
    modality, kind = header.text("Modality"), UID(header.text("SOPClassUID"))
    if modality not in MODALITIES:
        named = f"modality {modality}" if modality in OTHER_MODALITIES else "another modality"
        known = ", ".join(filter(None, MODALITIES))
        raise UnreadableImageError(f"is a DICOM object of {named}, not a radiograph or a capture of one ({known})")
    if kind == RAW or header.text("PresentationIntentType") == "FOR PROCESSING":
        raise UnreadableImageError(
            "is a detector's raw data (DICOM, for processing), not the picture that radiologists see; take the object "
            "for presentation"
        )
    if kind not in CLASSES and kind.type == "SOP Class":
        raise UnreadableImageError(f"is a DICOM object of the kind {kind.name!r}, not a radiograph")
    frames = header.text("NumberOfFrames")
    if frames.isdecimal() and int(frames) > 1:
        raise _several(int(frames))


def _refuse_other_parts(header: Header) -> None:
    part = "".join(letter for letter in header.text("BodyPartExamined").upper() if letter.isalpha())
    if part in ELSEWHERE:
        raise UnreadableImageError(
            f"is a DICOM object that shows another part of the body, {part}, not the chest; where its header is wrong, "
            "insist: data.body_part=any, or --body-part any"
        )


def _layout(header: Header, syntax: str) -> Layout:
    """Return what the header tells of the pixels; refuse what is not read."""
    rows, columns = header.integer("Rows", 0), header.integer("Columns", 0)
    if not rows or not columns:
        raise UnreadableImageError("is a DICOM object without pixels")
    if Image.MAX_IMAGE_PIXELS is not None and rows * columns > Image.MAX_IMAGE_PIXELS:
        raise UnreadableImageError(
            f"is refused as too large: {columns} x {rows} pixels are more than {Image.MAX_IMAGE_PIXELS:,}"
        )
    samples, colours = header.integer("SamplesPerPixel", 1), header.text("PhotometricInterpretation")
    unread = colours in OTHER_COLOURS
    unread |= colours == "YBR_FULL_422" and syntax not in JPEG  # where two pixels share colours
    unread |= colours.startswith("YBR_FULL") and syntax in JPEG_2000  # which has its own
    if unread or colours not in (*MONOCHROME, *COLOURS):
        named = f"the colours {colours}" if unread else "colours that its header does not name"
        raise UnreadableImageError(f"is a DICOM object in {named}, which are not read; export it as PNG")
    allocated, stored = header.integer("BitsAllocated", 0), stored_bits(header)
    if allocated not in (8, 16) or (samples == 3 and stored != 8):
        raise UnreadableImageError(
            f"is a DICOM object of {samples} channels of {stored} bits in {allocated}, which is not read; export it as "
            "PNG"
        )
    high = header.integer("HighBit", stored - 1)
    if samples != (1 if colours in MONOCHROME else 3) or not 0 < stored <= high + 1 <= allocated:
        raise UnreadableImageError(
            f"is a damaged DICOM file: its header tells {samples} channels in {colours}, of {stored} bits that end at "
            f"bit {high} of {allocated}"
        )
    planar = header.integer("PlanarConfiguration", 0)
    if samples == 3 and planar not in (0, 1):
        raise UnreadableImageError(
            f"is a damaged DICOM file: its PlanarConfiguration is {planar}, not 0 (pixel by pixel) or 1 (by plane)"
        )
    return Layout(rows, columns, samples, allocated, colours, planar=planar == 1)


def _read_frame(stream: Limited, header: Header, layout: Layout, syntax: str) -> Frame:
    """Read the pixels before which the stream stands, and decode them."""
    cut = UnreadableImageError("is a truncated DICOM file: its pixels are missing, in part or altogether")
    here, end = stream.tell(), stream.seek(0, SEEK_END)
    stream.seek(here)
    if here > end:  # an element of the header is longer than the file
        raise cut
    try:
        element = next(data_element_generator(stream, header.implicit, header.little_endian), None)
    except EOFError:
        raise cut from None
    if element is not None and element.tag in _FLOATING_POINT:
        raise UnreadableImageError("is a DICOM object of floating-point pixels, which are not read; export it as PNG")
    if not isinstance(element, RawDataElement) or element.tag != _PIXELS or not element.value:
        raise UnreadableImageError("is a DICOM object without pixels, or cut before them")
    data = element.value
    if syntax in NATIVE and element.length == _UNKNOWN_LENGTH:  # not compressed, as it says
        raise UnreadableImageError(
            "is a DICOM object of compressed pixels whose header does not tell how (its transfer syntax is missing or "
            "wrong); write it anew with dcmconv of DCMTK, or export it as PNG"
        )
    if syntax in NATIVE:
        return native_frame(data, layout, little_endian=header.little_endian, words=element.VR == "OW")
    if element.length not in (_UNKNOWN_LENGTH, len(data)):
        raise cut
    pieces = Limited(data)
    offsets = parse_basic_offsets(pieces)
    fragments = list(generate_fragments(pieces))
    begun = sum(fragment.startswith(STARTS) for fragment in fragments)  # pictures: each may have several fragments
    frames = max(len(offsets), begun, len(fragments) if syntax == RLE else 0)
    if frames > 1:  # whatever the header tells of their number
        raise _several(frames)
    return coded_frame(b"".join(fragments), layout, syntax)


def _several(frames: int) -> UnreadableImageError:
    return UnreadableImageError(f"is a DICOM object of {frames:,} frames; a radiograph has one")
