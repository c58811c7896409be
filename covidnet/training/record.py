"""What makes a run repeatable and its resumption exact: split, recipe, metrics, order and seeds of each epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from covidnet.__version__ import __version__
from covidnet.files.plain import is_mapping, is_number
from covidnet.machine.telling import tell
from covidnet.runs.checkpoint import KEY
from covidnet.runs.files import SPLIT
from covidnet.seeds import seed_epoch
from covidnet.training.blame import blame
from covidnet.training.lightning import LastCheckpoint, Row, WholeCSVLogger
from covidnet.training.trainer import Trainer


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
        self.restoring = False  # between the reading of a checkpoint and the first step from it
        self.keepers: Sequence[Callback] = ()  # the run's own early stopping and checkpoints
        self.ending: Row | None = None  # of the epoch that is just ending: Lightning logs it after the checkpoint

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far, for a checkpoint."""
        rows = [*self.logger.rows, *([self.ending] if self.ending else [])]
        return {"metrics": rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of a checkpoint.

        Raises:
            ValueError: Where they are none.
        """
        rows = state_dict["metrics"]
        if not isinstance(rows, list) or not all(map(_is_row, rows)):
            raise ValueError("its rows of metrics.csv are no numbers by their names")
        self.resumed = rows

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # type: ignore[override]
        self.restoring = True  # if there is a checkpoint

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
        check_restored(trainer)
        for stopping in trainer.early_stopping_callbacks:
            if stopping is not None and stopping.wait_count >= stopping.patience:
                trainer.should_stop = True
                tell(
                    f"Early stopping had ended this training after {trainer.current_epoch} epochs. To train on, give "
                    f"early_stopping.patience above {stopping.patience}."
                )
        self.restoring = False

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # type: ignore[override]
        self.restoring = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # type: ignore[override]
        self.restoring = self.restoring and not trainer.validating  # the checks before a training are none

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # type: ignore[override]
        self.ending = None
        seed_epoch(trainer.current_epoch, trainer.global_rank)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Have a training that ends by its steps in mid-epoch be validated, as one that ends by time is."""
        if trainer.max_steps is not None and 0 < trainer.max_steps <= trainer.global_step:
            trainer.should_stop = True

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
        # What keeps last.ckpt need remember nothing; without it, an epoch has one checkpoint, as best and as last.
        for keeper in self.keepers:
            if isinstance(keeper, LastCheckpoint):
                checkpoint["callbacks"].pop(keeper.state_key, None)
        checkpoint[KEY] = {**self.recipe, "model": model, "classes": classes, "version": __version__}

    def on_load_checkpoint(  # type: ignore[override]
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep Lightning's callbacks from two mistakes.

        ModelCheckpoint forgets the best score where its folder has another name now, and EarlyStopping takes the
        patience of the checkpoint over the one that was typed. A path that leads elsewhere is dropped: Lightning
        removes the file of a best model that is the best no more.
        """
        if not _are_counters(checkpoint.get("loops", {})):
            raise ValueError("what it counts of epochs and steps are no counts")
        given = trainer.ckpt_path
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            state = checkpoint.get("callbacks", {}).get(callback.state_key)
            if state and isinstance(callback, ModelCheckpoint) and callback.dirpath:
                folder = Path(callback.dirpath)
                _follow(state, folder)
                _keep_inside(state, [folder, Path(given).parent] if given else [folder])
            if state and isinstance(callback, EarlyStopping):
                state["patience"] = callback.patience

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # type: ignore[override]
        """Keep a whole epoch in whose end somebody's callback failed."""
        epochs: Any = trainer.fit_loop.epoch_progress.current
        if blame(exception) and trainer.world_size == 1 and epochs.processed > epochs.completed:
            self.on_train_epoch_end(trainer, pl_module)
            pl_module.on_train_epoch_end()
            for keeper in self.keepers:
                keeper.on_train_epoch_end(trainer, pl_module)


def _follow(state: dict[str, Any], folder: Path) -> None:
    """Change the paths in a ModelCheckpoint's state to ``folder``, if the files that it names lie there."""

    def here(path: str) -> str:
        return str(folder / Path(path).name) if path else ""

    names = ("best_model_path", "kth_best_model_path", "last_model_path")
    if all(Path(here(state[name])).is_file() for name in names if state.get(name)):
        state["dirpath"] = str(folder)
        state["best_k_models"] = {here(path): score for path, score in state["best_k_models"].items()}
        state.update({name: here(state[name]) for name in names})


def _keep_inside(state: dict[str, Any], folders: list[Path]) -> None:
    """Drop the paths in a ModelCheckpoint's state that lie in none of the folders."""
    allowed = [folder.resolve() for folder in folders]

    def inside(path: object) -> bool:
        return path == "" or (isinstance(path, str) and Path(path).parent.resolve() in allowed)

    models = state.get("best_k_models", {})
    state["best_k_models"] = {path: score for path, score in models.items() if path and inside(path)}
    for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
        if not inside(state.get(name, "")):
            state[name] = ""
    if not state["best_k_models"]:
        state["kth_best_model_path"] = ""


def _are_counters(state: object) -> bool:
    """Tell the counts of Lightning's loops, whatever else a loop keeps: Lightning adds to them in mid-training."""
    if not isinstance(state, dict):
        return True
    counts = [state[name] for name in ("ready", "started", "processed", "completed") if name in state]
    plain = all(isinstance(count, int) and 0 <= count < 2**53 for count in counts)
    return plain and all(map(_are_counters, state.values()))


def _is_row(row: object) -> bool:
    return is_mapping(row) and all(isinstance(value, int | float | str | None) for value in row.values())  # type: ignore[attr-defined]  # a dict


def _is_score(score: object) -> bool:
    return isinstance(score, torch.Tensor) and score.numel() == 1 and score.is_floating_point()


def check_restored(trainer: Any) -> None:
    """Refuse a checkpoint whose optimizer, early stopping or best models are none to go on with.

    Raises:
        ValueError: Saying which.
    """
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            rates = [group["lr"], *group.get("betas", ()), group.get("eps", 0.0)]
            if not all(is_number(float(rate), 0) for rate in rates):
                raise ValueError("its optimizer has rates that are no numbers")
        for weight, state in optimizer.state.items():
            values = [value for value in state.values() if isinstance(value, torch.Tensor)]
            if not all(one.is_floating_point() and one.shape in (torch.Size(), weight.shape) for one in values):
                raise ValueError("its optimizer's state does not fit the weights")
    for callback in trainer.callbacks:
        scores = [getattr(callback, name, None) for name in ("best_score", "best_model_score", "kth_value")]
        scores += list(getattr(callback, "best_k_models", {}).values())
        if not all(score is None or _is_score(score) for score in scores):
            raise ValueError(f"the scores of its {type(callback).__name__} are no numbers")
