"""Radiographs -> where their lungs lie, and how far that can be relied on.

For other code: ``lung_masks(images: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]`` takes grey
images (N, S, S) and returns their masks (N, S, S) and the quality of each mask (N,).
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_fill_holes, label
from torch import Tensor

from covidnet.models.lung_network import SIDE, lung_network

BATCH = 32  # images at once; what is said of one does not depend on it
BLANK = 5  # standard deviation of the greys, of 255: an image with less shows nothing but its noise
LUNGS = 2  # parts that a mask has at most
LEAST_PART = 0.1  # of the larger lung: a smaller part is none
MARGIN = 0.01  # in probability, between what is lung and what is not after parts were dropped and holes filled
USUAL_AREA = (0.10, 0.60)  # of the image: lungs that take less or more are hardly those of a whole chest
USUAL_RATIO = 0.35  # of the smaller lung's area to the larger's; of one lung alone it is 0
HALF = 0.5


class Network(Protocol):
    """What tells of images (B, 1, 128, 128) in [0, 1] the logits of lung."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return them (B, 1, 128, 128)."""
        ...


def lung_masks(images: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the lung masks (N, S, S) of grey images (N, S, S), at their size, and the quality of each mask (N,).

    A mask holds the lungs with what of them lies behind the heart. Where no lung is seen, as in a blank image, it is
    empty and its quality 0. The quality is in [0, 1]; see ``lung_maps``.
    """
    count, height, width = images.shape
    small = torch.from_numpy(images)[:, None].float()
    small = F.interpolate(small, (SIDE, SIDE), mode="bilinear", antialias=True).round().clamp(0, 255)
    maps, quality = lung_maps(small[:, 0].to(torch.uint8).numpy())
    masks = [at_size(one, width, height) for one in maps]
    return np.array(masks, dtype=np.bool_).reshape(count, height, width), quality


@torch.inference_mode()
def lung_maps(
    images: NDArray[np.uint8], network: Network | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the probability of lung (N, 128, 128) in grey images (N, 128, 128), and the quality of each mask (N,).

    Above one half is the mask: the two largest parts, without holes. The probability is the mean of the image's and of
    its mirror image's. The quality is a product of three numbers in [0, 1]:

    - how sure the network is: the Dice that the mask is expected to have, if the probabilities hold;
    - the Dice between the mask of the image and that of its mirror image;
    - how usual it is: 1 where two lungs of comparable size take a usual part of the image.

    Args:
        images: N images.
        network: Another than covidnet's own.
    """
    network = network or lung_network()
    maps, quality = [np.empty((0, SIDE, SIDE), np.float32)], []
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(images[start : start + BATCH])[:, None].float() / 255
        shown = batch.std(dim=(1, 2, 3), keepdim=True) >= BLANK / 255
        plain = (network(batch).sigmoid() * shown)[:, 0].numpy()
        mirrored = (network(batch.flip(-1)).sigmoid().flip(-1) * shown)[:, 0].numpy()
        for one, other in zip(plain, mirrored, strict=True):
            mean = (one + other) / 2
            mask, usual = _lungs(mean > HALF)
            maps.append(np.where(mask, mean.clip(HALF + MARGIN, 1), mean.clip(0, HALF - MARGIN))[None])
            sure = 2 * mean[mask].sum() / max(mask.sum() + mean.sum(), 1.0)
            quality.append(float(sure) * dice(one > HALF, other > HALF) * usual)
    return np.concatenate(maps), np.array(quality, dtype=np.float64)


def at_size(probability: NDArray[np.float32], width: int, height: int) -> NDArray[np.bool_]:
    """Return the mask (H, W) of a map of ``lung_maps``, at the size of its image in pixels."""
    grey = Image.fromarray(np.rint(255 * probability).astype(np.uint8))
    return np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR)) > 127


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two masks: 1 where they are the same, 0 where they share nothing or are empty."""
    both = np.count_nonzero(one) + np.count_nonzero(other)
    return float(2 * np.count_nonzero(one & other) / both) if both else 0.0


def _lungs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], float]:
    """Return the two largest parts of a mask without their holes, and how usual that looks in [0, 1]."""
    parts, _ = label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0  # what is no lung
    kept = np.argsort(-sizes, kind="stable")[:LUNGS]
    kept = kept[sizes[kept] > LEAST_PART * sizes.max()]
    lungs = np.asarray(binary_fill_holes(np.isin(parts, kept)), dtype=np.bool_)
    return lungs, _usual(sizes[kept], float(lungs.mean()))


def _usual(sizes: Sequence[int] | NDArray[np.int64], area: float) -> float:
    """Return how usual the sizes of the parts and their share of the image are, from 0 to 1."""
    if not len(sizes):
        return 0.0
    ratio = sizes[1] / sizes[0] if len(sizes) == LUNGS else 0.0
    low, high = USUAL_AREA
    fits = min(1.0, area / low, (1 - area) / (1 - high))
    return fits * (HALF + HALF * min(1.0, ratio / USUAL_RATIO))
