"""Arrays of numbers -> Pillow images: which numbers are black and white their type tells, or else the caller."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covidnet.imaging.radiograph import UnreadableImageError

Scale = tuple[float, float]  # the numbers that are black and white; what lies beyond is shown as they are
CHANNELS = (1, 3, 4)  # of an array: grey, RGB, RGB with alpha
SCALES: tuple[Scale, ...] = ((0, 1), (-1, 1), (0, 255), (0, 4095), (0, 65535), (-1024, 1024))  # that programs use
LARGEST_SCALE = 50  # times what an array covers of it: on a larger one all of it would be one grey


def many_bits(bits: int) -> str:
    """Return why deep colours are refused: nobody knows how many of their bits are used, and white may be anywhere."""
    return f"has {bits} bits in each of several channels; save it as 16-bit grey or with 8 bits"


def picture_of(pixels: NDArray[Any]) -> Image.Image:
    """Return pixels as a picture of their own depth.

    Args:
        pixels: (H, W) uint8, uint16 or floats; or (H, W, C) uint8 with C from 1 to 4.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype.kind == "f":
        pixels = pixels.astype(np.float32)
    return Image.fromarray(np.ascontiguousarray(pixels))


def eight_bits(values: NDArray[Any], limits: Scale | None = None, *, zero_is_white: bool = False) -> Image.Image:
    """Scale grey values (H, W) to 8 bits, from limits or else from their own minimum and maximum.

    Pillow's own conversion would clip a 16-bit radiograph to white.

    Raises:
        UnreadableImageError: Where they are no finite numbers.
    """
    shares = values.astype(np.float64) * (-1 if zero_is_white else 1)
    low, high = _bounds(shares) if limits is None else sorted(-limit if zero_is_white else limit for limit in limits)
    scaled = (shares - low) * (255.0 / (high - low) if high > low else 0.0)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def picture_of_array(array: NDArray[Any], scale: Scale | None = None, *, channels_first: bool = False) -> Image.Image:
    """Return an array that a caller gives as a picture: of 8 bits, or of 16 as a 16-bit file has them.

    Args:
        array: (H, W), (H, W, C) or (C, H, W), C 1, 3 or 4. Without a scale uint8, uint16 of one channel, or floats in
            [0, 1]; with one, any real numbers.
        scale: The numbers that are black and white.
        channels_first: Take (C, H, W) where both orders fit; else (H, W, C) is taken.

    Raises:
        UnreadableImageError: Saying what the array is, and what to give.
    """
    if array.dtype.kind not in "buif":
        raise UnreadableImageError(
            f"is an array of {array.dtype}, which are no grey values; give uint8, uint16 or floats in [0, 1]"
        )
    pixels = _channels_last(array, first=channels_first)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)  # as this machine has them
    if not pixels.size:
        raise UnreadableImageError(f"is an array of the shape {array.shape}, which has no pixels")
    if scale is not None:
        return picture_of(_scaled(pixels, _checked(scale)))
    if pixels.dtype == np.uint8:
        return picture_of(pixels)
    if pixels.dtype.kind == "f":
        bounds = _bounds(pixels)
        if bounds.low < 0 or bounds.high > 1:
            raise UnreadableImageError(
                f"is an array of {array.dtype} with numbers from {bounds.low:g} to {bounds.high:g}, but floats must "
                f"lie in [0, 1], 0 black and 1 white; {_say_scale(bounds)}"
            )
        return picture_of(_scaled(pixels, (0, 1)))
    if pixels.dtype != np.uint16:
        raise UnreadableImageError(
            f"is an array of {array.dtype}, which tells neither black nor white; give uint8, uint16 or floats in "
            f"[0, 1], or {_say_scale(_bounds(pixels))}"
        )
    if pixels.ndim == 3 and pixels.shape[2] > 1:
        raise UnreadableImageError(
            f"is an array with 16 bits in each of {pixels.shape[2]} channels; give one channel, or "
            f"{_say_scale(_bounds(pixels))}"
        )
    return picture_of(pixels)


class _Bounds(NamedTuple):
    """The least and the greatest number of an array."""

    low: float
    high: float


def _channels_last(array: NDArray[Any], *, first: bool) -> NDArray[Any]:
    """Return an array as (H, W) or (H, W, C)."""
    if array.ndim == 2:
        return array
    ends = [array.shape[axis] in CHANNELS for axis in (0, -1)] if array.ndim == 3 else [False, False]
    if not any(ends):
        raise UnreadableImageError(
            f"is an array of the shape {array.shape}, but one image is (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 "
            "channels; give several as a list, or as one array with four axes"
        )
    if ends[0] and (first or not ends[1]):
        return array.transpose(1, 2, 0)
    return array


def _bounds(pixels: NDArray[Any]) -> _Bounds:
    """Return the least and the greatest number; refuse what is no number."""
    low, high = float(pixels.min()), float(pixels.max())
    if not math.isfinite(high - low):
        raise UnreadableImageError("holds pixels that are not finite numbers")
    return _Bounds(low, high)


def _checked(scale: Scale) -> Scale:
    """Return a scale as two numbers, if that is what it is."""
    try:
        low, high = map(float, scale)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(high - low) and low < high):
        raise UnreadableImageError(
            f"cannot be shown by scale={scale!r}: give two numbers, that of black and a greater one of white, such as "
            "scale=(0, 255)"
        )
    return low, high


def _scaled(pixels: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    _bounds(pixels)
    shares = (pixels.astype(np.float64) - scale[0]) / (scale[1] - scale[0])
    grey: NDArray[np.uint8] = np.rint(shares.clip(0, 1) * 255).astype(np.uint8)
    return grey


def _say_scale(bounds: _Bounds) -> str:
    """Return how to say which numbers are black and white, with a pair that would fit."""
    span = bounds.high - bounds.low
    fitting = [one for one in SCALES if one[0] <= bounds.low and bounds.high <= one[1]]
    wide = [one for one in fitting if span * LARGEST_SCALE > one[1] - one[0]]
    low, high = next(iter([*wide, *([bounds] if span else []), *fitting, (bounds.low, bounds.low + 1)]))
    return f"say which numbers are black and white: scale=(BLACK, WHITE), such as scale=({low:g}, {high:g})"
