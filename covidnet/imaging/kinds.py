"""What kind a file is, by its ending and its first bytes: which are read as images, and of the others why not.

Nothing is decoded and nothing heavy imported here, so that a wrong path is told at once. An ending that tells a kind is
believed: a file is opened only where its ending tells nothing, and then its first 132 bytes are read.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HEAD = 132  # bytes that tell a kind; the last four are where a DICOM file has its letters
PREAMBLE = 128  # bytes before them, of any content
LETTERS = b"DICM"


@dataclass(frozen=True)
class Kind:
    """A kind of files.

    Attributes:
        name: As a sentence calls it.
        endings: In small letters; none where only the first bytes tell it.
        why_not: What it is and what to do, after the file's name; "" where it is read.
        pictures: It may hold radiographs, although it is not read.
    """

    name: str
    endings: tuple[str, ...] = ()
    why_not: str = ""
    pictures: bool = False

    @property
    def is_read(self) -> bool:
        """Whether it is read as an image."""
        return not self.why_not


PNG = Kind("PNG", (".png",))
JPEG = Kind("JPEG", (".jpg", ".jpeg", ".jfif", ".jpe"))
WEBP = Kind("WEBP", (".webp",))
TIFF = Kind("TIFF", (".tif", ".tiff"))
BMP = Kind("BMP", (".bmp", ".dib"))
PPM = Kind("PPM", (".pgm", ".ppm", ".pbm", ".pnm"))
GIF = Kind("GIF", (".gif",))  # its first frame
JPEG_2000 = Kind("JPEG 2000", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"))
JPEG_LS = Kind("JPEG-LS", (".jls",))
JPEG_XL = Kind("JPEG XL", (".jxl",))
AVIF = Kind("AVIF", (".avif",))
DICOM = Kind("DICOM", (".dcm", ".dicom", ".dic", ".dc3"))
READ = (PNG, JPEG, WEBP, TIFF, BMP, PPM, GIF, JPEG_2000, JPEG_LS, JPEG_XL, AVIF, DICOM)

HEIC = Kind(
    "HEIC", (".heic", ".heif", ".hif"), "is HEIC, a format of phones that is not read; save it as PNG", pictures=True
)
VOLUME = Kind(
    "volume",
    (".nii", ".mha", ".mhd", ".nrrd", ".hdr"),
    "is a volume of slices (NIfTI and the like), which is not read; save the radiograph in it as 16-bit PNG",
    pictures=True,
)
ARRAY = Kind(
    "array",
    (".npy", ".npz", ".mat", ".h5", ".hdf5", ".tfrecord", ".tfrecords"),
    "is an array of numbers, of which nothing tells black and white; save it as 8- or 16-bit PNG, or give the array to "
    "covidnet.load(RUN).predict",
    pictures=True,
)
RAW = Kind(
    "raw pixels",
    (".raw", ".img", ".dng", ".nef", ".cr2", ".cr3", ".arw"),
    "is raw pixels, which are not read: their size stands elsewhere; save it as 16-bit PNG",
    pictures=True,
)
EDITOR = Kind(
    "picture of another program",
    (".psd", ".xcf", ".tga", ".pcx", ".exr", ".jxr", ".wdp", ".hdp", ".sgi", ".fits", ".qoi", ".djvu"),
    "is a picture in a format that is not read; save it as PNG",
    pictures=True,
)
DRAWING = Kind(
    "drawing", (".svg", ".eps", ".ps", ".ai"), "is a drawing, which is not read: it could start another program"
)
PDF = Kind("PDF", (".pdf",), "is a PDF, a document; save the radiograph in it as PNG")
DOCUMENT = Kind(
    "document", (".doc", ".docx", ".odt", ".ppt", ".pptx", ".rtf"), "is a document; save the radiograph in it as PNG"
)
ARCHIVE = Kind(
    "archive",
    (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"),
    "is an archive, which is not looked into; unpack it",
)
VIDEO = Kind(
    "video",
    (".mp4", ".avi", ".mov", ".mkv", ".wmv", ".mpg", ".mpeg", ".webm"),
    "is a video; a radiograph is one picture",
)
MODEL = Kind(
    "model",
    (".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".onnx", ".safetensors"),
    "is a model or its parts, no image",
)
DICOMDIR = Kind("DICOMDIR", (), "is the index of a DICOM disc, no image; the images lie beside it")
WEB_PAGE = Kind("web page", (), "is a web page or XML, not an image; download it again")
FORK = Kind("resource fork", (), "is a macOS resource fork (AppleDouble), not an image; leave it out")
POINTER = Kind("Git LFS pointer", (), "is a pointer of Git LFS, not an image; fetch the file itself: git lfs pull")
ODD_DICOM = Kind(
    "odd DICOM",
    (),
    "looks like DICOM without the letters DICM that follow the first 128 bytes of a DICOM file, and cannot be "
    "understood; write it anew with dcmconv of DCMTK, or export it as PNG",
    pictures=True,
)
OTHERS = (HEIC, VOLUME, ARRAY, RAW, EDITOR, DRAWING, PDF, DOCUMENT, ARCHIVE, VIDEO, MODEL)
# No image, and nobody expects one: what it is stands in its ending.
TEXTS = (
    *(".txt", ".md", ".rst", ".log", ".csv", ".tsv", ".xls", ".xlsx", ".ods", ".json", ".jsonl", ".ndjson", ".xml"),
    *(".yaml", ".yml", ".htm", ".html", ".ini", ".cfg", ".toml", ".py", ".ipynb", ".parquet", ".db", ".md5", ".sha256"),
)

ENDINGS = tuple(ending for kind in READ for ending in kind.endings)  # of all that is read
_BY_ENDING = {ending: kind for kind in (*READ, *OTHERS) for ending in kind.endings}
_TELL_NOTHING = (".raw", ".img")  # beside all endings that nobody knows: DICOM files are called so too
# Photoshop, GIMP, OpenEXR, JPEG XR, SGI, FITS, QOI, DjVu, PCX, DDS, icons, BPG, FLIF, MNG, JNG, Sun, PAM, colour PFM.
_EDITORS = (
    *(
        b"8BPS",
        b"gimp xcf",
        b"\x76\x2f\x31\x01",
        b"II\xbc",
        b"\x01\xda\0\x01",
        b"\x01\xda\x01\x01",
        b"SIMPLE  =",
        b"qoif",
    ),
    *(
        b"AT&TFORM",
        b"\x0a\x05\x01\x08",
        b"DDS ",
        b"\0\0\x01\0\x01\0",
        b"icns",
        b"BPG\xfb",
        b"FLIF",
        b"\x8aMNG",
        b"\x8bJNG",
    ),
    *(b"\x59\xa6\x6a\x95", b"P7\n", b"PF\n"),
)
_SIGNATURES = (  # where, which bytes, what it is; the first that fits counts
    (PREAMBLE, LETTERS, DICOM),
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"\xff\xd8\xff\xf7", JPEG_LS),  # its frame first
    (0, b"\xff\xd8\xff\xf8", JPEG_LS),  # its parameters first
    (0, b"\xff\xd8\xff", JPEG),
    (8, b"WEBP", WEBP),
    (0, b"II*\0", TIFF),
    (0, b"MM\0*", TIFF),
    (0, b"II+\0\x08\0\0\0", TIFF),
    (0, b"MM\0+\0\x08\0\0", TIFF),
    (0, b"GIF87a", GIF),
    (0, b"GIF89a", GIF),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", JPEG_2000),
    (0, b"\xff\x4f\xff\x51", JPEG_2000),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),
    (0, b"\xff\x0a", JPEG_XL),
    (4, b"ftypavif", AVIF),
    (4, b"ftypavis", AVIF),
    (4, b"ftyphei", HEIC),
    (4, b"ftypmif1", HEIC),
    (4, b"ftyp", VIDEO),
    (0, b"%PDF-", PDF),
    (0, b"PK\x03\x04", ARCHIVE),
    (0, b"\x1f\x8b", ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (0, b"Rar!\x1a", ARCHIVE),
    (0, b"\x93NUMPY", ARRAY),
    (0, b"\x89HDF\r\n", ARRAY),
    (0, b"\x5c\x01\0\0", VOLUME),  # the length of a NIfTI header
    (0, b"NRRD0", VOLUME),
    (0, b"ObjectType", VOLUME),
    (0, b"MATLAB ", ARRAY),
    (0, b"BZh", ARCHIVE),
    (0, b"\xfd7zXZ\0", ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", ARCHIVE),
    (8, b"AVI LIST", VIDEO),
    (0, b"\x1a\x45\xdf\xa3", VIDEO),
    (0, b"{\\rtf", DOCUMENT),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", DOCUMENT),
    *((0, signature, EDITOR) for signature in _EDITORS),
    (0, b"version https://git-lfs", POINTER),
    (0, b"%!PS", DRAWING),
    (0, b"\0\x05\x16\x07", FORK),
)
_JPEG_LS = re.compile(rb"\xff\xd8\xff\xe8..SPIFF\0.{14}\x06", re.DOTALL)  # in a SPIFF, which may hold others too
_BMP = re.compile(rb"BM....\0\0\0\0", re.DOTALL)
_PPM = re.compile(rb"P[1-6f]\s+(?:#[^\n]*\n\s*)*\d+\s")
# The value representations whose lengths have four bytes.
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_FIRST_GROUPS, _LAST_GROUP = (0x0002, 0x0008), 0x0028  # of a data set's first element; of its second, at most


def kind_of(path: Path) -> Kind:
    """Return what a file is; it is opened where its ending tells nothing."""
    ending = path.suffix.lower()
    known = VOLUME if path.name.lower().endswith(".nii.gz") else _BY_ENDING.get(ending)
    if known and ending not in _TELL_NOTHING:
        return known
    if ending in TEXTS:
        return _no_image(ending)
    if path.name.upper() == DICOMDIR.name:
        return DICOMDIR
    try:
        head = _head(path)
    except OSError as error:
        return Kind("closed", (), f"cannot be opened ({error.strerror or error})", pictures=True)
    if head is None:
        return Kind("no file", (), "is no plain file")
    return kind_of_content(head) or known or _no_image(ending)


def kind_of_content(content: bytes) -> Kind | None:
    """Return what a file's bytes are, or the first 132 of them; None where they tell nothing."""
    if _JPEG_LS.match(content):
        return JPEG_LS
    for place, signature, kind in _SIGNATURES:
        if content.startswith(signature, place):
            return kind
    if _BMP.match(content):
        return BMP
    if _PPM.match(content):
        return PPM
    if bare_encoding(content):
        return DICOM
    if content[:1] in (b"\x02", b"\x08") and content[1:2] == content[3:4] == b"\0":
        return ODD_DICOM
    return WEB_PAGE if content[:256].lstrip()[:1] == b"<" else None


def is_dicom(content: bytes) -> bool:
    """Tell a DICOM file, with or without its preamble."""
    return content.startswith(LETTERS, PREAMBLE) or bare_encoding(content) is not None


def bare_encoding(content: bytes) -> str | None:
    """Return how the elements of a DICOM file without its preamble are written; None where it is no such file.

    Its first two elements must be of low groups, and in order: "explicit", "implicit" (both little-endian) or "big"
    (explicit too). A file that begins with the file meta information is "explicit", whatever it says that follows.
    """
    order: Literal["little", "big"] = "little" if content[1:2] == b"\0" else "big"
    first = _tag(content, order)
    if first[0] not in _FIRST_GROUPS:
        return None
    explicit = content[4:6].isalpha() and content[4:6].isupper()
    if explicit and content[4:6] in _LONG:
        value, length = 12, content[8:12]
    elif explicit:
        value, length = 8, content[6:8]
    elif order == "little":
        value, length = 8, content[4:8]
    else:  # there is no implicit big-endian
        return None
    second = content[value + int.from_bytes(length, order) :][:4]
    if len(second) < 4 or not first < _tag(second, order) < (_LAST_GROUP + 1, 0):
        return None
    return "big" if order == "big" else "explicit" if explicit else "implicit"


def why_not(content: bytes) -> str | None:
    """Return what a file's bytes are that are no image which is read, and what to do; None where that is not known."""
    kind = kind_of_content(content)
    return kind.why_not or None if kind else None


def _tag(content: bytes, order: Literal["little", "big"]) -> tuple[int, int]:
    return int.from_bytes(content[:2], order), int.from_bytes(content[2:4], order)


def _no_image(ending: str) -> Kind:
    """Return the kind of files that are no images; a number behind a dot is the end of a name."""
    told = "no ending" if not ending else "no known ending" if ending[1:].isdecimal() else ending
    return Kind("other", (), f"is no image ({told})")


def _head(path: Path) -> bytes | None:
    """Return a file's first bytes; None of a pipe, which would never end, and of what else is no plain file."""
    if not path.is_file():
        return None
    with path.open("rb", buffering=0) as file:
        return file.read(HEAD)
