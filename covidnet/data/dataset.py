"""Images by number -> batches, a whole batch at a time."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from covidnet.batch import PADDING, Batch, TrainingBatch, to_images
from covidnet.data.images import Images

RESIDENT_SHARE = 0.3  # of a GPU's free memory that pixels may take; the rest is for the network
COPIED = 1024  # images that go to the GPU at once


class RadiographDataset(Dataset[TrainingBatch]):
    """Some of the images as batches, gathered by number.

    Where ``finish`` is false, a batch holds pixels (B, C, H, W) uint8 for ``to_images`` to be called on the device; or
    only numbers (B,), where ``resident`` says that the pixels of all images lie there. Where there are ``weights``
    (N,), of the images in the loss, a batch holds its own (B,) too.
    """

    def __init__(self, images: Images, numbers: Sequence[int], augment: Callable[[Tensor], Tensor] | None) -> None:
        self.paths = [images.paths[number] for number in numbers]
        self.labels = torch.tensor([images.labels[number] for number in numbers], dtype=torch.int64)
        self.numbers = np.array(numbers, dtype=np.int64)
        self.gather = images.gather
        self.augment = augment
        self.finish = True
        self.resident = False
        self.features: Tensor | None = None  # (N, F), served in place of the images, from the device where they lie
        self.weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Batch:
        """Return one image (3, H, W) float32 in [0, 1] and its label ()."""
        images, labels, *_ = self.__getitems__([index])
        return images[0], labels[0]

    def __getitems__(self, indices: list[int]) -> TrainingBatch:
        """Return a batch; the loader calls this once for all of its images. The label of ``PADDING`` is itself."""
        images, labels = self._images(indices), self.labels[indices]
        if PADDING in indices:  # some image stands there
            labels = labels.masked_fill(torch.tensor(indices) == PADDING, PADDING)
        return (images, labels) if self.weights is None else (images, labels, self.weights[indices])

    def _images(self, indices: list[int]) -> Tensor:
        if self.features is not None:
            # Without a wait: a GPU's features are looked up there.
            return self.features[torch.as_tensor(indices).to(self.features.device, non_blocking=True)]
        numbers = self.numbers[indices]
        if self.resident:
            return torch.from_numpy(numbers)
        pixels = torch.from_numpy(self.gather(numbers))
        return to_images(pixels, self.augment) if self.finish else pixels


def fits(size: int, device: torch.device) -> bool:
    """Tell whether so many bytes may lie on a GPU all through a training."""
    free, _ = torch.cuda.mem_get_info(device)
    return size <= RESIDENT_SHARE * free


def put_on_device(images: Images, device: torch.device) -> Tensor | None:
    """Return the pixels of all images (N, C, H, W) uint8 on a GPU, or None where they would fill too much of it."""
    _, _, height, width = images.gather(np.zeros(1, dtype=np.int64)).shape
    shape = (len(images.paths), images.channels, height, width)
    if not fits(int(np.prod(shape, dtype=np.int64)), device):
        return None
    resident = torch.empty(shape, dtype=torch.uint8, device=device)
    for start in range(0, len(resident), COPIED):
        part = resident[start : start + COPIED]
        numbers = np.arange(start, start + len(part), dtype=np.int64)
        part.copy_(torch.from_numpy(images.gather(numbers)))  # one channel repeats itself to three
    return resident
