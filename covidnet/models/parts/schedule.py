"""How the learning rate changes over a training."""

import math
from functools import partial
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal["constant", "cosine"]


def learning_rate_factor(step: int, *, warmup: float, total: float, schedule: Schedule) -> float:
    """Return the share of the learning rate at ``step``, counted from 0, of ``total`` steps.

    It rises linearly over the first ``warmup`` steps; then it stays, or falls along half a cosine to 0 (Loshchilov and
    Hutter 2017, arXiv:1608.03983, without restarts).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    gone = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, gone)))


def scheduler(optimizer: Optimizer, schedule: Schedule, *, warmup: float, total: float) -> LambdaLR:
    """Return what sets the learning rate of ``optimizer`` at each step."""
    return LambdaLR(optimizer, partial(learning_rate_factor, warmup=warmup, total=total, schedule=schedule))
