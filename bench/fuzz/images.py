"""Odd images: decoded as training does, and measured as the server does."""

import contextlib

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from bench.fuzz.pieces import SIDE
from bench.fuzz.running import expect
from bench.hostile import KINDS, good
from covidnet.imaging.decode import decode, thumbnail
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.serving.limits import check

# Those of `bench.hostile` that take a moment; its tests of the server run the others.
HEAVY = {"deflated_dicom", "dicom_scans", "jpeg_scans", "jpeg_segments", "png_chunks", "png_text_bomb", "png_bomb"}
LIGHT = {name: make for name, make in KINDS.items() if name not in HEAVY}


@st.composite
def images(draw: st.DrawFn) -> bytes:
    """Draw a good image, a hostile one, or one with some changes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["good", "changed", "changed", "changed", *LIGHT]))
    if kind in LIGHT:
        return LIGHT[kind](rng)
    content = good(rng)
    return content if kind == "good" else draw(changed(content))


@st.composite
def changed(draw: st.DrawFn, whole: bytes) -> bytes:
    """Draw a file with one to six changes."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(content) - 1)) | st.integers(0, min(200, max(0, len(content) - 1))))
        change = draw(st.sampled_from(["byte", "cut", "insert", "repeat", "number"]))
        if change == "byte":
            content[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif change == "cut":
            del content[at : at + draw(st.integers(1, 400))]
        elif change == "insert":
            content[at:at] = draw(st.binary(max_size=20))
        elif change == "repeat":
            content[at:at] = content[at : at + 40]
        else:
            content[at : at + 4] = draw(
                st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"])
            )
    return bytes(content)


def decode_image(content: bytes) -> None:
    """Decode an image as training does, and measure it as the server does."""
    with contextlib.suppress(UnreadableImageError):
        check(content, 40_000_000)
    try:
        pixels = decode(content, SIDE)
        assert pixels.shape[1:] == (SIDE, SIDE)
        thumbnail(Image.fromarray(pixels[0]))
    except UnreadableImageError as error:
        expect(bool(str(error)), "no reason")
