"""A model over numbered pixels: the one loop outside training that makes images, asks the model, and tells how far."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from covidnet.batch import to_images
from covidnet.machine.parallel import progress_bar
from covidnet.machine.precision import full_precision
from covidnet.models.network import Network

BATCH = 128  # images the model sees at once; what it says does not depend on it


@torch.inference_mode()
def outputs_of(
    model: Network,
    gather: Callable[[NDArray[np.int64]], NDArray[np.uint8]],
    numbers: NDArray[np.int64],
    device: torch.device,
    *,
    title: str,
    encoded: Tensor | None = None,
    after: float | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits (N, C) and features (N, F) of the images with these numbers, in their order, in float32.

    Args:
        model: In evaluation mode, on ``device``; images and mirror images are averaged as it has it.
        gather: Numbers (B,) -> pixels (B, C, S, S).
        numbers: (N,) of the images.
        device: Where the model is.
        title: Of the progress bar.
        encoded: (N, ...) of these images, what the network's last part takes, where that has been computed.
        after: Seconds after which it comes, on a terminal alone; at once and to stay where left out.
    """
    few = len(numbers) <= BATCH
    logits: list[NDArray[np.float32]] = []
    features: list[NDArray[np.float32]] = []
    with full_precision(device.type), progress_bar(len(numbers), title, hidden=few, after=after) as bar:
        for start in range(0, len(numbers), BATCH):
            pixels = torch.from_numpy(gather(numbers[start : start + BATCH])).to(device)
            own = encoded[start : start + BATCH].to(device) if encoded is not None else None
            for parts, part in zip((logits, features), model.logits_and_features(to_images(pixels), own), strict=True):
                parts.append(part.float().cpu().numpy())
            bar.update(len(pixels))
    return np.concatenate(logits), np.concatenate(features)
