"""The training step as one CUDA graph: forward, loss, backward and optimizer launched at once.

With small batches a GPU waits for Python, which launches the step's thousand kernels one by one. A CUDA graph records
them once and launches them together. Within Lightning's automatic optimisation a captured batch needs no backward, no
zeroing of gradients and no optimizer step of its own; all else (counting, callbacks, logging, checkpoints) goes on.
"""

import gc
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.callbacks import (
    BaseFinetuning,
    GradientAccumulationScheduler,
    ModelPruning,
    StochasticWeightAveraging,
)
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.optim import Adam, Optimizer

from covidnet.batch import TrainingBatch
from covidnet.errors import UserError
from covidnet.machine.telling import tell
from covidnet.models.parts.captured_step import CapturedStep, NotKeptError
from covidnet.models.parts.step import Step

PRECISIONS = ("32-true", "bf16-mixed", "bf16-true")  # those without a gradient scaler, which asks the CPU each step
NO_GPU = "it runs on no CUDA GPU"
# A captured step has none of these moments.
MISSED_HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step", "on_before_zero_grad")
# What a model of somebody's own does here, a captured step would leave out.
STEP_HOOKS = ("training_step", "backward", "configure_gradient_clipping", "optimizer_step", "optimizer_zero_grad")
# They swap weights or buffers, add parameters, skip the backward pass or add up gradients, from some epoch on.
MEDDLERS = (BaseFinetuning, GradientAccumulationScheduler, ModelPruning, StochasticWeightAveraging)


class CapturedModule(LightningModule):
    """A LightningModule whose training step is recorded on its first batch and replayed on all of that shape.

    A subclass gives ``loss_and_logits``; its ``training_step`` takes them from ``captured_or_eager``. Other shapes, as
    the ragged last batch of an epoch, take the same step eagerly.

    Args:
        capture: "auto" records where that can be and is faster, and says in one line why it does not; true insists;
            false never does.
    """

    def __init__(self, capture: bool | Literal["auto"] = "auto") -> None:
        super().__init__()
        self.capture = capture
        self._captured: CapturedStep | None = None
        self._wants_recording = False
        self._batch: TrainingBatch | None = None  # the one in hand, if the captured step is to take it
        self._taken: tuple[Tensor, Tensor] | None = None  # loss and logits of the one in hand, once it has

    def loss_and_logits(self, images: Tensor, labels: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the loss () to minimise and the logits (B, C): what is recorded, so it may not look at values."""
        raise NotImplementedError

    def captured_or_eager(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Return loss and logits of a training batch; a captured step has updated the weights too."""
        return self._taken or self.loss_and_logits(*batch)

    def on_train_start(self) -> None:
        """Find out whether the step can be recorded."""
        self._captured = self._batch = self._taken = None
        reason = obstacle(self.trainer) if self.capture else "model.capture=false"
        self._wants_recording = not reason
        if reason and self.capture:
            self._do_without(reason)
        if self.device.type == "cuda":
            # Without a graph too: a rate read from the device is rounded to float32, so that both give equal numbers.
            for optimizer in self.trainer.optimizers:
                put_rates_on_device(optimizer, self.device)

    def on_train_batch_start(self, batch: TrainingBatch, batch_idx: int) -> None:
        """Record the step on the first batch; find out whether it takes this one."""
        whole = self.trainer.accumulate_grad_batches == 1  # else Lightning adds gradients up, or computes none
        if batch_idx == 0 and self._captured is not None and not self._captured.stands():
            self._captured, self._wants_recording = None, True
        if self._wants_recording and whole:
            self._wants_recording = False
            self._record(batch)
        self._batch = batch if whole and self._captured is not None else None

    def on_train_end(self) -> None:
        """Let go of the graph and its memory."""
        self._captured = None

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,  # a LightningOptimizer, which Lightning's own annotation leaves open
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Take a step; a captured one as a whole, before the closure, the training step, only counts it."""
        if self._batch is None:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
            return
        assert self._captured is not None
        assert optimizer_closure is not None
        self._taken = self._captured.take(self._batch)
        optimizer_closure()
        self._batch = self._taken = None

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute the gradients, unless the captured step has."""
        if self._taken is None:
            super().backward(loss, *args, **kwargs)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Drop the gradients, unless the captured step has just used its own."""
        if self._taken is None:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write the learning rates as any device can read them."""
        for state in checkpoint.get("optimizer_states", []):
            for group in state["param_groups"]:
                group["lr"] = float(group["lr"])

    def _record(self, batch: TrainingBatch) -> None:
        """Capture the step, if it is as good as the eager one; else nothing has changed."""
        [optimizer] = self.trainer.optimizers
        put_rates_on_device(optimizer, self.device)
        step = Step(self.loss_and_logits, optimizer, self, self.trainer.precision_plugin.train_step_context)
        try:
            self._captured = CapturedStep(step, batch)
        except NotKeptError as error:
            self._do_without(str(error))
        except Exception as error:  # whatever it is: if the eager step has it too, it will raise it again
            self._do_without(_told(error))
        if self._captured is None:
            gc.collect()  # what was computed, from the circles of a traceback

    def _do_without(self, reason: str) -> None:
        """Tell that the step is not captured, and why; without a CUDA GPU nobody has expected it.

        Raises:
            UserError: Where that was demanded.
        """
        if self.capture is True:
            raise UserError(f"model.capture=true cannot be had: {reason}. Leave it at auto, or change that.")
        if reason != NO_GPU or torch.cuda.is_available():
            tell(f"The training step is not captured in a CUDA graph: {reason}.")


def obstacle(trainer: pl.Trainer) -> str:
    """Return why a training step cannot be recorded under ``trainer``, or nothing where it can."""
    if trainer.strategy.root_device.type != "cuda":
        return NO_GPU
    if trainer.world_size > 1:
        return (
            f"{trainer.world_size} processes exchange gradients in each step; where data.batch_size is small, one GPU "
            "with a captured step may be faster (trainer=auto)"
        )
    if not isinstance(trainer.strategy, SingleDeviceStrategy):
        return f"{type(trainer.strategy).__name__} is made for several processes, and there is one: give trainer=auto"
    if trainer.gradient_clip_val:
        return f"trainer.gradient_clip_val={trainer.gradient_clip_val}"
    if trainer.accumulate_grad_batches != 1:
        return f"trainer.accumulate_grad_batches={trainer.accumulate_grad_batches}"
    if trainer.precision not in PRECISIONS:
        return f"trainer.precision={trainer.precision}"
    if torch.is_anomaly_enabled():  # as Lightning has it while it trains
        return "trainer.detect_anomaly=true"
    optimizers = trainer.optimizers
    if len(optimizers) != 1 or not is_fused_adam(optimizers[0]):
        return f"the optimizer is no fused Adam or AdamW, but {[type(one).__name__ for one in optimizers]}"
    return _obstacle_in_code(trainer)


def _obstacle_in_code(trainer: pl.Trainer) -> str:
    """Return which callback or method of the model would not have its say in a captured step."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it on the trainer
    module = trainer.lightning_module
    for callback in callbacks:
        if isinstance(callback, MEDDLERS):
            return f"{type(callback).__name__} changes in mid-training what a step does"
    for watcher in [*callbacks, module]:
        parent = pl.Callback if isinstance(watcher, pl.Callback) else LightningModule
        missed = [hook for hook in MISSED_HOOKS if is_overridden(hook, watcher, parent=parent)]
        if missed:
            return f"{type(watcher).__name__}.{missed[0]} would not be called"
    for hook in STEP_HOOKS:
        room = getattr(module, hook).__module__.partition(".")[0]
        if room not in ("covidnet", "pytorch_lightning"):
            return f"{type(module).__name__}.{hook} is not covidnet's own"
    return ""


def _told(error: Exception) -> str:
    """Return an error and where it arose in one line."""
    first = next(iter(str(error).splitlines()), "")
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {first} ({Path(place.filename).name}, line {place.lineno})"


def put_rates_on_device(optimizer: Optimizer, device: torch.device) -> None:
    """Keep the learning rates of a fused Adam in tensors, where a recorded step sees them change."""
    if is_fused_adam(optimizer):
        for group in optimizer.param_groups:
            group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)


def is_fused_adam(optimizer: Optimizer) -> bool:
    """Tell whether ``optimizer`` is an Adam or AdamW in one kernel."""
    return isinstance(optimizer, Adam) and bool(optimizer.defaults.get("fused"))
