"""Images of known pixels, of each kind that a format has: shown right or refused, also turned; and changed ones."""

import io
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from PIL import Image, ImageOps

from bench.fuzz.images import changed, decode_image
from bench.fuzz.running import expect
from bench.written.bits import Samples
from bench.written.kinds import kinds
from bench.written.shown import Written
from bench.written.tiff import SHORT, Tiff
from covidnet.imaging.decode import open_radiograph
from covidnet.imaging.radiograph import UnreadableImageError

KINDS = kinds()
TURNABLE = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")
TOLERANCE = 2  # grey values, of coders with losses on smooth pictures


@dataclass(frozen=True)
class Case:
    """A file of a kind, and what changes it."""

    kind: str
    seed: int

    def write(self) -> Written:
        """Return the file."""
        return KINDS[self.kind](np.random.default_rng(self.seed))


cases = st.builds(Case, st.sampled_from(list(KINDS)), st.integers(0, 2**32 - 1))


@st.composite
def changed_cases(draw: st.DrawFn) -> bytes:
    """Draw a file of a kind with some changes."""
    return draw(changed(draw(cases).write().content))


turned = st.tuples(st.sampled_from(TURNABLE), st.integers(0, 10), st.integers(2, 40), st.integers(2, 40))


def show_right(case: Case) -> None:
    """Decode a file: its greys are those that were written, or it is refused."""
    made = case.write()
    pixels = _greys(made.content)
    if pixels is None:
        return
    expect(made.shown is not None, f"{case.kind}: nobody knows its greys")
    shown = np.asarray(made.shown)
    if shown.ndim > pixels.ndim:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    expect(pixels.shape == shown.shape, f"{case.kind}: {pixels.shape}, not {shown.shape}")
    expect(abs(pixels - shown).max() <= made.within, f"{case.kind}: other greys")


def turn_as_pillow(case: tuple[str, int, int, int]) -> None:
    """Decode a file that tells how it is to be turned: as Pillow's own function turns it."""
    kind, number, width, height = case
    grey = np.add.outer(2 * np.arange(height), np.arange(width)).astype(np.uint8)
    content = _stored_turned(kind, number, grey)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("L")).astype(int)
    pixels = _greys(content)
    expect(pixels is not None and pixels.shape == expected.shape, f"{kind} {number}: not turned as Pillow turns it")
    expect(abs(np.asarray(pixels) - expected).max() <= TOLERANCE, f"{kind} {number}: other greys")


def decode_changed(content: bytes) -> None:
    """Decode a changed file: pixels or a reason."""
    decode_image(content)


def _stored_turned(kind: str, number: int, grey: Samples) -> bytes:
    if kind == "TIFF":
        return Tiff(tags=[(274, SHORT, [number])]).write(grey)
    exif = Image.Exif()
    exif[274] = number
    content = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100}
    Image.fromarray(grey).convert("RGB" if kind == "WEBP" else "L").save(content, kind, exif=exif, **options)
    return content.getvalue()


def _greys(content: bytes) -> Samples | None:
    try:
        return np.asarray(open_radiograph(content).image).astype(float)
    except UnreadableImageError as error:
        expect(bool(str(error)), "no reason")
        return None
