"""Each epoch, and the end of a run, to the object store that the run belongs to."""

import sys
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning import Callback, LightningModule

from covidnet.errors import UserError
from covidnet.runs.find import run_directory
from covidnet.runs.remote import RunStore, store_of
from covidnet.training.trainer import Trainer

WHILE_TRAINING = 2  # attempts: a store out of reach must not hold up each epoch for long


class WriteBack(Callback):
    """Send the run directory after each epoch; a store out of reach does not end the training.

    Args:
        runs: Where to.
    """

    def __init__(self, runs: RunStore) -> None:
        self.runs = runs
        self.run: Path | None = None  # on the one process that sends

    def on_fit_start(self, trainer: pl.Trainer, pl_module: LightningModule) -> None:
        run = trainer.run_directory  # type: ignore[attr-defined]  # asked for by all processes
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.run = run

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: LightningModule) -> None:
        """Send what the epoch before has left: only now have its metrics reached the logger."""
        self._send(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: LightningModule) -> None:
        self._send(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._send(trainer)

    def _send(self, trainer: pl.Trainer) -> None:
        if self.run is None:
            return
        try:
            for logger in trainer.loggers:
                logger.save()
            self.runs.send(self.run, WHILE_TRAINING)
        except (UserError, OSError) as error:
            print(f"covidnet: {error} It stays in {self.run} and is sent later.", file=sys.stderr)


def send_rest(trainer: Trainer, runs: RunStore | None, ckpt_path: str | None) -> None:
    """Send the rest of a run to its store, and a new count of tests to that of the tested run.

    Args:
        trainer: What ran; to be called by all its processes.
        runs: The store of the run, if it has one.
        ckpt_path: The checkpoint that was tested, or begun with; None where a run went on.
    """
    folder = trainer.run_directory  # asked for by all processes
    if not trainer.is_global_zero:
        return
    if runs:
        runs.send_at_end(folder)
    tested = run_directory(Path(ckpt_path)) if ckpt_path else None
    home = store_of(tested) if tested else None
    if home and tested:
        home.send_at_end(tested)
