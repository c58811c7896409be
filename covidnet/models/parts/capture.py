"""The training step as one CUDA graph: forward, loss, backward and optimizer launched at once.

With small batches a GPU waits for Python, which launches the step's thousand kernels one by one. A CUDA graph records
them once and launches them together. Within Lightning's automatic optimisation a replayed batch needs no backward, no
zeroing of gradients and no optimizer step of its own; all else (counting, callbacks, logging, checkpoints) goes on.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.optim import Adam, Optimizer

from covidnet.batch import TrainingBatch
from covidnet.errors import UserError
from covidnet.machine.telling import tell

WARM_UP = 3  # steps before the recording, in which libraries choose kernels and take their workspaces
PRECISIONS = ("32-true", "bf16-mixed", "bf16-true")  # those without a gradient scaler, which asks the CPU each step
# A replayed step has none of these moments.
MISSED_HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step", "on_before_zero_grad")


class CapturedModule(LightningModule):
    """A LightningModule whose training step is recorded on its first batch and replayed on all of that shape.

    A subclass gives ``loss_and_logits``; its ``training_step`` takes them from ``captured_or_eager``. Other shapes, as
    the ragged last batch of an epoch, run eagerly.

    Args:
        capture: "auto" records where it can and says in one line why it cannot; true insists; false never does.
    """

    def __init__(self, capture: bool | Literal["auto"] = "auto") -> None:
        super().__init__()
        self.capture = capture
        self._recorded: CapturedStep | None = None
        self._wants_recording = False
        self._replays = False  # the batch in hand

    def loss_and_logits(self, images: Tensor, labels: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the loss () to minimise and the logits (B, C): what is recorded, so it may not look at values."""
        raise NotImplementedError

    def captured_or_eager(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Return loss and logits of a training batch; a replayed one has updated the weights too."""
        if self._replays:
            assert self._recorded is not None
            return self._recorded.replay(batch)
        return self.loss_and_logits(*batch)

    def on_train_start(self) -> None:
        """Find out whether the step can be recorded."""
        reason = obstacle(self.trainer) if self.capture else "model.capture=false"
        if reason and self.capture is True:
            raise UserError(f"model.capture=true cannot be had: {reason}. Leave it at auto, or change that.")
        if reason and self.capture:
            tell(f"The training step is not captured in a CUDA graph: {reason}.")
        self._wants_recording = not reason
        if self.device.type == "cuda":
            # Without a graph too: a rate read from the device is rounded to float32, so that both give equal numbers.
            for optimizer in self.trainer.optimizers:
                put_rates_on_device(optimizer, self.device)

    def on_train_batch_start(self, batch: TrainingBatch, batch_idx: int) -> None:
        """Record the step on the first batch; find out whether this one is replayed."""
        if self._wants_recording:
            self._wants_recording = False
            self._record(batch)
        self._replays = self._recorded is not None and self._recorded.fits(batch)

    def on_train_end(self) -> None:
        """Let go of the graph and its memory."""
        self._recorded, self._replays = None, False

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute the gradients, unless the replayed graph has."""
        if not self._replays:
            super().backward(loss, *args, **kwargs)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Drop the gradients, unless the replayed graph has just used its own."""
        if not self._replays:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,  # a LightningOptimizer, which Lightning's own annotation leaves open
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Take a step; a replayed batch has taken it when its closure, the training step, is done."""
        if self._replays:
            assert optimizer_closure is not None
            optimizer_closure()
        else:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write the optimizer's settings as any device can read them."""
        for state in checkpoint.get("optimizer_states", []):
            for group in state["param_groups"]:
                group.update(lr=float(group["lr"]), capturable=False)

    def _record(self, batch: TrainingBatch) -> None:
        [optimizer] = self.trainer.optimizers
        context = self.trainer.precision_plugin.train_step_context
        try:
            self._recorded = CapturedStep(self.loss_and_logits, optimizer, self, batch, context)
        except RuntimeError as error:  # CUDA's, for a model that waits for a value or copies one in mid-step
            if self.capture is True:
                raise
            optimizer.zero_grad()
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            tell(f"The training step could not be captured in a CUDA graph: {reason}")


class CapturedStep:
    """One optimisation step on batches of one shape and type, recorded once, then replayed.

    Weights, buffers, optimizer state and random numbers are as before when the recording is done.

    Args:
        loss_and_logits: What is in a batch -> loss () and logits.
        optimizer: A fused Adam; its state is updated in place.
        module: What the loss depends on: its weights and buffers.
        batch: A batch of the shape to record.
        context: Gives what the forward pass runs under, such as autocast.
    """

    def __init__(
        self,
        loss_and_logits: Callable[..., tuple[Tensor, Tensor]],
        optimizer: Optimizer,
        module: torch.nn.Module,
        batch: TrainingBatch,
        context: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._optimizer = optimizer
        device = batch[0].device
        put_rates_on_device(optimizer, device)
        for group in optimizer.param_groups:
            group["capturable"] = True
        self._rates: list[Tensor] = [group["lr"] for group in optimizer.param_groups]
        self._batch = [tensor.clone() for tensor in batch]  # what the graph reads
        self._results: tuple[Tensor, Tensor]  # what it writes

        def step() -> None:
            # No gradients at the recording: the backward pass then writes them anew at each replay, never adds.
            optimizer.zero_grad(set_to_none=True)
            with ExitStack() as stack:
                stack.enter_context(context())
                stack.enter_context(_autocast_without_cache(device.type))
                loss, logits = loss_and_logits(*self._batch)
            torch.autograd.backward(loss)
            optimizer.step()
            self._results = loss.detach(), logits.detach()

        restore = _remember(module, optimizer)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*capturable=True")  # the warm-up is meant to run uncaptured
            self._launch = record(step, restore)

    def fits(self, batch: TrainingBatch) -> bool:
        """Tell whether a batch has the recorded shape."""
        return [tensor.shape for tensor in batch] == [tensor.shape for tensor in self._batch]

    def replay(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Take one step on a batch; return its loss and logits."""
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            if group["lr"] is not rate:  # someone set a number, which the graph would not see
                rate.fill_(float(group["lr"]))
                group["lr"] = rate
        for own, given in zip(self._batch, batch, strict=True):
            own.copy_(given)
        self._launch()
        loss, logits = self._results
        return loss.clone(), logits.clone()


def record(step: Callable[[], None], restore: Callable[[], None]) -> Callable[[], None]:
    """Warm ``step`` up on a side stream, as CUDA demands, undo that by ``restore``, record it; return its replay."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it bare
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        try:
            for _ in range(WARM_UP):
                step()
        finally:
            restore()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # This thread's mistakes alone end a recording, not another's that pins memory meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        step()
    replay: Callable[[], None] = graph.replay
    return replay


def obstacle(trainer: pl.Trainer) -> str:
    """Return why a training step cannot be recorded under ``trainer``, or nothing where it can."""
    if trainer.strategy.root_device.type != "cuda":
        return "it runs on no CUDA GPU"
    if not isinstance(trainer.strategy, SingleDeviceStrategy):
        return "several processes exchange gradients in each step (trainer.strategy)"
    if trainer.gradient_clip_val:
        return f"trainer.gradient_clip_val={trainer.gradient_clip_val}"
    accumulates = any(type(callback).__name__ == "GradientAccumulationScheduler" for callback in _callbacks(trainer))
    if trainer.accumulate_grad_batches != 1 or accumulates:
        return f"trainer.accumulate_grad_batches={trainer.accumulate_grad_batches}"
    if trainer.precision not in PRECISIONS:
        return f"trainer.precision={trainer.precision}"
    if torch.is_anomaly_enabled():  # as Lightning has it while it trains
        return "trainer.detect_anomaly=true"
    for watcher in [*_callbacks(trainer), trainer.lightning_module]:
        parent = pl.Callback if isinstance(watcher, pl.Callback) else LightningModule
        missed = [hook for hook in MISSED_HOOKS if is_overridden(hook, watcher, parent=parent)]
        if missed:
            return f"{type(watcher).__name__}.{missed[0]} would not be called"
    optimizers = trainer.optimizers
    if len(optimizers) != 1 or not is_fused_adam(optimizers[0]):
        return f"the optimizer is no fused Adam or AdamW, but {[type(one).__name__ for one in optimizers]}"
    return ""


def put_rates_on_device(optimizer: Optimizer, device: torch.device) -> None:
    """Keep the learning rates of a fused Adam in tensors, where a recorded step sees them change."""
    if is_fused_adam(optimizer):
        for group in optimizer.param_groups:
            group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)


def is_fused_adam(optimizer: Optimizer) -> bool:
    """Tell whether ``optimizer`` is an Adam or AdamW in one kernel."""
    return isinstance(optimizer, Adam) and bool(optimizer.defaults.get("fused"))


def _remember(module: torch.nn.Module, optimizer: Optimizer) -> Callable[[], None]:
    """Return a function that puts weights, buffers and optimizer state back as they are now, in place."""
    tensors = [*module.parameters(), *module.buffers()]
    copies = [tensor.detach().clone() for tensor in tensors]
    states = {
        parameter: {key: value.clone() for key, value in state.items()} for parameter, state in optimizer.state.items()
    }

    @torch.no_grad()
    def restore() -> None:
        for tensor, copy in zip(tensors, copies, strict=True):
            tensor.copy_(copy)
        for parameter, state in optimizer.state.items():
            for key, value in state.items():
                if parameter in states:
                    value.copy_(states[parameter][key])
                else:
                    value.zero_()  # as Adam's state begins

    return restore


def _autocast_without_cache(device_type: str) -> AbstractContextManager[Any]:
    """Return the autocast in force without its cache of weights, which a graph would read stale."""
    return torch.autocast(
        device_type,
        dtype=torch.get_autocast_dtype(device_type),
        enabled=torch.is_autocast_enabled(device_type),
        cache_enabled=False,
    )


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it on the trainer
    return callbacks
