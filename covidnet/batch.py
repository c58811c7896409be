"""What passes between data and models."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

PADDING = -1  # the number and the label of no image, which fills the share of a process and counts for nothing

Batch: TypeAlias = tuple[Tensor, Tensor]  # images (B, 3, H, W) float32 in [0, 1]; labels (B,) int64
# Of training: with the weight of each image in the loss (B,) float32 where the class alone does not tell it.
TrainingBatch: TypeAlias = Batch | tuple[Tensor, Tensor, Tensor]


def to_images(pixels: Tensor, augment: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Return pixels (B, C, H, W) uint8 as images (B, 3, H, W) float32 in [0, 1], augmented, on their device."""
    images = pixels.to(torch.float32).div_(255)
    if augment:
        images = augment(images)  # of one channel where there is but one: a third of the work
    return images.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)  # as the models compute
