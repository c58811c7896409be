"""What a training tells while it lasts: data and model, a line an epoch, why it ended. A bar where an epoch is long."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from jsonargparse import Namespace
from pytorch_lightning.callbacks import Callback, EarlyStopping, ProgressBar, Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from rich.text import Text

from covidnet.data.located import Located
from covidnet.errors import printable
from covidnet.machine.parallel import progress_bar
from covidnet.runs.files import LAST
from covidnet.runs.screen import duration, print_next, screen
from covidnet.training.args import TRAINING, CommandLine, typed

PATIENCE = 5.0  # seconds after which work gets a bar
LONGEST_NAME = 40  # characters of a folder in the first line
BETWEEN = 4  # spaces between data and model


class TrainingScreen(Callback):
    """Tell a training on the screen, by the first of several processes; a GPU is asked for nothing within an epoch.

    Args:
        head: Tell data and model at the beginning, and at the end why it ended.
        epochs: Tell each epoch in a line.
        bar: On a terminal, show how far an epoch or a test has come that lasts longer than a few seconds.
        title: Begins that bar.
        line: The command line of a run that stands alone, for the commands that follow it: that which tests what was
            only fitted, and on Ctrl-C that which goes on.
    """

    def __init__(
        self,
        *,
        head: bool = True,
        epochs: bool = True,
        bar: bool = True,
        title: str = "",
        line: CommandLine | None = None,
    ) -> None:
        self.head, self.epochs, self.shows_bar, self.title, self.line = head, epochs, bar, title, line
        self.bar: Any = None
        self.best: float | None = None  # score of the best checkpoint, after the epoch before
        self.better = 0  # the last epoch in which early stopping saw something better
        self.began = self.epoch_began = time.monotonic()
        self.validated = False  # in this epoch
        self.over: tuple[int, Mapping[str, float]] | None = None  # an epoch that has not been told, and its numbers

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.began, self.over = time.monotonic(), None
        if self.head and trainer.is_global_zero:
            screen().print(_head(trainer, pl_module))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.best, self.better = _best(trainer), trainer.current_epoch - _waited(trainer)
        if trainer.current_epoch:
            self._say(trainer, f"going on after epoch {trainer.current_epoch}")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._tell_epoch(trainer)
        self.epoch_began, self.validated = time.monotonic(), False
        self._begin(trainer, f"epoch {trainer.current_epoch + 1}, training", trainer.num_training_batches)

    def on_train_batch_end(self, *given: Any) -> None:
        self._advance()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        within = f"epoch {trainer.current_epoch + 1}, validation" if trainer.state.fn == "fit" else "validating"
        lasted = time.monotonic() - self.epoch_began if trainer.state.fn == "fit" else 0.0
        self._begin(trainer, within, sum(trainer.num_val_batches), lasted)

    def on_validation_batch_end(self, *given: Any) -> None:
        self._advance()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validated = not trainer.sanity_checking
        self._end()
        if trainer.state.fn == "validate":
            loss, accuracy = (f"{float(trainer.callback_metrics[f'val_{name}']):.3f}" for name in ("loss", "accuracy"))
            if self.line and trainer.is_global_zero:
                screen().print(f"validation   loss {loss}   acc {accuracy}")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the numbers of the epoch; whether it is the best is known when its checkpoints are written."""
        self._end()
        stages = ("train_", "val_") if self.validated else ("train_",)
        known = trainer.callback_metrics.items() if self.epochs and trainer.is_global_zero else ()
        self.over = trainer.current_epoch + 1, {name: float(one) for name, one in known if name.startswith(stages)}

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._tell_epoch(trainer)
        took = duration(time.monotonic() - self.began)
        why = why_stopped(trainer, self.better)
        self._say(trainer, f"stopped after {_counted(trainer.current_epoch, 'epoch')}, {took}: {why}")
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if best and self.line and self.line.command == "fit" and trainer.is_global_zero:
            print_next([typed("test", [f"ckpt_path={best}"])])

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin(trainer, "testing", sum(trainer.num_test_batches))

    def on_test_batch_end(self, *given: Any) -> None:
        self._advance()

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._end()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show how far the images have come to which a trained model is fitted: those that validate."""
        self._begin(trainer, "validating", sum(trainer.num_predict_batches))

    def on_predict_batch_end(self, *given: Any) -> None:
        self._advance()

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._end()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Tell the epoch that a training ended with; on Ctrl-C what is kept, and the command that goes on."""
        self._end()
        if not isinstance(exception, KeyboardInterrupt):  # an epoch whose end was interrupted is not kept
            self._tell_epoch(trainer)
        elif self.line and trainer.is_global_zero:
            folder: Any = trainer.logger and trainer.logger.log_dir  # the trainer would ask all processes for it
            last = Path(folder if isinstance(folder, str) else "", "checkpoints", LAST)
            going_on = self.line.command in TRAINING and last.is_file()
            kept = f" after {_counted(trainer.current_epoch, 'whole epoch')}" if going_on else ""
            print(f"\nInterrupted{kept}. To go on:\n  {self.line.again(last if going_on else None)}", file=sys.stderr)

    def _tell_epoch(self, trainer: pl.Trainer) -> None:
        """Tell the epoch that is over, if there is one."""
        over, self.over = self.over, None
        if over is None:
            return
        (number, values), waited, best = over, _waited(trainer), _best(trainer)
        if not waited:
            self.better = number
        if values:
            took = time.monotonic() - self.epoch_began
            screen().print(_epoch_line(number, values, best != self.best, _patience(trainer, waited), took))
        self.best = best

    def _say(self, trainer: pl.Trainer, line: str) -> None:
        if self.head and trainer.is_global_zero:
            screen().print(Text(line))

    def _begin(self, trainer: pl.Trainer, what: str, total: float, lasted: float = 0.0) -> None:
        """Have a bar come where this work lasts; ``lasted`` seconds have passed already."""
        self._end()
        if self.shows_bar and trainer.is_global_zero:
            title = ", ".join(filter(None, [self.title, what]))
            known = int(total) if total < float("inf") else None
            self.bar = progress_bar(known, title, unit="batch", after=max(0.0, PATIENCE - lasted))

    def _advance(self) -> None:
        if self.bar is not None:
            self.bar.update()

    def _end(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def choose_screen(
    config: Namespace, line: CommandLine, title: str, *, alone: bool
) -> tuple[TrainingScreen, dict[str, Any]]:
    """Return what tells a training, and what Lightning's trainer is told so that nobody else does.

    A bar that Lightning or a callback of the user's shows takes the place of the lines of the epochs.

    Args:
        config: Of the command.
        line: What was typed.
        title: How a run that is one of several is called while it lasts.
        alone: False of one of several, of which others tell.
    """
    trainer = config.trainer
    shown = "none" if trainer.get("enable_progress_bar") is False else config.progress
    given = trainer.get("callbacks")
    own = any(isinstance(one, ProgressBar) for one in (given if isinstance(given, list) else [given]))
    lines = shown == "epochs" and not own
    screen = TrainingScreen(
        head=alone and shown != "none" and line.command in TRAINING,
        epochs=alone and lines,
        bar=lines,
        title=title,
        line=line if alone else None,
    )
    bar = trainer.get("enable_progress_bar") is not False and (own or shown == "bar")
    return screen, {"enable_progress_bar": bar, "enable_model_summary": trainer.get("enable_model_summary") or False}


def why_stopped(trainer: pl.Trainer, better: int) -> str:
    """Return why a training has ended, in words.

    Args:
        trainer: What has trained.
        better: The last epoch in which early stopping saw something better.
    """
    stoppers: Sequence[EarlyStopping | None] = trainer.early_stopping_callbacks
    timers = [one for one in trainer.callbacks if isinstance(one, Timer)]  # type: ignore[attr-defined]
    over = any(left is not None and left <= 0 for left in (timer.time_remaining() for timer in timers))
    if trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets both while it connects its parts
        return "trainer.fast_dev_run tries a few batches and keeps nothing"
    for stopping in filter(None, stoppers):
        told = _early(stopping, better)
        if told:
            return told
    if trainer.max_epochs and 0 < trainer.max_epochs <= trainer.current_epoch:
        return f"trainer.max_epochs={trainer.max_epochs} is reached"
    if 0 < trainer.max_steps <= trainer.global_step:
        return f"trainer.max_steps={trainer.max_steps} is reached"
    if over:
        return "the time of trainer.max_time is over"
    if getattr(trainer.lightning_module, "rests", False):  # of a Probe
        return "its head is solved, not trained by steps"
    return "a callback asked for it"


def _early(stopping: EarlyStopping, better: int) -> str:
    """Return why early stopping has ended a training; nothing where it has not."""
    reason, monitor = stopping.stopping_reason, stopping.monitor
    if reason == EarlyStoppingReason.PATIENCE_EXHAUSTED and stopping.wait_count >= stopping.patience:
        by = f" by {abs(stopping.min_delta):g}" if stopping.min_delta else ""
        return f"{monitor} has not improved{by} since epoch {better}"
    return {
        EarlyStoppingReason.STOPPING_THRESHOLD: f"{monitor} has reached early_stopping.stopping_threshold",
        EarlyStoppingReason.DIVERGENCE_THRESHOLD: f"{monitor} is beyond early_stopping.divergence_threshold",
        EarlyStoppingReason.NON_FINITE_METRIC: f"{monitor} is not finite",
    }.get(reason, "")


def _head(trainer: pl.Trainer, model: pl.LightningModule) -> Text:
    """Return data and model in one line, or in two where the screen is too narrow."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it on the trainer
    counts = {name: sum(numbers.values()) for name, numbers in data.counts.items()}
    numbers = (f"{name} {number:,}" for name, number in counts.items() if number)
    left = "  ".join([*([] if data.notice else [_named(data)]), *numbers])
    right = f"{_model_named(model)}, {_machine_named(trainer)}"
    between = " " * BETWEEN if len(left) + BETWEEN + len(right) <= screen().width else "\n"
    return Text("\n".join(filter(None, [data.notice.strip(), f"{left}{between}{right}"])))


def _named(data: Located) -> str:
    """Return how the folders of the images are called, at their shortest."""
    names = [prefix.rstrip("/") or root.resolve().name for prefix, root in data.roots.items()]
    name = printable(", ".join(names))
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def _model_named(model: pl.LightningModule) -> str:
    size = sum(weights.numel() for weights in model.parameters())
    trained = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    told = f"{_large(size)} parameters" + (f", of which {_large(trained)} are trained" if trained < size else "")
    return f"{model.hparams.get('backbone') or type(model).__name__}, {told}"


def _large(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 50_000 else f"{number:,}"


def _machine_named(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    several = f"{trainer.world_size} processes, " if trainer.world_size > 1 else ""
    precision = f", {trainer.precision}" if str(trainer.precision) != "32-true" else ""
    return f"{several}{kind}{precision}"


def _epoch_line(number: int, values: Mapping[str, float], is_best: bool, patience: str, seconds: float) -> Text:
    """Return what is told of an epoch."""

    def told(label: str, name: str) -> str:
        return f"{label} {values[name]:.3f}" if name in values else f"{label} -    "

    numbers = [told("loss", "train_loss"), told("val", "val_loss"), told("val acc", "val_accuracy")]
    return Text.assemble(
        "   ".join([f"epoch {number:>3}", *numbers, ""]),
        ("best" if is_best else "    ", "green bold"),
        f"   {patience}{duration(seconds):>7}",
    )


def _patience(trainer: pl.Trainer, waited: int) -> str:
    """Return how much of early stopping's patience is used, as wide in each epoch."""
    stopping = trainer.early_stopping_callback
    if stopping is None:
        return ""
    longest = f"{stopping.patience}/{stopping.patience}"
    return f"{waited}/{stopping.patience}".rjust(len(longest)) if waited else " " * len(longest)


def _waited(trainer: pl.Trainer) -> int:
    stopping = trainer.early_stopping_callback
    return stopping.wait_count if stopping else 0


def _best(trainer: pl.Trainer) -> float | None:
    """Return the score of the best checkpoint so far."""
    score = getattr(trainer.checkpoint_callback, "best_model_score", None)
    return None if score is None else float(score)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
