"""The view that a DICOM header tells: by ViewPosition, or by a code that says the same."""

from pathlib import Path

from covidnet.imaging.dicom.header import Header, read_header_of

KEYWORDS = ("ViewPosition", "ViewCodeSequence")
# Codes of SNOMED CT, and as SNOMED RT wrote them, of the views that chests have (DICOM PS3.16, CID 4010).
_CODES = {
    **dict.fromkeys(("272479007", "R-40888"), "PA"),
    **dict.fromkeys(("399348003", "R-10206"), "AP"),
    **dict.fromkeys(("399033003", "R-10202"), "FRONTAL"),
    **dict.fromkeys(("399067008", "R-102CD", "399173006", "R-10236", "399198007", "R-10232"), "LATERAL"),
    **dict.fromkeys(("399182000", "R-102C1", "399135007", "R-10220", "399356000", "R-40985"), "OBLIQUE"),
}
_AFTER = 0x00540221  # the first tag behind both
_HEAD = 1 << 14  # bytes of a file that are read first: of nearly every header they hold both


def view_text(header: Header) -> str:
    """Return a view as a header writes it: a position, or the name of a code; "" where none stands there.

    It is a stranger's text, which may say who somebody is.
    """
    position = header.text("ViewPosition")
    code = None if position else header.item("ViewCodeSequence")
    return position or (code and (_CODES.get(code.text("CodeValue")) or code.text("CodeMeaning"))) or ""


def read_view_text(file: Path) -> str:
    """Return the view in the header of a DICOM file, "" also where the file cannot be understood; as ``view_text``."""
    try:
        return view_text(read_header_of(file, KEYWORDS, before=_AFTER, head=_HEAD))
    # pydicom raises many kinds on damaged or hostile bytes; what is wrong with the file, its decoding tells.
    except Exception:
        return ""
