"""How large the picture in a file is: from its head, no pixel is decoded."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from covidnet.imaging.coded import jpeg_size, jpeg_xl_size
from covidnet.imaging.decode import read
from covidnet.imaging.kinds import DICOM, HEAD, JPEG_LS, JPEG_XL, kind_of_content
from covidnet.imaging.opened import FORMATS
from covidnet.imaging.radiograph import UnreadableImageError


def size_of(file: Path) -> tuple[int, int]:
    """Return width and height in pixels.

    Raises:
        UnreadableImageError: Where the file tells none.
        OSError: Where it cannot be opened.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            return image.size
    except UnidentifiedImageError:
        size = _told(file)
    if size is None:
        raise UnreadableImageError("tells no size")
    return size


def _told(file: Path) -> tuple[int, int] | None:
    """Return what a file of a kind that Pillow does not know tells of its size."""
    with file.open("rb") as stream:
        kind = kind_of_content(stream.read(HEAD))
    if kind is DICOM:
        from covidnet.imaging.dicom.header import read_header_of  # where none is met, pydicom is not waited for

        try:
            header = read_header_of(file, ("Rows", "Columns"))
        except Exception:  # pydicom raises many kinds on damaged or hostile bytes
            return None
        width, height = header.integer("Columns", 0), header.integer("Rows", 0)
        return (width, height) if width and height else None
    if kind is JPEG_LS:
        coded = jpeg_size(read(file))
        return coded and (coded.columns, coded.rows)
    return jpeg_xl_size(read(file)) if kind is JPEG_XL else None
