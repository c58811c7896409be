"""Which device a command computes on, and how its memory is free again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from covidnet.errors import UserError


def best_device() -> str:
    """Return what ``auto`` means: "cuda", a GPU of NVIDIA or AMD, where there is one, else "cpu".

    Apple's GPUs are for those who name them: torch lacks operations there, and has had wrong gradients.
    """
    return "cuda" if torch.cuda.is_available() else "cpu"


def find_device(given: str | None) -> torch.device:
    """Return the device that ``--device`` names, or a GPU where there is one, else the CPU.

    Raises:
        UserError: Where there is no such device here.
    """
    name = given or best_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    # An unknown name is a RuntimeError, a GPU without its driver an AssertionError.
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


@contextmanager
def freed_afterwards() -> Iterator[None]:
    """Free what a run held before another begins: model, trainer and data hold one another, and a GPU's memory."""
    try:
        yield
    finally:
        gc.collect()
        torch.cuda.empty_cache()  # to the system, which is asked how much is free
