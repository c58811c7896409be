"""A training step recorded once, compared with the eager one, then replayed."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from covidnet.batch import TrainingBatch
from covidnet.machine.telling import tell
from covidnet.models.parts.agreement import difference, gaps
from covidnet.models.parts.cuda_graph import Gpu
from covidnet.models.parts.step import Kinds, Snapshot, Step

FAST = 0.9  # of the eager step's time, at most; more is not worth the graph's memory
MB = 2**20  # bytes


class NotKeptError(RuntimeError):
    """A recorded step that is not to be used: what is wrong with it."""


class CapturedStep:
    """A step on batches of one shape and type as one CUDA graph, which has shown that it is the eager step.

    Both walk the same two steps from the same state: on the batch, then on another with a learning rate of 0. That
    shows inputs, masks of dropout, rates and counts that a replay would not renew, and gradients that it would add up.
    The eager step walks twice: how far the two are apart is noise, and the second walk shows whether Python waits for
    the GPU in a step, which cannot be recorded. Weights, buffers, optimizer state and random numbers are as before when
    this is built, and where that fails.

    Args:
        step: The eager step; its optimizer is a fused Adam whose rates are tensors on the device.
        batch: A batch of the shape to record.

    Raises:
        NotKeptError: Where the replay is not the eager step, not faster, or takes too much memory.
        Exception: Whatever step or recording raise.
    """

    def __init__(self, step: Step, batch: TrainingBatch) -> None:
        self._step = step
        self._gpu = Gpu(batch[0].device)
        self._rates: list[Tensor] = [group["lr"] for group in step.optimizer.param_groups]
        self._batch = [tensor.clone() for tensor in batch]  # what the graph reads
        self._results: tuple[Tensor, Tensor]  # what it writes
        before = Snapshot(lambda: {**step.changed(), "rates": self._rates}, batch[0].device)
        try:
            self._launch: Callable[[], None] | None = self._record(batch, before)
        finally:
            before.restore()
            step.optimizer.zero_grad(set_to_none=True)
        self._layout, self._settings = step.layout(), step.settings()

    def stands(self) -> bool:
        """Tell whether all that the graph reads and writes still lies where it did, and trains as it did."""
        return self._launch is None or self._layout == self._step.layout()

    def take(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Take one step, by a replay where the graph is of such batches, else eagerly; return its loss and logits."""
        if self._launch is None:
            return self._step(batch)
        if _form(batch) != _form(self._batch) or self._settings != self._step.settings():
            return self._take_beside_the_graph(batch)
        for group, rate in zip(self._step.optimizer.param_groups, self._rates, strict=True):
            if group["lr"] is not rate:  # someone set a number, which the graph would not see
                rate.fill_(float(group["lr"]))
                group["lr"] = rate
        self._fill(batch)
        self._launch()
        loss, logits = self._results
        return loss.clone(), logits.clone()

    def _take_beside_the_graph(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Take an eager step; where memory does not suffice for both, without the graph from here on."""
        buffers = self._step.module.buffers
        before = Snapshot(lambda: {"buffers": list(buffers())}, batch[0].device)  # the weights come last
        try:
            return self._step(batch)
        except torch.OutOfMemoryError:
            pass  # only then its traceback lets go of what was computed
        self._launch = None
        tell("A batch did not fit into the GPU's memory beside the captured step: training goes on without that.")
        before.restore()
        return self._step(batch)

    def _run(self) -> None:
        self._results = self._step(self._batch)

    def _fill(self, batch: Sequence[Tensor]) -> None:
        for own, given in zip(self._batch, batch, strict=True):
            own.copy_(given)

    def _record(self, batch: TrainingBatch, before: Snapshot) -> Callable[[], None]:
        """Return what replays the step, once that has been found to be right and worth it."""
        eager, noise, slow = self._tried(batch, before)
        groups = self._step.optimizer.param_groups
        for group in groups:
            group["capturable"] = True  # asked for in a recording alone
        try:
            replay, memory = self._gpu.record(self._run)
        finally:
            for group in groups:
                group["capturable"] = False
        replayed, fast = self._walk(replay, batch, before)
        faults = difference(eager, replayed, noise)
        if faults:
            raise NotKeptError(f"the captured step is not the eager one: {faults}")
        free = self._gpu.free_memory()
        if free < memory:  # an eager step of another shape may need as much
            raise NotKeptError(
                f"it would keep {memory / MB:,.0f} MB of the GPU's memory, and {free / MB:,.0f} MB are free"
            )
        if fast > FAST * slow:
            raise NotKeptError(
                f"it is hardly faster, {1000 * fast:.1f} ms where an eager step takes {1000 * slow:.1f} ms"
            )
        return replay

    def _tried(self, batch: TrainingBatch, before: Snapshot) -> tuple[Kinds, dict[str, float], float]:
        """Return what the eager step gives and changes, how far two of it are apart, and its seconds."""
        with self._gpu.aside():
            eager, _ = self._walk(self._run, batch, before)  # libraries choose kernels and take their workspaces
            again, seconds = self._walk(self._run, batch, before, self._gpu.waits_forbidden())
            return eager, gaps(eager, again), seconds

    def _walk(
        self,
        launch: Callable[[], None],
        batch: TrainingBatch,
        before: Snapshot,
        first: AbstractContextManager[None] | None = None,
    ) -> tuple[Kinds, float]:
        """Take two steps by ``launch``, the first under ``first``; return what tells, and the faster one's seconds."""
        before.restore()
        given: list[tuple[Tensor, Tensor]] = []
        seconds: list[float] = []
        for inputs, guard in ((batch, first), (another(batch), None)):
            self._fill(inputs)
            began = self._gpu.now()
            with guard or nullcontext():
                launch()
            seconds.append(self._gpu.now() - began)
            loss, logits = self._results
            given.append((loss.clone(), logits.clone()))
            for rate in self._rates:
                rate.zero_()
        losses, logits_ = zip(*given, strict=True)
        return {"losses": losses, "logits": logits_, **before.changes()}, min(seconds)


def another(batch: TrainingBatch) -> list[Tensor]:
    """Return a batch of other images, in another order, than their labels and weights."""
    images, *rest = batch
    return [images.flip(0, -1), *(part.roll(1, 0) for part in rest)]


def _form(batch: Sequence[Tensor]) -> list[tuple[torch.Size, torch.dtype]]:
    return [(tensor.shape, tensor.dtype) for tensor in batch]
