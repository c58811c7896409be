"""Numbers of any number of bits -> bytes, as the formats pack them."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["<", ">"]  # little-endian, big-endian
Sign = Literal["u", "i", "f"]  # unsigned, signed, floating point
Samples = NDArray[Any]  # (H, W) or (H, W, C)


def packed(samples: Samples, bits: int, order: Order = ">", sign: Sign = "u") -> bytes:
    """Return rows of samples, each row from a new byte on; of fewer than 8 bits, and of 12, the upper ones first."""
    if bits in (8, 16, 32, 64):
        return samples.astype(f"{order}{sign}{bits // 8}").tobytes()
    rows = samples.reshape(len(samples), -1).astype(np.int64)
    single = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1  # (H, W * C, bits)
    return np.packbits(single.astype(np.uint8).reshape(len(rows), -1), axis=1).tobytes()


def mirrored(data: bytes) -> bytes:
    """Return bytes with the bits of each in the other order."""
    single = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(-1, 8)[:, ::-1]
    return np.packbits(single).tobytes()


def in_range(samples: Samples, bits: int, sign: Sign) -> Samples:
    """Return shares (0 to 1) as numbers that use a type's range, or 53 bits of it; floats stay as they are."""
    if sign == "f":
        return samples
    low = -(1 << (bits - 1)) if sign == "i" else 0
    return np.rint(samples * ((1 << min(bits, 53)) - 1)).astype(np.int64) + low
