"""What an image looks like in a few numbers, without any network."""

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 16  # of the small grey copy
FAINT = 0.02  # a contrast as low as this, a standard deviation of greys, halves the pattern: it is hardly one
COLOUR = 10.0  # so a mean difference of a tenth between the channels is as long as the whole pattern


def appearance(images: Tensor) -> Tensor:
    """Return the pattern of light and dark of images, and their colour: (B, 257).

    The pattern is a grey copy of 16x16, row by row, less its mean and of length 1, whatever the exposure: the distance
    between two is that of their correlation. It turns and changes sign with the image. The colour is the mean
    difference between the channels, 0 for a grey image.

    Args:
        images: (B, 3, S, S) in [0, 1].
    """
    images = images.float()
    grey = _small(images.mean(dim=1, keepdim=True)).flatten(1)
    grey = grey - grey.mean(dim=1, keepdim=True)
    pattern = grey / (grey.norm(dim=1, keepdim=True) + FAINT * SIDE)
    colour = (images.amax(dim=1) - images.amin(dim=1)).mean(dim=(1, 2))
    return torch.cat([pattern, COLOUR * colour[:, None]], dim=1)


def _small(grey: Tensor) -> Tensor:
    """Return grey images (B, 1, S, S) averaged to (B, 1, 16, 16), in bins that overlap where 16 does not divide S."""
    if grey.device.type != "mps":
        return F.adaptive_avg_pool2d(grey, SIDE)
    return averaged(averaged(grey, 2), 3)


def averaged(grey: Tensor, dim: int) -> Tensor:
    """Return the means of the 16 bins of one dimension, as adaptive_avg_pool2d has them, to rounding.

    Apple's GPUs lack that function for sizes that 16 does not divide (pytorch #96056).
    """
    size = grey.shape[dim]
    ends = [(number * size // SIDE, -(-(number + 1) * size // SIDE)) for number in range(SIDE)]
    return torch.cat([grey.narrow(dim, start, end - start).mean(dim, keepdim=True) for start, end in ends], dim)
