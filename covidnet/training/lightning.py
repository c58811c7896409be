"""All that is taken from the insides of Lightning and jsonargparse, in one place, under names of our own.

Elsewhere nothing overrides or reads a private name of theirs. A test holds each of them to exist in its parent, because
a renamed one would be overridden in vain, without a word.
"""

import csv
import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any, cast

import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser
from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.plugins.io import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback, Checkpoint, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from covidnet.errors import UserError
from covidnet.files.reading import UNREADABLE, read_table
from covidnet.files.tensors import read_tensors
from covidnet.files.whole import Ahead, link_whole, whole
from covidnet.runs.files import LAST, unreadable
from covidnet.seeds import LARGEST_SEED

_received: set[int] = set()  # signals that this process was told
Row = dict[str, Any]  # of metrics.csv


class OneCommandLine(LightningCLI):
    """LightningCLI over one subcommand, whose inner steps ``perform``, ``seed`` and ``given`` may be overridden."""

    def perform(self, command: str) -> None:
        """Run the method of the trainer that the command names, and the hooks around it."""
        super()._run_subcommand(command)

    def seed(self) -> None:
        """Seed all random numbers by ``seed_everything``.

        Raises:
            UserError: Where that is no seed.
        """
        try:
            super()._set_seed()
        except ValueError as error:
            raise UserError(f"seed_everything must be a number from 0 to {LARGEST_SEED}: {error}.") from error

    def given(self, command: str) -> dict[str, Any]:
        """Return what the trainer's method is given."""
        return super()._prepare_subcommand_kwargs(command)

    def command_parser(self, command: str) -> LightningArgumentParser:
        """Return the parser of the command."""
        return self._subcommand_parsers[command]

    def plain_config(self) -> dict[str, Any]:
        """Return the configuration of the command as plain types, as config.yaml has it."""
        self._dump_config()
        return dict(self.config_dump)

    def _run_subcommand(self, subcommand: str) -> None:
        self.perform(subcommand)

    def _set_seed(self) -> None:
        self.seed()

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return self.given(subcommand)

    def _parse_ckpt_path(self) -> None:
        """Leave out Lightning's own restoring of the model's configuration, which overrides what was typed."""


def types_of_keys(parsers: Iterable[ArgumentParser]) -> dict[str, Any]:
    """Return the type of each key that parsers take."""
    actions = (action for parser in parsers for action in parser._actions)
    return {action.dest: getattr(action, "_typehint", action.type) for action in actions}


def keep_whole(trainer: pl.Trainer) -> None:
    """Have SIGTERM end a training between two batches, and checkpoints written whole or not at all."""
    trainer._signal_connector = SignalConnector(trainer)
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeCheckpoints()


def terminated() -> bool:
    """Tell whether SIGTERM came to this process in a training or test."""
    return signal.SIGTERM in _received


class SignalConnector(_SignalConnector):
    """Lightning's, whose handler only takes note of SIGTERM and passes it on to the processes that this one started.

    The training loop asks for the note after each batch, and rank 0 tells it to all before the next. Lightning's own
    handler tells it from within the signal, between any two collective calls: where each process gets the signal, as
    from torchrun, they then wait for one another for ever.
    """

    def __init__(self, trainer: Any) -> None:
        super().__init__(trainer)
        _received.clear()  # of another training in this process

    def _sigterm_notifier_fn(self, signum: Any, _: FrameType) -> None:
        launcher = self.trainer.strategy.launcher
        if launcher is not None and not self.received_sigterm:
            launcher.kill(signum)
        self.received_sigterm = True
        _received.add(signum)

    def teardown(self) -> None:
        """Give back the signals as they were, but for that of ended children.

        torch takes that one to tell of dead workers, once a process: a test after the training would not hear of them.
        """
        if os.name == "posix":
            self._original_handlers.pop(signal.SIGCHLD, None)
        super().teardown()


def put_first(trainer: pl.Trainer, own: Sequence[Callback]) -> None:
    """Have the run's own checkpoints come before those of the user's: the first is the one that Lightning asks.

    A checkpoint of the user's that fails then loses none of the run's.
    """
    places = {id(one): place for place, one in enumerate(own)}
    listed: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it on the trainer
    listed.sort(key=lambda one: places.get(id(one), len(own)) if isinstance(one, Checkpoint) else -1)


class LastCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint that the user may have one like, among ``trainer.callbacks``: then it stands ``apart``."""

    apart = False

    @property
    def state_key(self) -> str:
        """What Lightning tells callbacks apart by; as it always was, where none is like it."""
        key = super().state_key
        return key if self.apart else key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)


def last_checkpoint() -> LastCheckpoint:
    """Return what keeps ``last.ckpt`` of each whole epoch.

    With ``save_last``, Lightning's ModelCheckpoint writes it only in epochs that improve on the best.
    """
    return LastCheckpoint(
        filename=Path(LAST).stem, monitor=None, save_on_train_epoch_end=True, enable_version_counter=False
    )


class WholeCheckpoints(TorchCheckpointIO):
    """Write checkpoints whole or not at all; Lightning moves them from another disk, perhaps, and trusts its cache.

    What is saved again at the same moment, as best and as last of an epoch, is one file under two names: serialising
    and syncing it once more cost as much as the first time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: tuple[Path, Any, Any] | None = None  # the newest file, how it was left, and of which moment

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write what ``torch.load`` reads with ``weights_only=True``."""
        if "://" in str(path):  # a callback of the user's own, into an object store
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        file, moment = Path(path), _moment(checkpoint)
        file.parent.mkdir(parents=True, exist_ok=True)
        if self._written and self._written[1:] == (_left(self._written[0]), moment):
            link_whole(self._written[0], file)
        else:
            with whole(file, "wb") as out:
                torch.save(checkpoint, cast("IO[bytes]", Ahead(out)))
        self._written = (file, _left(file), moment)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Return what a checkpoint holds, on the CPU, without running code in it; ``weights_only`` changes nothing."""
        if "://" in str(path):  # no command of ours gives one
            return super().load_checkpoint(path, map_location or (lambda storage, _: storage), True)
        return read_tensors(Path(path))


def _moment(state: Any) -> Any:
    """Return what tells the moment of a training that a checkpoint is of, equal for two of the same moment alone.

    Counters, scores and settings count by their values. Tensors are not read: what counts is where they lie and how
    often they were written. What is neither is equal to nothing.
    """
    if isinstance(state, dict):
        return {key: _moment(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_moment(value) for value in state]
    if isinstance(state, torch.Tensor):
        written = None if state.is_inference() else state._version
        return (state.data_ptr(), written, state.dtype, state.shape, state.stride())
    return state if isinstance(state, int | float | str | None) else object()


def _left(file: Path) -> Any:
    """Return what tells whether a file is as it was left; None where it is gone."""
    try:
        status = file.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


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
            try:
                rows: list[Row] = [*read_table(file)[1]]
            except UNREADABLE as error:
                raise unreadable(file, error) from error
            self.metrics = [{key: value for key, value in row.items() if value} for row in rows]
