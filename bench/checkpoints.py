"""What the checkpoints of an epoch cost: seconds, and of these in fsync; where it is the best so far, and where not.

python -m bench.checkpoints --epochs 12
"""

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from covidnet.commands.train import main as train


class Clock:
    """Seconds that a function of a module takes, added up."""

    def __init__(self, owner: Any, name: str) -> None:
        self.seconds = 0.0
        self.timed: Callable[..., Any] = getattr(owner, name)
        setattr(owner, name, self)

    def __get__(self, instance: Any, _: Any = None) -> Callable[..., Any]:
        return lambda *given, **options: self(instance, *given, **options)

    def __call__(self, *given: Any, **options: Any) -> Any:
        """Call the function."""
        began = time.perf_counter()
        try:
            return self.timed(*given, **options)
        finally:
            self.seconds += time.perf_counter() - began


class Saving(Clock):
    """Lightning's ``save_checkpoint``, with what it takes of another clock, by the epoch."""

    def __init__(self, syncing: Clock) -> None:
        super().__init__(pl.Trainer, "save_checkpoint")
        self.syncing = syncing
        self.epochs: dict[int, list[tuple[float, float]]] = defaultdict(list)

    def __call__(self, trainer: pl.Trainer, *given: Any, **options: Any) -> Any:
        """Save a checkpoint."""
        before = (self.seconds, self.syncing.seconds)
        super().__call__(trainer, *given, **options)
        self.epochs[trainer.current_epoch].append((self.seconds - before[0], self.syncing.seconds - before[1]))


def main() -> None:
    """Train on drawn images and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("keys", nargs="*", help="of covidnet: model=inception model.pretrained=false ...")
    args = parser.parse_args()
    syncing = Clock(os, "fsync")
    saving = Saving(syncing)
    with tempfile.TemporaryDirectory(prefix="covidnet-bench") as folder:
        keys = [f"trainer.default_root_dir={folder}", f"trainer.max_epochs={args.epochs}", *args.keys]
        quiet = ["trainer.enable_progress_bar=false", "early_stopping.patience=1000"]
        train(["fit", "data=phantom", *quiet, *keys])
    elsewhere = syncing.seconds - sum(sync for saves in saving.epochs.values() for _, sync in saves)
    for count, what in ((2, "the best so far"), (1, "not the best")):
        found = [
            [sum(part) for part in zip(*saves, strict=True)] for saves in saving.epochs.values() if len(saves) == count
        ]
        if found:
            seconds, sync = (statistics.median(part) for part in zip(*found, strict=True))
            print(f"{len(found)} epochs, {what}: {seconds:.3f} s an epoch, of which fsync {sync:.3f} s")
    print(f"fsync of other files: {elsewhere / args.epochs:.3f} s an epoch")


if __name__ == "__main__":
    main()
