"""What an image looks like in a few numbers, without any network."""

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 16  # of the small grey copy


def appearance(images: Tensor) -> Tensor:
    """Return a grey copy of 16x16 and the mean and the largest difference between channels, (B, 258), of images.

    Args:
        images: (B, 3, S, S) in [0, 1].
    """
    images = images.float()
    grey = F.adaptive_avg_pool2d(images.mean(dim=1, keepdim=True), SIDE).flatten(1)
    colour = F.adaptive_avg_pool2d(images.amax(dim=1, keepdim=True) - images.amin(dim=1, keepdim=True), SIDE).flatten(1)
    return torch.cat([grey, colour.mean(dim=1, keepdim=True), colour.amax(dim=1, keepdim=True)], dim=1)
