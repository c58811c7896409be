"""How a file tells that its picture is to be turned: the orientation of EXIF (CIPA DC-008), or of XMP in its place."""

from PIL import ExifTags, Image

METHODS = {  # by the number in the file, as `PIL.ImageOps.exif_transpose` has them
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MOST_CHUNKS = 20_000  # of a PNG that are looked at; of one with more Pillow has the word
_TELLING = {b"eXIf": b"", b"zTXt": b"Raw profile type ", b"tEXt": b"Raw profile type ", b"iTXt": b"XML:com.adobe.xmp"}


def turn_upright(image: Image.Image) -> Image.Image:
    """Return a loaded picture as its file says that it is to be shown.

    Pillow has turned a TIFF already, and taken the number away.
    """
    method = METHODS.get(told_orientation(image))
    return image if method is None else image.transpose(method)


def told_orientation(image: Image.Image) -> int:
    """Return the number in the file, 1 where none is told; what cannot be understood tells none."""
    try:
        told = image.getexif().get(ExifTags.Base.Orientation, 1)
    # Damaged EXIF makes Pillow raise many kinds; the picture may be whole all the same.
    except Exception:
        return 1
    return told if isinstance(told, int) and told in METHODS else 1


def png_may_turn(content: bytes) -> bool:
    """Tell whether a PNG has a chunk that may tell an orientation; the chunks alone are looked at, no pixel."""
    at = 8
    for _ in range(MOST_CHUNKS):
        kind = content[at + 4 : at + 8]
        if len(kind) < 4:
            return False
        if kind in _TELLING and content.startswith(_TELLING[kind], at + 8):
            return True
        at += 12 + int.from_bytes(content[at : at + 4])
    return True
