"""What is told of a whole epoch, over all batches and processes: metrics, and outputs in the order of the data."""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from covidnet.batch import Batch


class Outputs(NamedTuple):
    """What a model said of the images of a split, in their order."""

    logits: NDArray[np.float32]  # (N, C)
    labels: NDArray[np.int64]  # (N,) in 0 .. C - 1


class WeightedMean(Metric):
    """sum(w_i * x_i) / sum(w_i) over an epoch and all processes.

    torchmetrics' MeanMetric looks for NaN in each step, for which it waits for the GPU, and drops them from the mean; a
    loss that is NaN must show.
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("weight", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, values: Tensor, weights: Tensor) -> None:
        """Add values (B,) with their weights (B,)."""
        # Not in place: a sum of 16 bits, as a module trained in bf16-true has, becomes one of the values' type.
        self.total = self.total + (values * weights).sum()
        self.weight = self.weight + weights.sum(dtype=values.dtype)

    def compute(self) -> Tensor:
        """Return the mean () of what was added."""
        return self.total / self.weight


def epoch_metrics(num_classes: int, prefix: str) -> MetricCollection:
    """Return the metrics that every stage logs, their names beginning with ``prefix``."""
    metrics: dict[str, Metric | MetricCollection] = {
        "loss": WeightedMean(),
        "loss_unweighted": WeightedMean(),
        # Its check of the labels would wait for the GPU in each step; the data module has made them.
        "accuracy": MulticlassAccuracy(num_classes, average="micro", validate_args=False),
    }
    return MetricCollection(metrics, prefix=prefix, compute_groups=False)


def several_processes() -> bool:
    """Tell whether this is one of several processes that train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather(parts: list[Batch]) -> Outputs:
    """Return all processes' outputs in the order of the data: process r of W holds the images r, r + W, r + 2W, ..."""
    own = tuple(torch.cat(tensors).numpy() for tensors in zip(*parts, strict=True))
    parts.clear()
    if not several_processes():
        return Outputs(*own)
    world: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(world, own)
    size = sum(len(labels) for _, labels in world)
    logits = np.empty((size, own[0].shape[1]), dtype=own[0].dtype)
    labels = np.empty(size, dtype=own[1].dtype)
    for rank, (rank_logits, rank_labels) in enumerate(world):
        logits[rank :: len(world)], labels[rank :: len(world)] = rank_logits, rank_labels
    return Outputs(logits, labels)
