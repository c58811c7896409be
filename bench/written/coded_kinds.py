"""The kinds of compressed pictures that are written: by encoders, from known pixels."""

import io
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from bench.written.bits import Samples, in_range
from bench.written.shown import NARROW, Make, Written, scaled, shares, shown_of


def coded() -> Iterator[tuple[str, Make]]:
    """Yield JPEG, JPEG-LS, JPEG XL, JPEG 2000 (in boxes of our own too), AVIF, and files of several frames."""
    for bits in (8, 10, 12, 16):
        for channels in (0, 3):
            yield f"JPEG 2000 {bits} bits, {channels or 1} channels", _jpeg_2000(bits, channels, "JP2")
            yield f"JPEG 2000 stream {bits} bits, {channels or 1} channels", _jpeg_2000(bits, channels, "J2K")
            yield f"JPEG XL {bits} bits, {channels or 1} channels", _jpeg_xl(bits, channels)
    for bits in (1, 2, 4):
        yield f"JPEG 2000 {bits} bits", _jpeg_2000(bits, 0, "JP2")
    for bits in (8, 16):
        yield f"JPEG 2000 signed {bits} bits", lambda rng, bits=bits: _signed_jpeg_2000(rng, bits)
        yield f"JPEG 2000 {bits} bits with alpha", _jpeg_2000(bits, 4, "JP2")
        yield f"JPEG-LS {bits} bits", lambda rng, bits=bits: _jpeg_ls(rng, bits, 0)
        yield f"JPEG-LS {bits} bits, 3 channels", lambda rng, bits=bits: _jpeg_ls(rng, bits, 3)
    for channels in (0, 3):
        yield f"JPEG 2000 12 in 16, {channels or 1} channels", _jpeg_2000(16, channels, "JP2", NARROW)
        yield f"JPEG XL 12 in 16, {channels or 1} channels", _jpeg_xl(16, channels, NARROW)
    yield "JPEG-LS 12 bits", lambda rng: _jpeg_ls(rng, 12, 0)
    yield "JPEG XL floats", lambda rng: _jpeg_xl_floats(rng)
    for channels in (2, 4):
        yield f"JPEG XL with alpha, {channels} channels", _jpeg_xl(8, channels)
    for kind in ("GIF", "WEBP"):
        yield f"{kind} of frames", lambda rng, kind=kind: _animated(rng, kind)
    for bits in (1, 2, 4, 7):
        for channels in (0, 3):
            yield f"JPEG XL {bits} bits, {channels or 1} channels", _jpeg_xl(bits, channels)
    for bits in (3, 8, 12, 16):
        yield f"JPEG without losses {bits} bits", lambda rng, bits=bits: _lossless_jpeg(rng, bits)
    for stored in ("RGB", "YCbCr"):
        yield f"JPEG of {stored}", lambda rng, stored=stored: _colour_jpeg(stored)
    yield "JPEG 12 bits", lambda rng: _deep_jpeg()
    yield "JPEG of CMYK", lambda rng: _cmyk_jpeg()
    for name, told in _BOXES.items():
        yield f"JPEG 2000 whose boxes tell {name}", lambda rng, told=told: _boxed(rng, **told)
    yield "PNG of frames", lambda rng: _animated(rng, "PNG")
    yield "WEBP with alpha", lambda rng: _webp_with_alpha(rng)
    for bits in (8, 10, 12):
        yield f"AVIF {bits} bits", lambda rng, bits=bits: _avif(rng, bits)


_BOXES: dict[str, dict[str, Any]] = {
    "grey": {"channels": 0, "space": 17},
    "RGB": {"channels": 3},
    "YCbCr": {"channels": 3, "space": 18, "known": False},
    "blue first": {"channels": 3, "order": [(0, 0, 3), (1, 0, 2), (2, 0, 1)], "known": False},
    "RGB in order": {"channels": 3, "order": [(0, 0, 1), (1, 0, 2), (2, 0, 3)]},
    "alpha": {"channels": 4, "order": [(0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 1, 0)]},
    "premultiplied alpha": {"channels": 4, "order": [(0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 2, 0)], "known": False},
    "fewer bits than there are": {"channels": 0, "space": 17, "bits": 16, "told": 8, "known": False},
    "more channels than there are": {"channels": 0, "count": 3, "known": False},
    "a palette": {"channels": 0, "palette": True, "known": False},
}


def _boxed(
    rng: np.random.Generator,
    channels: int,
    *,
    space: int = 16,
    order: Sequence[tuple[int, int, int]] = (),
    bits: int = 8,
    told: int = 0,
    count: int = 0,
    palette: bool = False,
    known: bool = True,
) -> Written:
    """Return a JPEG 2000 stream in boxes that tell this of it (ISO/IEC 15444-1, annex I)."""
    samples = in_range(shares(rng, channels), bits, "u")
    stream = bytes(imagecodecs.jpeg2k_encode(_typed(samples, bits), codecformat="J2K", level=0, mct=False))
    size = struct.pack(">II", *samples.shape[:2])
    header = _box(b"ihdr", size + struct.pack(">HBBBB", count or channels or 1, (told or bits) - 1, 7, 0, 0))
    header += _box(b"colr", struct.pack(">BBBI", 1, 0, 0, space))
    if palette:
        entries = rng.integers(0, 256, (256, 3)).astype(np.uint8).tobytes()
        header += _box(b"pclr", struct.pack(">HB", 256, 3) + b"\7" * 3 + entries)
        header += _box(b"cmap", b"".join(struct.pack(">HBB", 0, 1, column) for column in range(3)))
    if order:
        header += _box(b"cdef", struct.pack(">H", len(order)) + b"".join(struct.pack(">HHH", *one) for one in order))
    content = _box(b"jP  ", b"\r\n\x87\n") + _box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    content += _box(b"jp2h", header) + _box(b"jp2c", stream)
    visible = samples[..., :3] if channels else samples
    return Written(content, shown_of(visible, bits) if known else None)


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def _smooth(bits: int = 8) -> Samples:
    """Return greys (H, W) that change little from pixel to pixel: for coders with losses."""
    return np.rint(np.add.outer(np.arange(40), np.arange(48)) * (((1 << bits) - 1) / 86)).astype(np.int64)


def _lossless_jpeg(rng: np.random.Generator, bits: int) -> Written:
    samples = in_range(shares(rng), bits, "u")
    content = imagecodecs.jpeg8_encode(_typed(samples, bits), lossless=True, bitspersample=bits)
    return Written(bytes(content), shown_of(samples, bits))


def _deep_jpeg() -> Written:
    samples = _smooth(12)
    content = imagecodecs.jpeg8_encode(samples.astype(np.uint16), level=100, bitspersample=12)
    return Written(bytes(content), scaled(samples))


def _colour_jpeg(stored: str) -> Written:
    grey = _smooth()
    colours = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1)
    how = {"colorspace": "RGB", "outcolorspace": stored, "subsampling": "444"}
    content = imagecodecs.jpeg8_encode(colours.astype(np.uint8), level=100, **how)
    return Written(bytes(content), colours.astype(float), within=3)


def _cmyk_jpeg() -> Written:
    grey = _smooth()
    ink = np.stack([grey, grey[::-1], grey[:, ::-1], grey // 4], axis=-1)
    content = io.BytesIO()
    Image.fromarray(ink.astype(np.uint8), "CMYK").save(content, "JPEG", quality=100, subsampling=0)
    return Written(content.getvalue(), (255 - ink[..., :3]) * (255 - ink[..., 3:]) / 255, within=3)


def _webp_with_alpha(rng: np.random.Generator) -> Written:
    both = in_range(shares(rng, 4), 8, "u").astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(both).save(content, "WEBP", lossless=True, exact=True)
    return Written(content.getvalue(), both[..., :3].astype(float))


def _typed(samples: Samples, bits: int) -> Samples:
    return samples.astype(np.uint8 if bits <= 8 else np.uint16)


def _jpeg_2000(bits: int, channels: int, form: str, part: float = 1) -> Make:
    def make(rng: np.random.Generator) -> Written:
        samples = in_range(shares(rng, channels) * part, bits, "u")
        content = imagecodecs.jpeg2k_encode(_typed(samples, bits), codecformat=form, bitspersample=bits, level=0)
        return Written(bytes(content), shown_of(samples[..., :3] if channels else samples, bits))

    return make


def _signed_jpeg_2000(rng: np.random.Generator, bits: int) -> Written:
    samples = in_range(shares(rng), bits, "i")
    content = imagecodecs.jpeg2k_encode(samples.astype(np.int8 if bits == 8 else np.int16), codecformat="JP2", level=0)
    return Written(bytes(content), scaled(samples))


def _jpeg_xl(bits: int, channels: int, part: float = 1) -> Make:
    def make(rng: np.random.Generator) -> Written:
        samples = in_range(shares(rng, channels) * part, bits, "u")
        content = imagecodecs.jpegxl_encode(_typed(samples, bits), lossless=True, bitspersample=bits)
        visible = samples[..., :3] if channels > 2 else samples[..., 0] if channels else samples
        return Written(bytes(content), shown_of(visible, bits))

    return make


def _jpeg_xl_floats(rng: np.random.Generator) -> Written:
    samples = shares(rng).astype(np.float32)
    return Written(bytes(imagecodecs.jpegxl_encode(samples, lossless=True)), scaled(samples))


def _jpeg_ls(rng: np.random.Generator, bits: int, channels: int) -> Written:
    samples = in_range(shares(rng, channels), bits, "u")
    return Written(bytes(imagecodecs.jpegls_encode(_typed(samples, bits))), shown_of(samples, bits))


def _animated(rng: np.random.Generator, kind: str) -> Written:
    frames = [Image.fromarray(in_range(shares(rng), 8, "u").astype(np.uint8)) for _ in range(3)]
    content = io.BytesIO()
    if kind == "WEBP":
        frames = [frame.convert("RGB") for frame in frames]
    frames[0].save(content, kind, save_all=True, append_images=frames[1:], lossless=True)
    return Written(content.getvalue(), np.asarray(frames[0]).astype(float))


def _avif(rng: np.random.Generator, bits: int) -> Written:
    grey = np.add.outer(np.arange(24), np.arange(32)) / 54  # smooth, for it has losses
    samples = in_range(np.repeat(grey[..., None], 3, axis=-1), bits, "u")
    content = imagecodecs.avif_encode(_typed(samples, bits), level=100, bitspersample=bits, pixelformat="444")
    return Written(bytes(content), samples[..., 0] * (255 / ((1 << bits) - 1)))
