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


def timed(function: Callable[..., Any], told: Callable[[float], None]) -> Callable[..., Any]:
    """Return a function that tells the seconds of each call."""

    def call(*given: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*given, **options)
        finally:
            told(time.perf_counter() - began)

    return call


def main() -> None:
    """Train on drawn images and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("keys", nargs="*", help="of covidnet: model=inception model.pretrained=false ...")
    args = parser.parse_args()
    synced: list[float] = []  # seconds of each fsync
    saves: dict[int, list[tuple[float, float]]] = defaultdict(list)  # epoch -> seconds of each save, and of its fsyncs
    save = pl.Trainer.save_checkpoint

    def save_timed(trainer: pl.Trainer, *given: Any, **options: Any) -> None:
        before, took = len(synced), list[float]()
        timed(save, took.append)(trainer, *given, **options)
        saves[trainer.current_epoch].append((*took, sum(synced[before:])))

    os.fsync = timed(os.fsync, synced.append)
    pl.Trainer.save_checkpoint = save_timed  # type: ignore[assignment, method-assign]
    with tempfile.TemporaryDirectory(prefix="covidnet-bench") as folder:
        keys = [f"trainer.default_root_dir={folder}", f"trainer.max_epochs={args.epochs}", *args.keys]
        train(["fit", "data=phantom", "trainer.enable_progress_bar=false", "early_stopping.patience=1000", *keys])
    for names, what in ((2, "the best so far"), (1, "not the best")):
        epochs = [[sum(parts) for parts in zip(*pairs, strict=True)] for pairs in saves.values() if len(pairs) == names]
        if epochs:
            seconds, syncing = (statistics.median(parts) for parts in zip(*epochs, strict=True))
            print(f"{len(epochs)} epochs, {what}: {seconds:.3f} s an epoch, of which fsync {syncing:.3f} s")


if __name__ == "__main__":
    main()
