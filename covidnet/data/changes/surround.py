"""Put the surround of one image's lungs around another's: what lies there then tells nothing of the lungs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from covidnet.lung_box import lung_box

SEAM = 1 / 24  # of the image's side, over which one image fades into the other: a hard edge would mark what is swapped


def swap_surround(images: Tensor, share: float) -> Tensor:
    """Give a share of the images (B, C, H, W) what another image of the batch shows outside of ``lung_box``.

    Whose it is is drawn without regard to the class, as "mixed-rand" of Xiao et al. (2021, arXiv:2006.09994) draws
    backgrounds: markers, borders and collimation then go with every class alike.
    """
    _, _, height, width = images.shape
    top, bottom, left, right = lung_box(height, width)
    inside = _ramp(height, top, bottom, images)[:, None] * _ramp(width, left, right, images)
    return _swapped(images, share, inside)


def swap_masked_surround(masked: Tensor, share: float) -> Tensor:
    """Do the same outside of each image's own lungs, which are the last channel (B, C + 1, H, W), 1 inside.

    Returns:
        The images alone (B, C, H, W).
    """
    images, lungs = masked[:, :-1], masked[:, -1:]
    side = 2 * round(SEAM * images.shape[-1] / 2) + 1
    inside = F.avg_pool2d(lungs, side, stride=1, padding=side // 2, count_include_pad=False)
    return _swapped(images, share, inside)


def _swapped(images: Tensor, share: float, inside: Tensor) -> Tensor:
    """Lay a share of the images over other ones, where ``inside`` is 1."""
    batch = len(images)
    swapped = (torch.rand(batch, device=images.device) < share).view(-1, 1, 1, 1)
    others = images[torch.randperm(batch, device=images.device)]
    return torch.where(swapped, torch.lerp(others, images, inside), images)


def _ramp(size: int, start: int, end: int, images: Tensor) -> Tensor:
    """Return 1 for pixels of a row from ``start`` to ``end`` and 0 elsewhere, with a slope across both."""
    middle = torch.arange(size, device=images.device, dtype=images.dtype) + 0.5
    return (torch.minimum(middle - start, end - middle) / (SEAM * size) + 0.5).clamp(0, 1)
