"""One trial of a search: a training, what is told of it while it lasts, and why it may end early."""

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from optuna.trial import Trial
from pytorch_lightning.callbacks import Callback

from covidnet.series.base import refuse_processes
from covidnet.training.args import CommandLine
from covidnet.training.interface import CommandLineInterface
from covidnet.training.lightning import WholeCSVLogger

PRUNED, DIVERGED, MEMORY = "worse than the median", "not finite", "out of GPU memory"  # why a trial ended early
TRIALS = "search trains each trial"
SHARED = (  # what to do instead of several processes a trial
    "Leave out trainer=ddp and torchrun. To share a search, start the same command several times on one machine, each "
    "with its own CUDA_VISIBLE_DEVICES, and on several machines with storage=URL of a database that all of them reach."
)


class Judge(Callback):
    """Reports the monitored value of each validation to a trial and ends the training of one that does badly.

    Optuna's own callback derives from the class of another package, ``lightning``, which ours does not need.
    """

    def __init__(self, trial: Trial, monitor: str, better: Any) -> None:
        self.trial, self.monitor, self.better = trial, monitor, better
        self.values: list[float] = []  # one a validation, all finite
        self.epochs = 0
        self.ended: str | None = None  # why the training was ended early

    @property
    def best(self) -> float | None:
        """The best value so far."""
        best: float | None = self.better(self.values, default=None)
        return best

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(self.monitor)
        if trainer.sanity_checking or value is None or self.ended:
            return
        self.epochs = trainer.current_epoch + 1
        if not math.isfinite(value):
            self.ended = DIVERGED
        else:
            self.values.append(float(value))
            self.trial.report(float(value), step=len(self.values) - 1)
            if self.trial.should_prune():
                self.ended = PRUNED
        if self.ended:
            trainer.should_stop = True


class TrialRun(CommandLineInterface):
    """``fit`` as a trial of a search."""

    alone = False

    def __init__(self, line: CommandLine, folder: Path, judge: Judge) -> None:
        self.folder, self.judge, self.title = folder, judge, folder.name.replace("_", " ")
        super().__init__(line)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the trainer, with the judge."""
        trainer = super().instantiate_trainer(**kwargs)
        refuse_processes(trainer.world_size, TRIALS, SHARED)
        trainer.callbacks.append(self.judge)  # type: ignore[attr-defined]  # Lightning sets it while it connects its parts
        return trainer

    def run_logger(self, root: Path) -> WholeCSVLogger:
        return WholeCSVLogger(root, f"{self.name}/{self.folder.parent.name}", self.folder.name)


def out_of_memory(error: BaseException | None) -> bool:
    """Tell whether a GPU's memory was too small, whatever the error was turned into on its way."""
    while error is not None and not isinstance(error, torch.OutOfMemoryError):
        error = error.__cause__ or error.__context__
    return error is not None
