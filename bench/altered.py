"""Radiographs as data sets alter them before upload: turned, mirrored, inverted, cropped, framed, exposed anew."""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
SIDES = ("left", "top", "right", "bottom")
ORIENTATIONS = {
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "upside down": Image.Transpose.FLIP_TOP_BOTTOM,
    "turned by 90": Image.Transpose.ROTATE_90,
    "turned by 180": Image.Transpose.ROTATE_180,
    "turned by 270": Image.Transpose.ROTATE_270,
    "transposed": Image.Transpose.TRANSPOSE,
    "transversed": Image.Transpose.TRANSVERSE,
}


class Kind(NamedTuple):
    """One way to alter a grey image."""

    name: str
    change: Change
    tuned: bool  # the search was adjusted by it; the others were kept back


def turned(degrees: float, *, expand: bool = False) -> Change:
    """Turn by so many degrees, to either side at random; what the corners show is black."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        return image.rotate(degrees * rng.choice([-1, 1]), Image.Resampling.BICUBIC, expand=expand)

    return change


def cropped(share: float) -> Change:
    """Leave out ``share`` of width and height, half on each side."""

    def change(image: Image.Image, _: np.random.Generator) -> Image.Image:
        x, y = (round(side * share / 2) for side in image.size)
        return image.crop((x, y, image.width - x, image.height - y))

    return change


def cut(share: float, side: str | None = None) -> Change:
    """Leave out ``share`` on one side, at random where it is not given."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        index = SIDES.index(side) if side else int(rng.integers(4))
        box = [0, 0, *image.size]
        box[index] += round(image.size[index % 2] * share) * (1 if index < 2 else -1)
        return image.crop((box[0], box[1], box[2], box[3]))

    return change


def shifted(share: float) -> Change:
    """Move by ``share`` of width and height, each to either side at random; what comes in is black."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        x, y = (round(side * share) * int(rng.choice([-1, 1])) for side in image.size)
        moved = Image.new("L", image.size)
        moved.paste(image, (x, y))
        return moved

    return change


def framed(share: float, grey: int = 0) -> Change:
    """Put a frame around, ``share`` of the width wide."""
    return lambda image, _: ImageOps.expand(image, round(share * image.width), fill=grey)


def letterboxed(ratio: float) -> Change:
    """Give the picture another ratio of width and height, as the original had, and fill it up to a square by black."""

    def change(image: Image.Image, _: np.random.Generator) -> Image.Image:
        side = max(image.size)
        size = (side, round(side / ratio)) if ratio > 1 else (round(side * ratio), side)
        return ImageOps.pad(image.resize(size), (side, side))

    return change


def exposed(gamma: float, low: int = 0, high: int = 255) -> Change:
    """Show the greys from ``low`` to ``high`` alone, by a curve."""
    curve = [round(255 * min(max((grey - low) / (high - low), 0), 1) ** gamma) for grey in range(256)]
    return lambda image, _: image.point(curve)


def flattened(low: int, high: int) -> Change:
    """Squeeze all greys between two."""
    return lambda image, _: image.point([round(low + (high - low) * grey / 255) for grey in range(256)])


def compressed(quality: int) -> Change:
    """Write as JPEG and read again."""

    def change(image: Image.Image, _: np.random.Generator) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(stream).convert("L")

    return change


def resized(width: int, height: int) -> Change:
    """Resize, whatever becomes of the ratio of width and height."""
    return lambda image, _: image.resize((width, height))


def reoriented(name: str) -> Change:
    """Mirror, turn or both."""
    return lambda image, _: image.transpose(ORIENTATIONS[name])


def inverted(image: Image.Image, _: np.random.Generator) -> Image.Image:
    """Exchange black and white."""
    return ImageOps.invert(image)


def both(*changes: Change) -> Change:
    """Do one after the other."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for one in changes:
            image = one(image, rng)
        return image

    return change


KINDS = [
    *(Kind(name, reoriented(name), tuned=True) for name in ORIENTATIONS),
    Kind("inverted", inverted, tuned=True),
    *(Kind(f"inverted, {name}", both(inverted, reoriented(name)), tuned=i < 3) for i, name in enumerate(ORIENTATIONS)),
    *(Kind(f"turned by {n} degrees", turned(n), tuned=n < 6) for n in (2, 3, 5, 7, 10)),
    *(Kind(f"turned by {n} degrees, grown", turned(n, expand=True), tuned=n < 6) for n in (3, 5, 7, 10)),
    *(Kind(f"cropped by {n} %", cropped(n / 100), tuned=n not in (8, 15)) for n in (4, 6, 8, 10, 15, 20)),
    *(Kind(f"cut by {n} % on one side", cut(n / 100), tuned=n != 8) for n in (5, 8, 10)),
    *(Kind(f"shifted by {n} %", shifted(n / 100), tuned=n != 8) for n in (3, 5, 8)),
    *(Kind(f"framed in black, {n} %", framed(n / 100), tuned=n != 8) for n in (3, 5, 8, 10)),
    *(Kind(f"framed in white, {n} %", framed(n / 100, 255), tuned=n != 8) for n in (5, 8)),
    *(Kind(f"letterboxed from {r:g}", letterboxed(r), tuned=r > 1) for r in (4 / 3, 1.2, 0.8)),
    Kind("window of greys 40 to 200", exposed(1, 40, 200), tuned=True),
    *(
        Kind(f"window of greys {a} to {b}", exposed(1, a, b), tuned=a == 80)
        for a, b in ((60, 160), (80, 140), (0, 128))
    ),
    Kind("gamma 0.6", exposed(0.6), tuned=True),
    Kind("gamma 1.7", exposed(1.7), tuned=False),
    Kind("little contrast", flattened(80, 170), tuned=True),
    Kind("JPEG of quality 30", compressed(30), tuned=True),
    Kind("JPEG of quality 10", compressed(10), tuned=False),
    Kind("resized to 224", resized(224, 224), tuned=True),
    Kind("resized to 128 by 96", resized(128, 96), tuned=False),
    Kind("mirrored, cropped by 10 %", both(reoriented("mirrored"), cropped(0.1)), tuned=True),
    Kind("turned by 90, framed", both(reoriented("turned by 90"), framed(0.05)), tuned=True),
    Kind("mirrored, turned by 5 degrees", both(reoriented("mirrored"), turned(5)), tuned=False),
    Kind("inverted, cropped by 10 %", both(inverted, cropped(0.1)), tuned=False),
    Kind("cropped by 10 %, gamma 0.6", both(cropped(0.1), exposed(0.6)), tuned=False),
    Kind("turned by 3 degrees, cropped by 10 %", both(turned(3), cropped(0.1)), tuned=False),
    Kind("cropped by 10 %, framed, JPEG", both(cropped(0.1), framed(0.06), compressed(30)), tuned=False),
]
