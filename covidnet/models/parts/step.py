"""An optimisation step as a function of a batch, all that it changes, and how to undo that."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Kinds: TypeAlias = Mapping[str, Sequence[Tensor]]  # what tensors are -> the tensors


class Step:
    """Forward pass, loss, backward pass and update of the weights.

    Args:
        loss_and_logits: What is in a batch -> loss () and logits (B, C).
        optimizer: An Adam, whose state is updated in place.
        module: What the loss depends on: its weights and buffers.
        context: Gives what the forward pass runs under, such as autocast.
    """

    def __init__(
        self,
        loss_and_logits: Callable[..., tuple[Tensor, Tensor]],
        optimizer: Optimizer,
        module: nn.Module,
        context: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._loss_and_logits = loss_and_logits
        self.optimizer = optimizer
        self.module = module
        self._context = context

    def __call__(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Take the step on a batch; return its loss and logits."""
        # No gradients at a recording: its backward pass then writes them anew at each replay, never adds.
        self.optimizer.zero_grad(set_to_none=True)
        with self._context(), _autocast_without_cache(batch[0].device.type):
            loss, logits = self._loss_and_logits(*batch)
        torch.autograd.backward(loss)
        self.optimizer.step()
        return loss.detach(), logits.detach()

    def changed(self) -> Kinds:
        """Return what a step changes, in place; once one was taken, the optimizer's state too."""
        buffers = list(self.module.buffers())
        states = [item for state in self.optimizer.state.values() for item in state.items()]
        steps = [value for name, value in states if name == "step"]
        return {
            "counts": [*steps, *(buffer for buffer in buffers if not buffer.is_floating_point())],
            "buffers": [buffer for buffer in buffers if buffer.is_floating_point()],
            "moments": [value for name, value in states if name != "step"],
            "weights": list(self.module.parameters()),
        }

    def layout(self) -> list[object]:
        """Return what a recording cannot follow: where weights, buffers and moments lie, what trains, and how."""
        tensors = chain.from_iterable(self.changed().values())
        lying = [(tensor.data_ptr(), tensor.requires_grad) for tensor in tensors]
        return [*lying, *(part.training for part in self.module.modules())]

    def settings(self) -> list[dict[str, Any]]:
        """Return the numbers that a recording holds for good, for each group of parameters: betas, decay and so on."""
        names = [name for name in self.optimizer.defaults if name != "lr"]
        return [{name: group[name] for name in names} for group in self.optimizer.param_groups]


class Snapshot:
    """Tensors and random numbers as they are now.

    Args:
        tensors: Gives the tensors. What it will give later alone, as the moments of a first step, is 0 now.
        device: Whose random numbers count, beside the CPU's.
    """

    def __init__(self, tensors: Callable[[], Kinds], device: torch.device) -> None:
        self._tensors = tensors
        self._copies = {tensor: tensor.detach().clone() for tensor in chain.from_iterable(tensors().values())}
        self._states = [(generator, generator.get_state()) for generator in _generators(device)]

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back, in place."""
        for tensor in chain.from_iterable(self._tensors().values()):
            tensor.copy_(self._copy(tensor))
        for generator, state in self._states:
            generator.set_state(state)

    def changes(self) -> dict[str, Sequence[Tensor]]:
        """Return by how much each tensor has changed, in float32."""
        return {
            kind: [tensor.detach().float() - self._copy(tensor).float() for tensor in tensors]
            for kind, tensors in self._tensors().items()
        }

    def _copy(self, tensor: Tensor) -> Tensor:
        return self._copies[tensor] if tensor in self._copies else torch.zeros_like(tensor)


def _generators(device: torch.device) -> Iterator[torch.Generator]:
    yield torch.default_generator
    if device.type == "cuda":
        yield torch.cuda.default_generators[device.index]


def _autocast_without_cache(device_type: str) -> AbstractContextManager[Any]:
    """Return the autocast in force without its cache of weights, which a graph would read stale."""
    return torch.autocast(
        device_type,
        dtype=torch.get_autocast_dtype(device_type),
        enabled=torch.is_autocast_enabled(device_type),
        cache_enabled=False,
    )
