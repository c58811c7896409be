"""RadiographyDataModule: radiographs -> batches, as Lightning asks for them."""

import os
from collections.abc import Iterable
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.overrides.distributed import UnrepeatedDistributedSampler
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from covidnet.batch import Batch, TrainingBatch, to_images
from covidnet.data.changes.augment import AUGMENTATIONS, Chain
from covidnet.data.changes.restyle import STYLES
from covidnet.data.changes.surround import swap_masked_surround, swap_surround
from covidnet.data.dataset import RadiographDataset, fits, put_on_device
from covidnet.data.features import BLOCK, Encoder, features_of
from covidnet.data.images import Numbers
from covidnet.data.radiographs import Radiographs
from covidnet.data.sampler import EpochSampler
from covidnet.errors import UserError
from covidnet.machine.parallel import STALLED

EVALUATION_BATCH = 128  # on a GPU, which smaller batches leave idle; the scores do not depend on it


class RadiographyDataModule(Radiographs, LightningDataModule):
    """Serve ``root/<class>/*`` as batches.

    A seeded holdout is read by ``trainer.test`` alone; the rest is split into training and validation images,
    stratified by class, linked images kept together. Labels index ``classes``. After ``setup``, ``class_counts`` (C,)
    holds the training images per class. Pixels stay in [0, 1]: each model normalises for its own weights.
    Folders and files may be URLs of an object store (s3://bucket/folder): they are copied to this machine first.

    Its keys are those of ``Radiographs``. A data module of another layout is one file: a subclass with a
    ``list_images`` of its own.
    """

    predict_split = "test"  # what ``predict_dataloader`` serves
    resident: Tensor | None = None  # the pixels of all images on the GPU, where they fit

    @cached_property
    def augment(self) -> Chain | None:
        """How training images are changed at random, if they are."""
        change = AUGMENTATIONS.get(self.augmentation)
        swap = swap_masked_surround if self.masks.named else swap_surround
        changes = [
            partial(swap, share=self.surround) if self.surround else None,
            partial(change, unchanged=self.unchanged) if change else None,
            STYLES.get(self.restyle),
        ]
        return Chain([change for change in changes if change]) if any(changes) else None

    @cached_property
    def datasets(self) -> dict[str, RadiographDataset]:
        """The images of each split; only those for training are augmented."""
        datasets = {name: RadiographDataset(self.images, numbers, None) for name, numbers in self.split.items()}
        datasets["train"] = RadiographDataset(self.images.masked, self.split.train, self.augment)
        weights = self.source_weights()
        if weights is not None:
            datasets["train"].weights = torch.as_tensor(weights, dtype=torch.float32)
        return datasets

    @property
    def class_counts(self) -> Tensor:
        """Training images per class (C,) int64."""
        return torch.bincount(self.datasets["train"].labels, minlength=self.num_classes)

    def prepare_data(self) -> None:
        """Decode what the cache lacks, once a machine; the other processes find it there."""
        _ = self.images

    def setup(self, stage: str) -> None:
        """List, check and split the images: every mistake shows before the first step."""
        if "datasets" not in self.__dict__:
            _ = self.datasets
            self.tell()
        if self.trainer:
            self._serve_on(self.trainer.strategy.root_device)

    def on_after_batch_transfer(self, batch: TrainingBatch, dataloader_idx: int) -> TrainingBatch:
        """Make images on the device of a batch that came there as pixels, or as the numbers of those lying there."""
        images = self._images(batch[0], self.augment if self.trainer and self.trainer.training else None)
        if self.trainer:  # what Lightning moved it has converted, but there were no images yet
            images = self.trainer.precision_plugin.convert_input(images)
        return (images, *batch[1:])

    def _images(self, served: Tensor, augment: Chain | None = None) -> Tensor:
        """Return the images of a batch that came to its device as images, as pixels, or as numbers of those there."""
        pixels = served
        if self.resident is not None and served.dtype == torch.int64:
            lungs = self.images.masks is not None and augment is None  # which lie there, and are for training alone
            pixels = self.resident[served][:, :-1] if lungs else self.resident[served]
        return to_images(pixels, augment) if pixels.dtype == torch.uint8 else pixels

    def encode(self, encoder: Encoder) -> None:
        """Serve features (B, F) instead of the images of all splits, computed once an image, and kept where images are.

        In float32, whatever training computes in: what is fitted to the validation images follows from them. On a GPU
        they stay, where they fit.
        """
        assert self.augment is None, "augmented images have no features to keep"
        device = encoder.device
        numbers = np.concatenate([dataset.numbers for dataset in self.datasets.values()])
        features = features_of(
            encoder,
            self.images.gather,
            numbers,
            cache_dir=self.cache_dir,
            keep=bool(self.cache),
            batches=self._pixels,
        )
        resident = device.type == "cuda" and fits(features.nbytes, device)
        parts = torch.split(features, [len(dataset) for dataset in self.datasets.values()])
        for dataset, part in zip(self.datasets.values(), parts, strict=True):
            dataset.features = part.to(device) if resident else part

    def serve_images(self) -> None:
        """Serve images again where features were served."""
        for dataset in self.datasets.values():
            dataset.features = None

    def _pixels(self, numbers: Numbers) -> Iterable[Tensor]:
        """Yield the pixels of images, read by as many processes as batches are."""
        dataset = RadiographDataset(self.images, numbers.tolist(), None)
        dataset.finish = False
        # A generator of its own: the order of the training batches must not depend on this pass.
        own = torch.Generator()
        loader = DataLoader(
            dataset, batch_size=BLOCK, num_workers=self.workers, collate_fn=_already_a_batch, generator=own
        )
        return (pixels for pixels, _ in loader)

    @property
    def workers(self) -> int:
        """Processes that load batches."""
        return self.num_workers if self.num_workers is not None else (0 if self.cache else os.cpu_count() or 1)

    def train_dataloader(self) -> DataLoader[TrainingBatch]:
        """Return the training batches in a random order."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation batches, in order, each image once over all processes."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the test batches, in order, each image once over all processes."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of ``predict_split``, the test if it was not changed."""
        return self._loader(self.predict_split)

    def _loader(self, name: str, *, shuffle: bool = False) -> DataLoader[Any]:
        dataset = self.datasets[name]
        world_size, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        if not dataset:
            raise UserError(
                f"The {name} split holds no images. Change data.split_file, data.val_fraction or data.test_per_class."
            )
        if len(dataset) < world_size:
            raise UserError(
                f"The {name} split holds {len(dataset)} images, fewer than the {world_size} processes. Use fewer "
                "trainer.devices, or change data.val_fraction or data.test_per_class."
            )
        # Lightning's own sampler for evaluation repeats images to even out the processes, which changes the numbers.
        sampler: Sampler[int] | None = None
        if shuffle:
            sampler = EpochSampler(dataset, world_size, rank)
        elif world_size > 1:
            sampler = UnrepeatedDistributedSampler(dataset, num_replicas=world_size, rank=rank, shuffle=False)
        on_gpu = not dataset.finish
        # Of features nothing is to be decoded, and a worker cannot read what lies on a GPU.
        workers = self.workers if dataset.features is None else 0
        return DataLoader(
            dataset,
            batch_size=max(self.batch_size, EVALUATION_BATCH) if on_gpu and name != "train" else self.batch_size,
            sampler=sampler,
            generator=sampler.generator if isinstance(sampler, EpochSampler) else None,
            num_workers=workers,
            timeout=STALLED if workers else 0,
            # Workers that augment begin anew with each epoch's seed; what others load depends on no random number.
            persistent_workers=workers > 0 and not (dataset.augment and dataset.finish),
            # So that the copy does not hold up the CPU.
            pin_memory=on_gpu and not dataset.resident and dataset.features is None,
            collate_fn=_already_a_batch,
        )

    def _serve_on(self, device: torch.device) -> None:
        """Have batches finished on a GPU, from pixels that lie there if they fit."""
        on_gpu = device.type == "cuda"
        if on_gpu and self.cache and (self.resident is None or self.resident.device != device):
            self.resident = put_on_device(self.images.masked, device)
        for dataset in self.datasets.values():
            dataset.finish = not on_gpu
            dataset.resident = on_gpu and self.resident is not None


def _already_a_batch(batch: Any) -> Any:
    return batch
