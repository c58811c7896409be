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
    grey = F.adaptive_avg_pool2d(images.mean(dim=1, keepdim=True), SIDE).flatten(1)
    grey = grey - grey.mean(dim=1, keepdim=True)
    pattern = grey / (grey.norm(dim=1, keepdim=True) + FAINT * SIDE)
    colour = (images.amax(dim=1) - images.amin(dim=1)).mean(dim=(1, 2))
    return torch.cat([pattern, COLOUR * colour[:, None]], dim=1)
