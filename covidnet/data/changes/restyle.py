"""Random changes of texture and tone that keep the shapes: other hospitals' machines, made up from what is there."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from covidnet.data.changes.kinds import Style

SHARE = 0.5  # of the images of a batch that are changed
KERNEL = 3


def convolution(images: Tensor) -> Tensor:
    """Mix half of the images (B, C, H, W) in [0, 1] with their random convolutions (Xu et al. 2021, arXiv:2007.13003).

    The kernel is 3x3, its weights normal; the result is stretched to [0, 1], and its share uniform in [0, 1].
    """
    batch, channels, height, width = images.shape
    kernels = torch.randn(batch, 1, KERNEL, KERNEL, device=images.device, dtype=images.dtype)
    kernels = kernels.repeat_interleave(channels, dim=0)  # all channels of an image alike: grey stays grey
    side = KERNEL // 2
    padded = F.pad(images, (side, side, side, side), mode="replicate")
    flat = padded.reshape(1, batch * channels, *padded.shape[2:])
    changed = F.conv2d(flat, kernels, groups=batch * channels).view(batch, channels, height, width)
    low, high = changed.amin(dim=(1, 2, 3), keepdim=True), changed.amax(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(images, (changed - low) / (high - low).clamp_min(1e-6), _shares(images))


def amplitude(images: Tensor) -> Tensor:
    """Give half of the images (B, C, H, W) in [0, 1] some of another's Fourier amplitude (FACT: Xu et al. 2021).

    The phase, which holds the shapes, stays (arXiv:2105.11120); the share of the other's amplitude is uniform in
    [0, 1].
    """
    spectrum = torch.fft.rfft2(images)
    own = spectrum.abs()
    other = own[torch.randperm(len(images), device=images.device)]
    mixed = torch.polar(torch.lerp(own, other, _shares(images)), spectrum.angle())
    restyled: Tensor = torch.fft.irfft2(mixed, s=images.shape[2:])
    return restyled.clamp(0, 1)


STYLES: dict[Style, Callable[[Tensor], Tensor]] = {"convolution": convolution, "amplitude": amplitude}


def _shares(images: Tensor) -> Tensor:
    """Draw how much of each image changes (B, 1, 1, 1): none of it for half of the images."""
    amount, chosen = torch.rand(2, len(images), 1, 1, 1, device=images.device, dtype=images.dtype)
    return torch.where(chosen < SHARE, amount, 0.0)
