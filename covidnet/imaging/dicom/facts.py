"""What a DICOM header tells of a radiograph for a table: who it is of under another name, and how it was taken.

No value that says who somebody is comes out: patients and studies get keyed hashes (HMAC, RFC 2104), and a fact in
which such a value stands, as a hospital's name in that of the maker, is left out.
"""

import hmac
import re
from collections.abc import Callable
from pathlib import Path

from covidnet.imaging.dicom.header import Header, read_header_of
from covidnet.imaging.dicom.view import KEYWORDS, view_text

COLUMNS = ("patient", "study", "view", "laterality", "age", "sex", "maker", "body_part")
OLDEST = 90  # years; whoever is older is told as this, as few are (45 CFR 164.514(b)(2)(i)(C))
LETTERS_OF_A_HASH = 20  # of 16: two of a million patients share a name by chance once in 10^12

_HASHED = ("PatientID", "IssuerOfPatientID", "StudyInstanceUID")
_TOLD = (
    *KEYWORDS,
    "ImageLaterality",
    "Laterality",
    "PatientAge",
    "PatientSex",
    "Manufacturer",
    "BodyPartExamined",
)
# fmt: off
_PERSONAL = (  # values that must stand nowhere in a table
    *_HASHED, "PatientName", "PatientBirthDate", "PatientBirthName", "PatientMotherBirthName", "OtherPatientIDs",
    "OtherPatientNames", "PatientAddress", "PatientTelephoneNumbers", "AccessionNumber", "StudyID", "InstitutionName",
    "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber", "SOPInstanceUID",
    "SeriesInstanceUID", "FrameOfReferenceUID", "ReferringPhysicianName", "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy", "OperatorsName", "RequestingPhysician", "MilitaryRank", "EthnicGroup",
)
# fmt: on
_NOBODY = re.compile(
    rb"(?:anon\w*|unknown|none|nan|n/?a|null|no ?name|patient|test|deidentified|removed|[0x\-. ]*)", re.I
)
_TERM = re.compile(r"[A-Z0-9][A-Z0-9 _/-]{0,15}")  # what a code string may be (PS3.5, 6.2)
_MAKER = re.compile(r"[A-Za-z0-9][\w .,&/()+-]{0,63}", re.ASCII)
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_YEARS = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}  # of which so many are a year
_KEPT = (*_TOLD, *_PERSONAL)
_SHORTEST = 3  # letters of a personal value that are looked for in what is told


def read_facts(file: Path, salt: bytes) -> dict[str, str] | str:
    """Return what a DICOM file tells, by COLUMNS, "" where it does not; or why it cannot be read.

    Args:
        file: The file; mostly no more of it is read than its header takes.
        salt: Key of the hashes: the same patient gets the same name under the same salt, and nobody without it can
            try which ID gave a name.
    """
    try:
        header = read_header_of(file, _KEPT)
    except OSError as error:
        return f"cannot be read: {error.strerror or type(error).__name__}"
    # pydicom raises many kinds on damaged or hostile bytes, and quotes them.
    except Exception:
        header = None
    return _facts(header, salt) if header and header.elements else "is no DICOM file that can be understood"


def _facts(header: Header, salt: bytes) -> dict[str, str]:
    def name(*values: bytes) -> str:
        if _NOBODY.fullmatch(values[-1]):
            return ""
        content = b"\0".join(values)
        return hmac.new(salt, content, "sha256").hexdigest()[:LETTERS_OF_A_HASH]

    told = {
        "view": _matching(_TERM, view_text(header).upper()),
        "laterality": _one_of("LRBU", header.text("ImageLaterality") or header.text("Laterality")),
        "age": _age(header.text("PatientAge")),
        "sex": _one_of("FMO", header.text("PatientSex")),
        "maker": _matching(_MAKER, header.text("Manufacturer")),
        "body_part": _matching(_TERM, header.text("BodyPartExamined").upper()),
    }
    betrayed = _betrayed(header)
    return {
        "patient": name(b"patient", _plain(header, "IssuerOfPatientID"), _plain(header, "PatientID")),
        "study": name(b"study", _plain(header, "StudyInstanceUID")),
        **{column: "" if betrayed(value) else value for column, value in told.items()},
    }


def _betrayed(header: Header) -> Callable[[str], bool]:
    """Return what tells whether a text holds a value, or a part of one, that says who somebody is."""
    texts = [text for keyword in _PERSONAL for text in header.texts(keyword)]
    parts = {part for text in texts for part in (text, *re.split(r"[\^=, ]+", text)) if len(part) >= _SHORTEST}
    secret = {part.lower() for part in parts}
    return lambda told: any(part in told.lower() for part in secret)


def _plain(header: Header, keyword: str) -> bytes:
    return header.raw(keyword).strip(b" \0")


def _matching(pattern: re.Pattern[str], text: str) -> str:
    return text if pattern.fullmatch(text) else ""


def _one_of(letters: str, text: str) -> str:
    return text.upper() if len(text) == 1 and text.upper() in letters else ""


def _age(text: str) -> str:
    """Return an age in years, as "45" or, of a child, "0.5"."""
    found = _AGE.fullmatch(text.upper())
    if not found:
        return ""
    years = int(found[1]) / _YEARS[found[2]]
    return f"{min(years, OLDEST):.2g}"
