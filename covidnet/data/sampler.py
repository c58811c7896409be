"""The order of the training images: one for an epoch, however many processes share it."""

from collections.abc import Iterator, Sized
from typing import Any, cast

import torch
from torch.utils.data import DistributedSampler

from covidnet.batch import PADDING
from covidnet.seeds import derived_seed, run_seed


class EpochSampler(DistributedSampler[Any]):
    """Deal one permutation of the images to the processes, image by image.

    With B images a process, step k of W processes takes the images k*B*W to (k+1)*B*W of the permutation, the same
    as one process takes with B*W. It depends on the run's seed and the epoch alone, so that a resumed epoch has it too.
    Where W does not divide the images, shares are filled up with ``PADDING``, which counts for nothing;
    DistributedSampler repeats images instead.

    Args:
        dataset: What has a length N.
        num_replicas: Number of processes W.
        rank: This process, 0 to W - 1.
    """

    def __init__(self, dataset: Sized, num_replicas: int, rank: int) -> None:
        super().__init__(cast(Any, dataset), num_replicas, rank)
        self.size = len(dataset)
        self.base = run_seed() or 0
        self.generator = torch.Generator()  # of the loader, which seeds worker processes with it
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of an epoch, 0 for the first; Lightning calls this before it begins."""
        super().set_epoch(epoch)
        self.generator.manual_seed(derived_seed(self.base, epoch, self.rank, 1))

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of this process's images, 0 to N - 1, and at the end perhaps ``PADDING``."""
        order = torch.Generator().manual_seed(derived_seed(self.base, self.epoch))
        numbers = torch.full((self.num_replicas * -(-self.size // self.num_replicas),), PADDING)
        numbers[: self.size] = torch.randperm(self.size, generator=order)
        return iter(numbers[self.rank :: self.num_replicas].tolist())
