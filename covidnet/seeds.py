"""The random numbers of an epoch are told by seed, epoch and process alone, so that a resumed run draws the same."""

import os
import random

import numpy as np
import torch

LARGEST_SEED = 2**32 - 1  # that NumPy takes


def run_seed() -> int | None:
    """Return ``seed_everything`` of this run, which Lightning keeps in the environment; None where it is off."""
    text = os.environ.get("PL_GLOBAL_SEED", "")
    return int(text) if text.isdecimal() else None


def derived_seed(*numbers: int) -> int:
    """Return a seed (64 bits) of its own for each tuple of numbers, 0 or more (NumPy's SeedSequence)."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def seed_epoch(epoch: int, rank: int) -> None:
    """Seed dropout and augmentation of an epoch on one process: torch on all devices, NumPy and Python.

    Args:
        epoch: 0 for the first.
        rank: Number of the process, so that no two draw the same masks.
    """
    seed = run_seed()
    if seed is None:
        return
    derived = derived_seed(seed, epoch, rank)
    torch.manual_seed(derived)
    np.random.seed(derived % 2**32)
    random.seed(derived)
