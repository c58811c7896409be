"""Random, label-preserving changes of training images: each image its own, a whole batch at a time."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION = math.radians(5)
ZOOM = 0.05
SHIFT = 0.03  # of the image's side
BRIGHTNESS = 0.05
CONTRAST = 0.1


def mild(images: Tensor) -> Tensor:
    """Rotate, zoom, shift and re-expose each image (B, 3, H, W) in [0, 1] a little; no flip, which moves the heart.

    Each amount is drawn uniformly from plus or minus its bound, an image at a time, from torch's random state.
    """
    batch = len(images)
    angle, zoom, across, down, brightness, contrast = (
        torch.rand(6, batch, device=images.device, dtype=images.dtype) * 2 - 1
    )
    angle, zoom = angle * ROTATION, 1 + zoom * ZOOM
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = [
        torch.stack([cosine, -sine, across * 2 * SHIFT], dim=1),  # grid coordinates span 2, hence the factor
        torch.stack([sine, cosine, down * 2 * SHIFT], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    gain = (1 + contrast * CONTRAST).view(-1, 1, 1, 1)
    exposed: Tensor = moved * gain + (brightness * BRIGHTNESS).view(-1, 1, 1, 1)
    return exposed.clamp(0, 1)
