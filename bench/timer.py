"""A Lightning callback that times epochs: training and validation, without the writing of checkpoints."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer


class EpochTimer(Callback):
    """Write ``file``: seconds of each epoch from its first batch to the end of its validation, and between epochs.

    Args:
        file: JSON file to write at the end of the training.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.began = 0.0
        self.ended: float | None = None
        self.epochs: list[float] = []
        self.between: list[float] = []  # checkpoints, logging

    def on_train_epoch_start(self, *args: Any) -> None:
        self.began = time.perf_counter()
        if self.ended is not None:
            self.between.append(self.began - self.ended)

    def on_validation_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.sanity_checking:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ended = time.perf_counter()
        self.epochs.append(self.ended - self.began)

    def on_fit_end(self, *args: Any) -> None:
        self.file.write_text(json.dumps({"epochs": self.epochs, "between": self.between}))
