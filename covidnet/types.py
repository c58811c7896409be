"""What passes between data and models."""

from typing import TypeAlias

from torch import Tensor

PADDING = -1  # the number and the label of no image, which fills the share of a process and counts for nothing

Batch: TypeAlias = tuple[Tensor, Tensor]  # images (B, 3, H, W) float32 in [0, 1]; labels (B,) int64
# Of training: with the weight of each image in the loss (B,) float32 where the class alone does not tell it.
TrainingBatch: TypeAlias = Batch | tuple[Tensor, Tensor, Tensor]
