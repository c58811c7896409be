"""What makes a run repeatable: its split, its recipe inside the checkpoints, its metrics.csv."""

import csv
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from covidnet import __version__
from covidnet.checkpoints import KEY
from covidnet.results import SPLIT
from covidnet.trainer import Trainer


class RunRecord(Callback):
    """Write ``split.csv`` when training begins and put the recipe into every checkpoint.

    Args:
        recipe: ``name`` of the run's folder, the ``model`` and ``data`` sections of its configuration, and what of it
            tells when ``training`` ends.
    """

    def __init__(self, recipe: dict[str, Any]) -> None:
        self.recipe = recipe

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # type: ignore[override]
        folder = trainer.run_directory
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            folder.mkdir(parents=True, exist_ok=True)
            trainer.datamodule.write_split(folder / SPLIT)  # type: ignore[attr-defined]

    def on_save_checkpoint(  # type: ignore[override]
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        classes = trainer.datamodule.classes  # type: ignore[attr-defined]
        # The model's own record has the last word: it knows that a checkpoint needs no weights from elsewhere.
        arguments = self.recipe["model"]["init_args"]
        own = {key: value for key, value in pl_module.hparams.items() if key in arguments}
        model = {**self.recipe["model"], "init_args": {**arguments, **own}}
        checkpoint[KEY] = {**self.recipe, "model": model, "classes": classes, "version": __version__}

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # type: ignore[override]
        """Say on Ctrl-C what is kept and how to go on."""
        last = Path(getattr(trainer.checkpoint_callback, "last_model_path", "") or "none")
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero and last.is_file():
            print(f"\nInterrupted after {trainer.current_epoch} whole epochs. To go on: ckpt_path={last}")


class AppendingCSVLogger(CSVLogger):
    """CSVLogger that goes on in the ``metrics.csv`` of a resumed run; Lightning's deletes it."""

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer of this run's metrics.csv."""
        if self._experiment is None:
            self._experiment = _AppendingWriter(log_dir=self.log_dir)
        assert isinstance(self._experiment, ExperimentWriter)
        return self._experiment


class _AppendingWriter(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        file = Path(self.metrics_file_path)
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as lines:
                self.metrics_keys = next(csv.reader(lines), [])
