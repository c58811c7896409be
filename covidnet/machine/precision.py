"""float32 in full: what is reported, fitted or predicted is computed in it, whatever training computes in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# torch 2.9 has new switches, and refuses to tell the state of an old one that a new one has overruled.
_NEW = hasattr(torch.backends.cudnn, "conv")
_SWITCH, _OFF = ("fp32_precision", "ieee") if _NEW else ("allow_tf32", False)
_TF32: tuple[Any, ...] = (getattr(torch.backends.cudnn, "conv", torch.backends.cudnn), torch.backends.cuda.matmul)


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """Compute float32 as such: without autocast, and without TF32, in which an NVIDIA GPU keeps 10 of 23 bits.

    Convolutions take TF32 by default. The switches are those of the process; they are put back at the end.

    Args:
        device_type: Where the model is: "cuda", "cpu" or as torch names others.
    """
    before = [getattr(kind, _SWITCH) for kind in _TF32]
    try:
        for kind in _TF32:
            setattr(kind, _SWITCH, _OFF)
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        for kind, value in zip(_TF32, before, strict=True):
            setattr(kind, _SWITCH, value)
