"""Random, label-preserving changes of training images: each image its own, a whole batch at a time.

All amounts are drawn from torch's random state, on the device of the images.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from covidnet.data.changes.kinds import Augmentation

MILD_ROTATION, MILD_ZOOM, MILD_SHIFT = math.radians(5), (0.95, 1.05), 0.03
BRIGHTNESS, MILD_CONTRAST = 0.05, 0.1

ROTATION = math.radians(17)
VIEW = (0.55, 1.15)  # side of what is shown, as a share of the image's: 0.55 magnifies, 1.15 shows black around it
SHIFT = 0.15  # of the image's side
GAMMA = 0.7  # greatest absolute value of its natural logarithm
CONTRAST = 0.3
SHARPNESS = 1.0  # at -1 the image is blurred, at 1 what a blur takes away is added once more
NOISE = 0.2  # greatest share of the image's own standard deviation, a quarter of the whole range: so 5 % of that
RECTANGLE = (0.1, 0.4)  # its sides, as shares of the image's


class Change(Protocol):
    """What changes a batch of images (B, C, H, W) in [0, 1], but for a share of them."""

    def __call__(self, images: Tensor, unchanged: float = 0.0) -> Tensor:
        """Return the batch."""
        ...


def mild(images: Tensor, unchanged: float = 0.0) -> Tensor:
    """Rotate, zoom, shift and re-expose each image (B, C, H, W) in [0, 1] a little; no flip, which moves the heart.

    A share of them, ``unchanged``, is left as it is.
    """
    kept = _kept(images, unchanged)
    batch = len(images)
    angle, across, down = (_between(-1, 1, images) for _ in range(3))
    view = 1 / _between(*MILD_ZOOM, images)
    brightness, contrast = _between(-BRIGHTNESS, BRIGHTNESS, images), _between(-MILD_CONTRAST, MILD_CONTRAST, images)
    moved = _move(images, angle * MILD_ROTATION, view, across * MILD_SHIFT, down * MILD_SHIFT)
    exposed: Tensor = moved * (1 + contrast).view(batch, 1, 1, 1) + brightness.view(batch, 1, 1, 1)
    return exposed.clamp(0, 1) if kept is None else torch.where(kept, images, exposed.clamp(0, 1))


def strong(images: Tensor, unchanged: float = 0.0) -> Tensor:
    """Change each image (B, C, H, W) in [0, 1] so much that neither exposure nor position names its source.

    Contrast 0.7 to 1.3 about the image's mean; gamma e^-0.7 to e^0.7; anything from blurred to sharpened; noise of up
    to 5 %; then rotation by up to 17 degrees, 0.55 to 1.15 of the side shown, moved by up to 15 %, mirrored or not,
    black outside the frame; and one grey rectangle. Mirroring moves the heart to the other side: what tells these
    classes apart does not depend on it. A share of the images, ``unchanged``, is left as it is: a model that has seen
    none of those is worse at home, and one that has seen many learns from them what the rest was to take away.
    """
    shape = (len(images), 1, 1, 1)
    changed = _sharpen(images, _between(-SHARPNESS, SHARPNESS, images).view(shape))
    mean = changed.mean(dim=(1, 2, 3), keepdim=True)
    changed = mean + (changed - mean) * _between(1 - CONTRAST, 1 + CONTRAST, images).view(shape)
    # A pixel's own power: the exponent is the same for all pixels of an image.
    changed = changed.clamp(0, 1) ** _between(-GAMMA, GAMMA, images).exp().view(shape)
    # Before the image is moved, so that what lies outside the frame is black and not noisy; by its own contrast, so
    # that equalisation does not raise the noise of a faint image above what it shows.
    deviation = changed.std(dim=(1, 2, 3), correction=0, keepdim=True)
    noise = torch.randn_like(changed[:, :1]) * deviation * _between(0, NOISE, images).view(shape)
    changed = (changed + noise).clamp(0, 1)
    angle, across, down = (_between(-1, 1, images) for _ in range(3))
    side = torch.where(_between(0, 1, images) < 0.5, -1.0, 1.0)
    moved = _move(changed, angle * ROTATION, _between(*VIEW, images), across * SHIFT, down * SHIFT, side)
    kept = _kept(images, unchanged)
    covered = _cover(moved)
    return covered if kept is None else torch.where(kept, images, covered)


AUGMENTATIONS: dict[Augmentation, Change] = {"mild": mild, "strong": strong}


def _kept(images: Tensor, unchanged: float) -> Tensor | None:
    """Draw which images are left as they are (B, 1, 1, 1); None where all are changed."""
    return (_between(0, 1, images) < unchanged).view(-1, 1, 1, 1) if unchanged else None


def _between(low: float, high: float, images: Tensor) -> Tensor:
    """Draw a number for each image (B,), uniformly."""
    return torch.rand(len(images), device=images.device, dtype=images.dtype) * (high - low) + low


def _move(
    images: Tensor, angle: Tensor, view: Tensor, across: Tensor, down: Tensor, side: Tensor | float = 1.0
) -> Tensor:
    """Show each image through a frame that is turned, scaled, shifted and, where ``side`` is -1, mirrored.

    All are (B,): ``angle`` in radians, ``view`` and the shifts as shares of the image's side.
    """
    cosine, sine = torch.cos(angle) * view, torch.sin(angle) * view
    rows = [
        torch.stack([cosine * side, -sine, across * 2], dim=1),  # grid coordinates span 2, hence the factor
        torch.stack([sine * side, cosine, down * 2], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _sharpen(images: Tensor, amount: Tensor) -> Tensor:
    """Add ``amount`` (B, 1, 1, 1) times what a 3x3 binomial blur takes away."""
    channels = images.shape[1]
    # Counted where the images are: numbers that come from the CPU would hold up a GPU in each step.
    row = 0.5 - 0.25 * (torch.arange(3, device=images.device, dtype=images.dtype) - 1).abs()  # 1/4, 1/2, 1/4
    kernel = torch.outer(row, row).expand(channels, 1, 3, 3)
    blurred = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=channels)
    return images + amount * (images - blurred)


def _cover(images: Tensor) -> Tensor:
    """Cover a rectangle of each image with a grey of its own (random erasing, Zhong et al. 2020, arXiv:1708.04896)."""
    *_, height, width = images.shape
    inside = []
    for size in (height, width):
        length = _between(*RECTANGLE, images)
        start = _between(0, 1, images) * (1 - length)
        middle = (torch.arange(size, device=images.device) + 0.5) / size
        inside.append((middle >= start[:, None]) & (middle < (start + length)[:, None]))
    covered = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(covered, _between(0, 1, images).view(-1, 1, 1, 1), images)


class Chain:
    """One function after the other. It travels to worker processes."""

    def __init__(self, functions: Sequence[Callable[[Tensor], Tensor]]) -> None:
        self.functions = functions

    def __call__(self, images: Tensor) -> Tensor:
        """Return images (B, C, H, W) changed by each function in turn."""
        for function in self.functions:
            images = function(images)
        return images
