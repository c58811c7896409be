"""The kinds of PNG, PNM and BMP that are written."""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.written.bits import in_range
from bench.written.plain import Chunk, bmp, pfm, png, pnm
from bench.written.shown import HEIGHT, NARROW, WIDTH, Make, Written, scaled, shares, shown_of


def pngs() -> Iterator[tuple[str, Make]]:
    """Yield each colour type in each number of bits."""
    for bits in (1, 2, 4, 8, 16):
        yield f"PNG grey {bits}", _png(bits, 0, 0)
        yield f"PNG grey {bits} with a transparent one", _png(bits, 0, 0, [(b"tRNS", struct.pack(">H", 0))])
        yield f"PNG grey {bits} with a gamma", _png(bits, 0, 0, [(b"gAMA", struct.pack(">I", 100_000))])
    yield "PNG grey 12 in 16, told", _png(16, 0, 0, [(b"sBIT", b"\x0c")], NARROW)
    for bits in (8, 16):
        yield f"PNG grey and alpha {bits}", _png(bits, 4, 2)
        yield f"PNG RGB {bits}", _png(bits, 2, 3)
        yield f"PNG RGB {bits} with a transparent one", _png(bits, 2, 3, [(b"tRNS", bytes(6))])
        yield f"PNG RGBA {bits}", _png(bits, 6, 4)
        for colour, channels in ((0, 0), (2, 3), (6, 4)):
            yield f"PNG interlaced {bits}, {channels or 1} channels", _png(bits, colour, channels, interlaced=True)
    yield "PNG RGB 12 in 16", _png(16, 2, 3, part=NARROW)
    for bits in (1, 2, 4, 8):
        yield f"PNG palette {bits}", _png_palette(bits, [])
        yield f"PNG palette {bits} with transparency", _png_palette(bits, [(b"tRNS", b"\0\x80")])


def _png(
    bits: int,
    colour: int,
    channels: int,
    before: Sequence[Chunk] = (),
    part: float = 1,
    *,
    interlaced: bool = False,
) -> Make:
    def make(rng: np.random.Generator) -> Written:
        samples = in_range(shares(rng, channels) * part, bits, "u")
        visible = samples[..., : {4: 1, 6: 3}.get(colour, channels)] if channels else samples
        shown = shown_of(visible, bits)
        content = png(samples, bits, colour, before, interlaced=interlaced)
        return Written(content, shown[..., 0] if colour == 4 else shown)

    return make


def _png_palette(bits: int, before: Sequence[Chunk]) -> Make:
    def make(rng: np.random.Generator) -> Written:
        colours = rng.integers(0, 256, (1 << bits, 3))
        numbers = rng.integers(0, 1 << bits, (HEIGHT, WIDTH))
        chunks = [(b"PLTE", colours.astype(np.uint8).tobytes()), *before]
        return Written(png(numbers, bits, 3, chunks), colours[numbers].astype(float))

    return make


def pnms() -> Iterator[tuple[str, Make]]:
    """Yield digits, packed numbers and floats, each up to several greatest numbers."""
    for letter in ("P1", "P4"):
        yield f"PBM {letter}", lambda rng, letter=letter: _pbm(rng, letter)
    for most in (1, 15, 100, 255, 1023, 4095, 65535):
        for letter in ("P2", "P3", "P5", "P6"):
            yield f"PNM {letter} up to {most}", _pnm(letter, most)
    for letter in ("P2", "P3", "P5", "P6"):
        yield f"PNM {letter} 12 in 16", _pnm(letter, 65535, NARROW)
    for order in ("<", ">"):
        yield f"PFM {order}", lambda rng, order=order: _pfm(rng, order, 0)
        yield f"PFM of colours {order}", lambda rng, order=order: _pfm(rng, order, 3)


def _pfm(rng: np.random.Generator, order: Any, channels: int) -> Written:
    samples = shares(rng, channels).astype(np.float32)
    return Written(pfm(samples, order), scaled(samples))


def _pbm(rng: np.random.Generator, letter: str) -> Written:
    samples = in_range(shares(rng), 1, "u")
    return Written(pnm(samples, letter), 255.0 * (1 - samples))


def _pnm(letter: str, most: int, part: float = 1) -> Make:
    def make(rng: np.random.Generator) -> Written:
        samples = np.rint(shares(rng, 3 if letter in ("P3", "P6") else 0) * most * part).astype(np.int64)
        return Written(pnm(samples, letter, most), scaled(samples) if most > 255 else samples * (255 / most))

    return make


def bmps() -> Iterator[tuple[str, Make]]:
    """Yield palettes, whole pixels, fields and run lengths."""
    for bits in (1, 4, 8):
        for palette in ("greys", "colours", "reversed greys"):
            yield f"BMP {bits} of {palette}", _bmp_palette(bits, palette)
    for bits in (1, 4, 8):
        yield f"BMP {bits} of black and white alone", _bmp_palette(bits, "black and white")
    yield "BMP 4 of its own numbers", _bmp_palette(4, "numbers")
    yield "BMP 8 of its own numbers", _bmp_palette(8, "numbers")
    for downward in (False, True):
        yield f"BMP 24 {downward=}", lambda rng, downward=downward: _bmp_colours(rng, downward)
    fields = {
        "15": (16, (0x7C00, 0x3E0, 0x1F)),
        "16": (16, (0xF800, 0x7E0, 0x1F)),
        "32": (32, (0xFF0000, 0xFF00, 0xFF)),
        "32 red last": (32, (0xFF, 0xFF00, 0xFF0000)),
        "30 in 32": (32, (0x3FF00000, 0xFFC00, 0x3FF)),
        "12 in 16": (16, (0xF00, 0xF0, 0xF)),
    }
    for name, (bits, masks) in fields.items():
        yield f"BMP of fields {name}", lambda rng, bits=bits, masks=masks: _bmp_fields(rng, bits, masks, told=True)
    yield "BMP 8 in run lengths", lambda rng: _bmp_runs(rng)
    yield "BMP 8 of run lengths, black and white alone", lambda rng: _bmp_runs(rng, alone=True)
    for bits in (1, 4, 8, 24):
        yield f"BMP of OS/2 {bits}", lambda rng, bits=bits: _old_bmp(rng, bits)
    yield "BMP 16", lambda rng: _bmp_fields(rng, 16, (0x7C00, 0x3E0, 0x1F), told=False)
    yield "BMP 32", lambda rng: _bmp_fields(rng, 32, (0xFF0000, 0xFF00, 0xFF), told=False)


def _bmp_runs(rng: np.random.Generator, *, alone: bool = False) -> Written:
    palette = np.array([[0] * 3, [255] * 3]) if alone else rng.integers(0, 256, (256, 3))
    numbers = rng.integers(0, len(palette), (HEIGHT, WIDTH))
    runs = b"".join(b"".join(bytes([1, number]) for number in row) + b"\0\0" for row in numbers[::-1].tolist())
    return Written(bmp(numbers, 8, palette, packed_as=runs + b"\0\1"), palette[numbers].astype(float))


def _old_bmp(rng: np.random.Generator, bits: int) -> Written:
    if bits == 24:
        colours = in_range(shares(rng, 3), 8, "u")
        return Written(bmp(colours, 24, old=True), colours.astype(float))
    palette = rng.integers(0, 256, (1 << bits, 3))
    numbers = rng.integers(0, 1 << bits, (HEIGHT, WIDTH))
    return Written(bmp(numbers, bits, palette, old=True), palette[numbers].astype(float))


def _bmp_palette(bits: int, of: str) -> Make:
    def make(rng: np.random.Generator) -> Written:
        count = 1 << bits
        greys = np.rint(np.linspace(0, 255, count))
        palettes = {
            "greys": greys[:, None].repeat(3, 1),
            "reversed greys": greys[::-1, None].repeat(3, 1),
            "colours": rng.integers(0, 256, (count, 3)),
            "black and white": np.array([[0] * 3, [255] * 3]),
            "numbers": np.arange(count)[:, None].repeat(3, 1),
        }
        palette = palettes[of]
        numbers = rng.integers(0, len(palette), (HEIGHT, WIDTH))
        return Written(bmp(numbers, bits, palette), palette[numbers].astype(float))

    return make


def _bmp_colours(rng: np.random.Generator, downward: bool) -> Written:
    colours = in_range(shares(rng, 3), 8, "u")
    return Written(bmp(colours, 24, downward=downward), colours.astype(float))


def _bmp_fields(rng: np.random.Generator, bits: int, masks: tuple[int, ...], *, told: bool) -> Written:
    pixels, channels = np.zeros((HEIGHT, WIDTH), np.int64), []
    for mask in masks:
        lowest = (mask & -mask).bit_length() - 1
        most = mask >> lowest
        channel = rng.integers(0, most + 1, pixels.shape)
        pixels |= channel << lowest
        channels.append(channel * (255 / most))
    return Written(bmp(pixels, bits, masks=masks if told else ()), np.stack(channels, axis=-1))
