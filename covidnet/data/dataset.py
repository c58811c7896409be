"""Images by number -> batches, a whole batch at a time."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from covidnet.data.cache import decode_file
from covidnet.data.image import Interpolation
from covidnet.data.split import TEST_PREFIX
from covidnet.errors import UserError
from covidnet.types import PADDING, Batch, TrainingBatch

Numbers = NDArray[np.int64]
RESIDENT_SHARE = 0.3  # of a GPU's free memory that pixels may take; the rest is for the network
COPIED = 1024  # images that go to the GPU at once


class Images(NamedTuple):
    """The readable images of a folder, numbered from 0, and how to get at their pixels."""

    paths: list[str]
    labels: list[int]
    channels: int  # C, 1 or 3
    gather: Callable[[Numbers], NDArray[np.uint8]]  # (B,) -> (B, C, H, W)
    thumbnails: NDArray[np.uint8]  # (N, THUMBNAIL, THUMBNAIL)


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
        self.features: Tensor | None = None  # (N, F), served in place of the images
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
            return self.features[indices]
        numbers = self.numbers[indices]
        if self.resident:
            return torch.from_numpy(numbers)
        pixels = torch.from_numpy(self.gather(numbers))
        return to_images(pixels, self.augment) if self.finish else pixels


def to_images(pixels: Tensor, augment: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Return pixels (B, C, H, W) uint8 as images (B, 3, H, W) float32 in [0, 1], augmented, on their device."""
    images = pixels.to(torch.float32).div_(255)
    if augment:
        images = augment(images)  # of one channel where there is but one: a third of the work
    return images.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)  # as the models compute


def put_on_device(images: Images, device: torch.device) -> Tensor | None:
    """Return the pixels of all images (N, C, H, W) uint8 on a GPU, or None where they would fill too much of it."""
    _, _, height, width = images.gather(np.zeros(1, dtype=np.int64)).shape
    shape = (len(images.paths), images.channels, height, width)
    free, _ = torch.cuda.mem_get_info(device)
    if np.prod(shape, dtype=np.int64) > RESIDENT_SHARE * free:
        return None
    resident = torch.empty(shape, dtype=torch.uint8, device=device)
    for start in range(0, len(resident), COPIED):
        part = resident[start : start + COPIED]
        numbers = np.arange(start, start + len(part), dtype=np.int64)
        part.copy_(torch.from_numpy(images.gather(numbers)))  # one channel repeats itself to three
    return resident


class Stream:
    """Decode images each time they are asked for: for data larger than the disk. It travels to worker processes."""

    def __init__(self, root: Path, paths: Sequence[str], size: int, interpolation: Interpolation) -> None:
        self.root = root
        self.paths = paths
        self.size = size
        self.interpolation: Interpolation = interpolation

    def __call__(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Return the images with these numbers as (B, 3, H, W)."""
        return np.stack([self._decode(self.paths[number]) for number in numbers])

    def _decode(self, path: str) -> NDArray[np.uint8]:
        decoded = decode_file(self.root, path, self.size, self.interpolation)
        if decoded.pixels is None:
            raise UserError(f"{self.root / path} could be read when the run began, but now {decoded.reason}.")
        return np.broadcast_to(decoded.pixels, (3, self.size, self.size))


def join(first: Images, second: Images) -> Images:
    """Number the images of a root, then those of its test root, whose paths begin with ``test:``."""
    paths = [*first.paths, *(TEST_PREFIX + path for path in second.paths)]
    channels = max(first.channels, second.channels)
    thumbnails = np.concatenate([first.thumbnails, second.thumbnails])
    return Images(paths, [*first.labels, *second.labels], channels, _Joined(first, second), thumbnails)


class _Joined:
    """The images of a root, then those of its test root."""

    def __init__(self, first: Images, second: Images) -> None:
        self.first = first
        self.second = second

    def __call__(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Return the images with these numbers as (B, C, H, W)."""
        own = numbers < len(self.first.paths)
        if own.all():
            return self.first.gather(numbers)
        others = self.second.gather(numbers[~own] - len(self.first.paths))
        if not own.any():
            return others
        pixels = np.empty((len(numbers), 3, *others.shape[2:]), dtype=np.uint8)
        pixels[own], pixels[~own] = self.first.gather(numbers[own]), others  # one channel repeats itself to three
        return pixels
