"""What is written, and what it shows."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.written.bits import Samples, Sign

HEIGHT, WIDTH = 23, 29  # no multiple of a byte, a strip or a tile
NARROW = 1 / 16  # of the range: 12 bits in 16
Floats = NDArray[np.float64]


class Written(NamedTuple):
    """A file, and what it shows: (H, W) or (H, W, 3), 0 black and 255 white; None where nobody can know."""

    content: bytes
    shown: Floats | None
    within: float = 1  # grey values: what a coder loses


Make = Callable[[np.random.Generator], Written]


def shares(rng: np.random.Generator, channels: int = 0) -> Floats:
    """Return random shares of white, (H, W) or (H, W, C); 0 and 1 are among them, in each channel."""
    found = rng.random((HEIGHT, WIDTH, channels) if channels else (HEIGHT, WIDTH))
    found[0, 0], found[-1, -1] = 0, 1
    return found


def scaled(samples: Samples) -> Floats:
    """Return samples from their own minimum and maximum to 0 and 255, as more than 8 bits are shown."""
    low, high = float(samples.min()), float(samples.max())
    return (samples - low) * (255 / (high - low))


def shown_of(samples: Samples, bits: int, sign: Sign = "u") -> Floats:
    """Return what unsigned samples of up to 8 bits show as they are, and others by their own range."""
    return samples * (255 / ((1 << bits) - 1)) if sign == "u" and bits <= 8 else scaled(samples)
