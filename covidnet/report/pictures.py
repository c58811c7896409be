"""Pictures that a page holds in itself: images as data URIs, and the colours of heat."""

import base64
import io
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covidnet.imaging.decode import decode, read
from covidnet.imaging.radiograph import Reading

SIDE = 224  # pixels of a radiograph on a page
QUALITY = 80  # of its JPEG


def data_uri(image: Image.Image, form: Literal["PNG", "JPEG"], **options: Any) -> str:
    """Return an image as a data URI; ``options`` are those that PIL takes for the form."""
    content = io.BytesIO()
    image.save(content, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def radiograph(file: Path, reading: Reading) -> NDArray[np.float64]:
    """Return an image as a page shows it, (H, W, 3) in 0 .. 255.

    Raises:
        UnreadableImageError: Where it cannot be read.
    """
    return as_shown(decode(read(file), SIDE, reading=reading))


def as_shown(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return decoded pixels (C, H, W), H and W of a page, as ``radiograph`` does."""
    return np.broadcast_to(pixels, (3, SIDE, SIDE)).transpose(1, 2, 0).astype(np.float64)


def jpeg(pixels: NDArray[np.float64]) -> str:
    """Return such an image as a data URI."""
    return data_uri(Image.fromarray(np.rint(pixels).astype(np.uint8)), "JPEG", quality=QUALITY, optimize=True)


def blend(grey: NDArray[np.float64], heat: NDArray[np.floating], opacity: float) -> NDArray[np.float64]:
    """Return an image (H, W, 3) in 0 .. 255 under its heat (H, W) in 0 .. 1; ``opacity`` is that of the hottest."""
    colours = 255 * mpl.colormaps["inferno"](heat)[..., :3]
    weight = opacity * _visible(heat)[..., None]
    return np.asarray((1 - weight) * grey + weight * colours)


def overlay(heat: NDArray[np.floating]) -> Image.Image:
    """Return heat (H, W) in 0 .. 1 as a picture to lay over an image, clear where there is no heat."""
    colours = mpl.colormaps["inferno"](heat, bytes=True)  # (H, W, 4)
    colours[..., 3] = np.rint(255 * _visible(heat))
    return Image.fromarray(colours)


def _visible(heat: NDArray[np.floating]) -> NDArray[Any]:
    return np.asarray(np.sqrt(heat))  # the root keeps weak heat visible
