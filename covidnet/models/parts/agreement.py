"""How far a replayed step may be from the eager one."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from covidnet.models.parts.step import Kinds

# As shares of what the eager step gives or changes. Adam's first steps turn the last bits of a gradient into a whole
# step of the weight: what is wrong shows elsewhere too.
LIMITS = {"losses": 0.1, "logits": 0.1, "counts": 0.0, "buffers": 0.2, "moments": 0.2, "weights": 0.5}
GIVEN = ("losses", "logits")  # compared as they are, all else by how it changes
NOISE = 4  # times what two eager steps are apart, if that is more: GPUs add in any order


def difference(eager: Kinds, replayed: Kinds, noise: Mapping[str, float]) -> str:
    """Return how a replay is not the eager step, or nothing where it is; a loss that is lost anyway tells nothing."""
    if not all(loss.isfinite() for loss in eager["losses"]):
        return ""
    faults = []
    for kind, off in gaps(eager, replayed).items():
        if not off <= max(LIMITS[kind], NOISE * noise[kind]):  # what is no number is no match
            faults.append(f"its {kind} are off by {off:.2f} of {'their size' if kind in GIVEN else 'the change'}")
    return ", ".join(faults)


def gaps(expected: Kinds, found: Kinds) -> dict[str, float]:
    """Return the length of the difference over that of what was expected, for each name of LIMITS."""
    return {kind: _gap(expected[kind], found[kind]) for kind in LIMITS}


def _gap(expected: Sequence[Tensor], found: Sequence[Tensor]) -> float:
    off = _length(a.float() - b.float() for a, b in zip(expected, found, strict=True))
    return off / length if (length := _length(expected)) else (math.inf if off else 0.0)


def _length(tensors: Iterable[Tensor]) -> float:
    lengths = [torch.linalg.vector_norm(tensor.float()) for tensor in tensors]
    return float(torch.linalg.vector_norm(torch.stack(lengths))) if lengths else 0.0
