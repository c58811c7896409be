"""One measurement for each of several seeds, in folders that may be kept, so that the same command goes on."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

Measured = dict[str, float]


def each_seed(seeds: Sequence[int], folder: Path | None, measure: Callable[[Path, int], Measured]) -> list[Measured]:
    """Measure for each seed in a folder of its own below ``folder``, print a line, and return what was measured.

    Args:
        seeds: Whole numbers.
        folder: Where to work; one that goes afterwards where None.
        measure: A folder and a seed -> numbers by name. It may change the working directory.
    """
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        above = (folder or Path(scratch)).absolute()
        for seed in seeds:
            found.append(measure(above / str(seed), seed))
            print(f"seed {seed}: {', '.join(f'{name} {value:.4g}' for name, value in found[-1].items())}", flush=True)
        os.chdir("/")  # out of what goes now
    return found
