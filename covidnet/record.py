"""What makes a run repeatable and its resumption exact: split, recipe, metrics, order and seeds of each epoch."""

import csv
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.plugins.io import TorchCheckpointIO
from lightning_utilities.core.rank_zero import rank_zero_info
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from covidnet import __version__
from covidnet.checkpoints import KEY, LAST
from covidnet.files import whole
from covidnet.results import SPLIT
from covidnet.seeds import seed_epoch
from covidnet.trainer import Trainer

Row = dict[str, Any]  # of metrics.csv


class RunRecord(Callback):
    """Write ``split.csv`` when training begins; have all checkpoints hold the recipe and the rows of ``metrics.csv``.

    A training that goes on from the checkpoint of a whole epoch ends with the bits of one that was never interrupted:
    each epoch has its own seed, ``metrics.csv`` goes on after that epoch, and early stopping that had ended the
    training ends it again.

    Args:
        recipe: ``name`` of the run's folder, the ``model`` and ``data`` sections of its configuration, and what of it
            tells when ``training`` ends.
        logger: What writes ``metrics.csv``.
    """

    def __init__(self, recipe: dict[str, Any], logger: "WholeCSVLogger") -> None:
        self.recipe = recipe
        self.logger = logger
        self.resumed: list[Row] | None = None
        self.ending: Row | None = None  # of the epoch that is just ending: Lightning logs it after the checkpoint

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far, for a checkpoint."""
        rows = [*self.logger.rows, *([self.ending] if self.ending else [])]
        return {"metrics": rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of a checkpoint."""
        self.resumed = state_dict["metrics"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # type: ignore[override]
        folder = trainer.run_directory
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            folder.mkdir(parents=True, exist_ok=True)
            trainer.datamodule.write_split(folder / SPLIT)  # type: ignore[attr-defined]
        if self.resumed is not None:
            self.logger.rows = self.resumed
            self.resumed = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # type: ignore[override]
        """End a training again that early stopping had ended; Lightning would train one more epoch."""
        for stopping in trainer.early_stopping_callbacks:
            if stopping is not None and stopping.wait_count >= stopping.patience:
                trainer.should_stop = True
                rank_zero_info(
                    f"Early stopping had ended this training after {trainer.current_epoch} epochs. To train on, give "
                    f"early_stopping.patience above {stopping.patience}."
                )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # type: ignore[override]
        self.ending = None
        seed_epoch(trainer.current_epoch, trainer.global_rank)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # type: ignore[override]
        trained = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("train_")}
        self.ending = {**trained, "epoch": trainer.current_epoch, "step": trainer.global_step - 1}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # type: ignore[override]
        self.ending = None

    def on_save_checkpoint(  # type: ignore[override]
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        classes = trainer.datamodule.classes  # type: ignore[attr-defined]
        # The model's own record has the last word: it knows that a checkpoint needs no weights from elsewhere.
        arguments = self.recipe["model"]["init_args"]
        own = {key: value for key, value in pl_module.hparams.items() if key in arguments}
        model = {**self.recipe["model"], "init_args": {**arguments, **own}}
        checkpoint[KEY] = {**self.recipe, "model": model, "classes": classes, "version": __version__}

    def on_load_checkpoint(  # type: ignore[override]
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep Lightning's callbacks from two mistakes.

        ModelCheckpoint forgets the best score where its folder has another name now, and EarlyStopping takes the
        patience of the checkpoint over the one that was typed.
        """
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            state = checkpoint.get("callbacks", {}).get(callback.state_key)
            if state and isinstance(callback, ModelCheckpoint) and callback.dirpath:
                _follow(state, Path(callback.dirpath))
            if state and isinstance(callback, EarlyStopping):
                state["patience"] = callback.patience

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # type: ignore[override]
        """Say on Ctrl-C what is kept and how to go on."""
        last = Path(self.logger.log_dir, "checkpoints", LAST)  # the trainer would ask all processes for it
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero and last.is_file():
            print(f"\nInterrupted after {trainer.current_epoch} whole epochs. To go on: ckpt_path={last}")


def _follow(state: dict[str, Any], folder: Path) -> None:
    """Change the paths in a ModelCheckpoint's state to ``folder``, if the files that it names lie there."""

    def here(path: str) -> str:
        return str(folder / Path(path).name) if path else ""

    names = ("best_model_path", "kth_best_model_path", "last_model_path")
    if all(Path(here(state[name])).is_file() for name in names if state.get(name)):
        state["dirpath"] = str(folder)
        state["best_k_models"] = {here(path): score for path, score in state["best_k_models"].items()}
        state.update({name: here(state[name]) for name in names})


def last_checkpoint() -> ModelCheckpoint:
    """Return what keeps ``last.ckpt`` of each whole epoch.

    With ``save_last``, Lightning's ModelCheckpoint writes it only in epochs that improve on the best.
    """
    return ModelCheckpoint(
        filename=Path(LAST).stem, monitor=None, save_on_train_epoch_end=True, enable_version_counter=False
    )


class WholeCheckpoints(TorchCheckpointIO):
    """Write checkpoints whole or not at all; Lightning moves them from another disk, perhaps, and trusts its cache."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write what ``torch.load`` reads with ``weights_only=True``."""
        if "://" in str(path):  # a callback of the user's own, into an object store
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file, "wb") as out:
            torch.save(checkpoint, out)


class WholeCSVLogger(CSVLogger):
    """CSVLogger whose ``metrics.csv`` is always whole, and goes on when a run is resumed; Lightning's is deleted."""

    def __init__(self, save_dir: Path, name: str, version: int | str | None = None) -> None:
        super().__init__(save_dir, name, version, flush_logs_every_n_steps=1)

    @property
    def rows(self) -> list[Row]:
        """What was logged so far, on the first process; empty on others."""
        writer = self.experiment
        return list(writer.metrics) if isinstance(writer, _WholeWriter) else []

    @rows.setter
    def rows(self, rows: list[Row]) -> None:
        writer = self.experiment
        if isinstance(writer, _WholeWriter):
            writer.metrics = list(rows)
            writer.save()

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer of this run's metrics.csv."""
        if self._experiment is None:
            self._experiment = _WholeWriter(log_dir=self.log_dir)
        assert isinstance(self._experiment, ExperimentWriter)
        return self._experiment


class _WholeWriter(ExperimentWriter):
    """Keeps all rows and writes them anew: two an epoch are few, and an appended line may be half a line."""

    def save(self) -> None:
        if not self.metrics:
            return
        columns = sorted(set().union(*self.metrics))
        with whole(Path(self.metrics_file_path), newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, columns)
            writer.writeheader()
            writer.writerows(self.metrics)

    def _check_log_dir_exists(self) -> None:
        file = Path(self.metrics_file_path)
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as lines:
                rows: list[Row] = list(csv.DictReader(lines))
            self.metrics = [{key: value for key, value in row.items() if value} for row in rows]
