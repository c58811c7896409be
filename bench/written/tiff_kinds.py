"""The kinds of TIFF that are written."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from bench.written.bits import Sign, in_range
from bench.written.shown import HEIGHT, NARROW, WIDTH, Make, Written, shares, shown_of
from bench.written.tiff import DEFLATE, LONG, LZW, NONE, PACKBITS, SHORT, Tiff

_SAMPLES: tuple[tuple[int, Sign], ...] = (
    *((bits, "u") for bits in (1, 2, 4, 8, 12, 16, 32, 64)),
    *((bits, "i") for bits in (8, 16, 32)),
    *((bits, "f") for bits in (16, 32, 64)),
)
_COLOURS: tuple[tuple[int, Sign], ...] = ((8, "u"), (16, "u"), (32, "f"))
_LAYOUTS = {
    "one strip": {},
    "strips": {"rows": 5},
    "tiles": {"tile": 16},
    "LZW": {"compression": LZW, "rows": 5},
    "deflate": {"compression": DEFLATE, "tile": 16},
    "packbits": {"compression": PACKBITS, "rows": 5},
}


def tiffs() -> Iterator[tuple[str, Make]]:
    """Yield the matrix: bits, sign, planes, byte order, zero, alpha, strips and compression."""
    for order, bytes_ in (("<", "little"), (">", "big")):
        for layout, told in _LAYOUTS.items():
            for bits, sign in _SAMPLES:
                for photometric, zero in ((1, "black"), (0, "white")):
                    name = f"TIFF grey {bits}{sign} {bytes_}-endian zero is {zero} {layout}"
                    yield name, _grey_tiff(Tiff(bits, sign, order, photometric, **told))
            for bits, sign in _COLOURS:
                for planar in (1, 2):
                    for extra in ((), (0,), (1,), (2,)):
                        name = f"TIFF RGB {bits}{sign} {bytes_}-endian planes {planar} extra {extra} {layout}"
                        yield name, _colour_tiff(Tiff(bits, sign, order, 2, planar, extra=extra, **told))
            for narrow_planes in (1, 2):
                name = f"TIFF RGB 12 in 16 {bytes_}-endian planes {narrow_planes} {layout}"
                yield name, _colour_tiff(Tiff(16, "u", order, 2, narrow_planes, **told), NARROW)


def _grey_tiff(how: Tiff) -> Make:
    def make(rng: np.random.Generator) -> Written:
        samples = in_range(shares(rng), how.bits, how.sign)
        shown = shown_of(samples, how.bits, how.sign)
        return Written(how.write(samples), 255 - shown if how.photometric == 0 else shown)

    return make


def _colour_tiff(how: Tiff, part: float = 1) -> Make:
    def make(rng: np.random.Generator) -> Written:
        colours = in_range(shares(rng, 3) * part, how.bits, how.sign)
        shown = shown_of(colours, how.bits, how.sign)
        if not how.extra:
            return Written(how.write(colours), shown)
        least = 0 if how.extra[0] != 1 else 0.5
        alpha = in_range(least + (1 - least) * shares(rng, 1), how.bits, how.sign)
        whole = 1 if how.sign == "f" else (1 << how.bits) - 1
        stored = colours if how.extra[0] != 1 else colours * alpha / whole
        if how.sign != "f":
            stored = np.rint(stored)
        return Written(how.write(np.concatenate([stored, alpha], axis=-1)), shown)

    return make


def odd_tiffs() -> Iterator[tuple[str, Make]]:
    """Yield what stands beside it."""
    for bits in (1, 4, 8, 16):
        yield f"TIFF lowest bit first {bits}", _grey_tiff(Tiff(bits, fill=2))
    for bits in (8, 16):
        for order in ("<", ">"):
            yield f"TIFF differences {bits}{order}", _grey_tiff(Tiff(bits, order=order, compression=LZW, predictor=2))
            yield f"BigTIFF {bits}{order}", _grey_tiff(Tiff(bits, order=order, big=True))
            yield f"TIFF grey and alpha {bits}{order}", _grey_and_alpha(Tiff(bits, order=order, extra=(2,)))
            yield (
                f"TIFF grey and alpha, planes {bits}{order}",
                _grey_and_alpha(Tiff(bits, "u", order, planar=2, extra=(2,))),
            )
            yield (
                f"TIFF RGB differences {bits}{order}",
                _colour_tiff(Tiff(bits, "u", order, 2, compression=LZW, predictor=2)),
            )
    for bits in (1, 2, 4, 8):
        for wide in (True, False):
            yield f"TIFF palette of {bits} bits, {16 if wide else 8}-bit entries", _palette_tiff(bits, wide=wide)
    for compression in (NONE, LZW):
        yield (
            f"TIFF that tells no photometric interpretation {compression}",
            _grey_tiff(Tiff(photometric=None, compression=compression)),
        )
    yield "TIFF of CMYK", _cmyk_tiff(Tiff(photometric=5))
    yield "TIFF of CMYK planes", _cmyk_tiff(Tiff(photometric=5, planar=2))
    yield "TIFF of YCbCr", _ycbcr_tiff(Tiff(photometric=6, tags=[(530, SHORT, [1, 1])]))
    yield "TIFF of YCbCr, LZW", _ycbcr_tiff(Tiff(photometric=6, compression=LZW, tags=[(530, SHORT, [1, 1])]))
    yield "TIFF of YCbCr planes", _ycbcr_tiff(Tiff(photometric=6, planar=2, tags=[(530, SHORT, [1, 1])]))
    for bits in (1, 2, 4, 8, 16):
        for photometric in (0, 1):
            alone = Tiff(bits, photometric=photometric, planar=2)
            yield f"TIFF of one plane {bits}, zero {photometric}", _grey_tiff(alone)
    for kind, mode in (("jpeg", "L"), ("jpeg", "RGB"), ("group4", "1"), ("tiff_adobe_deflate", "L")):
        yield f"TIFF compressed as {kind}, {mode}", lambda rng, kind=kind, mode=mode: _by_pillow(rng, kind, mode)
    for photometric in (4, 8, 9, 10, 32803, 34892):
        channels = 3 if photometric < 32803 else 0
        yield f"TIFF of the colours {photometric}", _unknown(Tiff(photometric=photometric), channels)
    yield "TIFF of other inks", _unknown(Tiff(photometric=5, tags=[(332, SHORT, [2])]), 4)
    yield "TIFF of three greys", _unknown(Tiff(), 3)
    yield "TIFF of seven greys", _unknown(Tiff(), 7)
    yield "TIFF of two colours", _unknown(Tiff(photometric=2), 2)
    yield "TIFF of YCbCr of half the colours", _unknown(Tiff(photometric=6, tags=[(530, SHORT, [2, 2])]), 3)
    yield "TIFF of YCbCr of 16 bits", _unknown(Tiff(16, photometric=6), 3)
    yield "TIFF of 4 bits a colour", _unknown(Tiff(4, photometric=2), 3)
    yield "TIFF of 16-bit numbers of a palette", _unknown(Tiff(16, photometric=3), 0)
    yield "TIFF of premultiplied deep grey", _unknown(Tiff(16, extra=(1,)), 2)
    yield "TIFF of pages", lambda rng: _paged(rng, first=[], second=[])
    yield (
        "TIFF of a thumbnail and its image",
        lambda rng: _paged(rng, first=[(254, LONG, [1])], second=[(254, LONG, [0])]),
    )


def _unknown(how: Tiff, channels: int) -> Make:
    return lambda rng: Written(how.write(in_range(shares(rng, channels), how.bits, how.sign)), None)


def _by_pillow(rng: np.random.Generator, compression: str, mode: str) -> Written:
    smooth = np.add.outer(np.arange(40), np.arange(48)) * (255 / 86)
    image = Image.fromarray(np.rint(smooth).astype(np.uint8)).convert(mode)
    content = io.BytesIO()
    image.save(content, "TIFF", compression=compression, **({"quality": 100} if compression == "jpeg" else {}))
    return Written(content.getvalue(), np.asarray(image.convert("L")).astype(float), within=2)


def _paged(rng: np.random.Generator, first: list[Any], second: list[Any]) -> Written:
    one, two = in_range(shares(rng), 8, "u"), in_range(shares(rng), 8, "u")
    if first:
        return Written(Tiff(tags=first).write(one[::3, ::3], (two, second)), two.astype(float))
    return Written(Tiff().write(one, (two, second)), one.astype(float))


def _grey_and_alpha(how: Tiff) -> Make:
    def make(rng: np.random.Generator) -> Written:
        both = in_range(shares(rng, 2), how.bits, "u")
        return Written(how.write(both), shown_of(both[..., 0], how.bits))

    return make


def _palette_tiff(bits: int, *, wide: bool) -> Make:
    def make(rng: np.random.Generator) -> Written:
        colours = rng.integers(0, 256, (1 << bits, 3))
        numbers = rng.integers(0, 1 << bits, (HEIGHT, WIDTH))
        entries = (colours * (257 if wide else 1)).T.reshape(-1).tolist()
        how = Tiff(bits, photometric=3, tags=[(320, SHORT, entries)])
        return Written(how.write(numbers), colours[numbers].astype(float))

    return make


def _cmyk_tiff(how: Tiff) -> Make:
    def make(rng: np.random.Generator) -> Written:
        ink = in_range(shares(rng, 4), 8, "u")
        return Written(how.write(ink), (255 - ink[..., :3]) * (255 - ink[..., 3:]) / 255)

    return make


def _ycbcr_tiff(how: Tiff) -> Make:
    def make(rng: np.random.Generator) -> Written:
        colours = in_range(0.2 + 0.6 * shares(rng, 3), 8, "u")
        red, green, blue = (colours[..., channel] for channel in range(3))
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        stored = np.stack([luma, (blue - luma) / 1.772 + 128, (red - luma) / 1.402 + 128], axis=-1)
        stored = np.rint(stored)
        luma, cb, cr = (stored[..., channel] for channel in range(3))
        red, blue = luma + 1.402 * (cr - 128), luma + 1.772 * (cb - 128)
        green = (luma - 0.299 * red - 0.114 * blue) / 0.587
        return Written(how.write(stored), np.stack([red, green, blue], axis=-1))

    return make
