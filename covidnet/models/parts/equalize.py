"""Histogram equalisation as the first layer of a model."""

import torch
from torch import Tensor, nn

LEVELS = 256  # grey values that are told apart, as those of 8-bit images


class Equalize(nn.Module):
    """Spread the grey values of each image evenly: what is left does not tell how an image was exposed.

    A pixel becomes the share of its image's pixels that are no brighter, scaled so that the darkest grey is 0 and the
    brightest 1 (Gonzalez and Woods, Digital Image Processing, section 3.3). Colours become grey. An image of one grey
    alone becomes black. As a layer it is part of whatever uses the model, and it runs inside a CUDA graph.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return images (B, 3, H, W) in [0, 1] equalised, in their type, their channels alike.

        Counting has no gradient; where one is asked for, it is passed on as it is (straight-through, Bengio et al.
        2013, arXiv:1308.3432), so that heat maps work behind a frozen backbone too.
        """
        equal = _equalize(images.detach())
        return equal + (images - images.detach()) if images.requires_grad else equal


def _equalize(images: Tensor) -> Tensor:
    batch, channels, height, width = images.shape
    grey = images.float().mean(dim=1)
    levels = (grey * (LEVELS - 1)).round().clamp(0, LEVELS - 1).long().view(batch, -1)
    counts = torch.zeros(batch, LEVELS, dtype=torch.float32, device=images.device)  # whatever the default type is
    counts = counts.scatter_add(1, levels, torch.ones_like(levels, dtype=counts.dtype))  # whole numbers: exact
    no_brighter = counts.cumsum(dim=1)
    darkest = no_brighter.gather(1, levels.amin(dim=1, keepdim=True))
    shares = (no_brighter - darkest) / (height * width - darkest).clamp_min(1)
    equal = shares.gather(1, levels).view(batch, 1, height, width).to(images.dtype)
    return equal.expand(-1, channels, -1, -1).contiguous(memory_format=torch.channels_last)
