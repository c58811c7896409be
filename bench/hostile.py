"""Uploads that mean no good, or went wrong on the way: the same ones for the same seed."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, JPEGBaseline8Bit

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
SIDE = 64
PNG = b"\x89PNG\r\n\x1a\n"


def uploads(number: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield so many times what it is and its bytes."""
    rng = np.random.default_rng(seed)
    kinds = list(KINDS.items())
    for place in range(number):
        name, make = kinds[place % len(kinds)]
        yield name, make(rng)


def good(rng: np.random.Generator) -> bytes:
    """Return an image in one of the formats, as a decent client sends it."""
    content = io.BytesIO()
    grey = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    kind = rng.integers(len(FORMATS) + 1)
    if kind == len(FORMATS):
        return dicom(grey)
    Image.fromarray(grey).save(content, FORMATS[kind])
    return content.getvalue()


def dicom(grey: NDArray[np.uint8], jpeg: bytes | None = None, **elements: str | int) -> bytes:
    """Return grey values (H, W) as a radiograph in DICOM, with or instead of the usual elements the given ones.

    Where a JPEG is given, its bytes are the pixels.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    height, width = grey.shape
    described: dict[str, str | int] = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "Rows": height,
        "Columns": width,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        **elements,
    }
    dataset = Dataset()
    dataset.file_meta = meta
    for keyword, value in described.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = encapsulate([jpeg]) if jpeg else grey.tobytes()
    dataset["PixelData"].VR = "OB"
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def dicom_bomb(rng: np.random.Generator) -> bytes:
    """A DICOM file that claims up to 65,535 x 65,535 pixels."""
    return dicom(np.zeros((8, 8), dtype=np.uint8), Rows=int(rng.integers(9_000, 65_536)), Columns=65_535)


def truncated(rng: np.random.Generator) -> bytes:
    """An image that ends too early."""
    content = good(rng)
    return content[: rng.integers(1, len(content))]


def flipped(rng: np.random.Generator) -> bytes:
    """An image with some wrong bytes."""
    content = bytearray(good(rng))
    for place in rng.integers(0, len(content), rng.integers(1, 20)):
        content[place] = rng.integers(256)
    return bytes(content)


def flipped_head(rng: np.random.Generator) -> bytes:
    """An image with wrong bytes in its header."""
    content = bytearray(good(rng))
    for place in rng.integers(0, min(len(content), 120), 4):
        content[place] = rng.integers(256)
    return bytes(content)


def noise(rng: np.random.Generator) -> bytes:
    """Random bytes, or none."""
    return rng.bytes(rng.integers(0, 100_000))


def noise_behind_a_signature(rng: np.random.Generator) -> bytes:
    """Random bytes that begin as an image does."""
    signatures = (PNG, b"\xff\xd8\xff\xe0", b"II*\x00\x08\x00\x00\x00", b"MM\x00*", b"RIFF\xff\xff\xff\x7fWEBPVP8X")
    others = (b"BM", b"RIFF\x20\x00\x00\x00WEBPVP8L", b"\x00" * 128 + b"DICM", b"II+\x00\x08\x00\x00\x00")
    later = (b"\xff\x0a", b"\xff\xd8\xff\xf7\x00\x0b\x08", b"\x08\0\x05\0CS\x02\0IR\x08\0\x16\0UI\x02\0")
    both = signatures + others + later
    return both[rng.integers(len(both))] + rng.bytes(rng.integers(0, 5_000))


def another_type(rng: np.random.Generator) -> bytes:
    """Files of other types, some of which other programs would run."""
    types = (
        b"<!doctype html><script>alert(1)</script>",
        b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch hostile) (w) file\nshowpage\n",
        b"%PDF-1.7\n",
        b"PK\x03\x04" + rng.bytes(200),
        b"GIF89a\xff\xff\xff\xff\x00\x00\x00;",
        b"\x7fELF" + rng.bytes(200),
        b"P3 60000 60000 255 " + b"1 " * 500,
        b"{}",
        b"path,label\n",
    )
    return types[rng.integers(len(types))]


def png_bomb(rng: np.random.Generator) -> bytes:
    """A PNG of up to 65,000 x 65,000 zeros, or one that only says so."""
    side = int(rng.integers(7_000, 65_000))
    rows = zlib.compress(bytes(int(rng.integers(1, 40)) * 1_000_000), 9)
    return _png(_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), _chunk(b"IDAT", rows))


def png_text_bomb(rng: np.random.Generator) -> bytes:
    """A small PNG with compressed texts of many megabytes."""
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20_000_000), 9))
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    return _png(head, *[text] * int(rng.integers(1, 20)), _chunk(b"IDAT", zlib.compress(bytes(72))))


def large_head(rng: np.random.Generator) -> bytes:
    """Megabytes of metadata before a few pixels, or before none."""
    size = int(rng.integers(100_000, 3_000_000))
    if rng.integers(2):
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
        return _png(head, _chunk(b"tEXt", b"a\0" + bytes(size)), _chunk(b"IDAT", zlib.compress(bytes(72))))
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + rng.bytes(65_533)
    return b"\xff\xd8" + segment * (size // 65_535 + 1)


def tiff_bomb(rng: np.random.Generator) -> bytes:
    """A TIFF of a few bytes that claims a huge image or huge tiles."""
    large, small = int(rng.integers(20_000, 2**31)), int(rng.integers(1, 64))
    side, tile = (large, small) if rng.integers(2) else (small, large)
    tags = [(256, side), (257, side), (258, 8), (259, 8), (262, 1), (277, 1)]
    tags += [(322, tile), (323, tile), (324, 8), (325, 1_000)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(tags)) + entries + bytes(4) + rng.bytes(1_000)


def webp_bomb(rng: np.random.Generator) -> bytes:
    """A WEBP of a few bytes that claims up to 2^24 pixels a side."""
    side = int(rng.integers(10_000, 2**24)).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + side + side
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def jpeg_scans(rng: np.random.Generator) -> bytes:
    """A progressive JPEG whose last scan is repeated thousands of times."""
    content = io.BytesIO()
    Image.new("L", (2_000, 2_000), 128).save(content, "JPEG", progressive=True)
    whole = content.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * int(rng.integers(200, 2_000)) + b"\xff\xd9"


def dicom_scans(rng: np.random.Generator) -> bytes:
    """Such a JPEG in a DICOM file."""
    return dicom(np.zeros((2_000, 2_000), dtype=np.uint8), jpeg_scans(rng))


def png_chunks(rng: np.random.Generator) -> bytes:
    """A small PNG of some 100,000 empty chunks, before its pixels or behind them."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 0, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(bytes(136)))
    many = _chunk(b"abCd", b"") * int(rng.integers(50_000, 200_000))
    return _png(head, many, pixels) if rng.integers(2) else _png(head, pixels, many)


def jpeg_segments(rng: np.random.Generator) -> bytes:
    """A JPEG of some 100,000 empty comments."""
    return b"\xff\xd8" + b"\xff\xfe\x00\x02" * int(rng.integers(100_000, 500_000))


def deflated_dicom(rng: np.random.Generator) -> bytes:
    """A DICOM file whose body is megabytes of deflated zeros."""
    syntax = b"1.2.840.10008.1.2.1.99"
    meta = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(syntax)) + syntax
    head = b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(meta))
    packer = zlib.compressobj(9, wbits=-15)
    return bytes(128) + b"DICM" + head + meta + packer.compress(bytes(50_000_000)) + packer.flush()


KINDS: dict[str, Callable[[np.random.Generator], bytes]] = {
    make.__name__: make
    for make in (
        truncated,
        flipped,
        flipped_head,
        noise,
        noise_behind_a_signature,
        another_type,
        png_bomb,
        png_text_bomb,
        large_head,
        tiff_bomb,
        webp_bomb,
        jpeg_scans,
        dicom_bomb,
        dicom_scans,
        deflated_dicom,
        png_chunks,
        jpeg_segments,
    )
}


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(*chunks: bytes) -> bytes:
    return PNG + b"".join(chunks) + _chunk(b"IEND", b"")
