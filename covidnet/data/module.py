"""RadiographyDataModule: a folder of radiographs -> batches."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from pytorch_lightning.overrides.distributed import UnrepeatedDistributedSampler
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from covidnet.batch import Batch, TrainingBatch, to_images
from covidnet.data.cache import check_images, open_cache
from covidnet.data.changes.augment import AUGMENTATIONS, Augmentation, Chain
from covidnet.data.changes.lungs import Gather, Lungs, LungView, draw_others, mask_paths
from covidnet.data.changes.restyle import STYLES, Style
from covidnet.data.changes.surround import swap_surround
from covidnet.data.dataset import RadiographDataset, put_on_device
from covidnet.data.division.duplicates import find_duplicates
from covidnet.data.division.metadata import NAME as METADATA
from covidnet.data.division.metadata import Metadata, find_metadata, linked_groups, read_metadata
from covidnet.data.division.sources import UNKNOWN, balanced_weights, sources_of
from covidnet.data.division.split import TEST_PREFIX, Split, read_split, seeded_split, write_split
from covidnet.data.folder import RadiographFolder
from covidnet.data.images import Images, Numbers, Stream, join
from covidnet.data.sampler import EpochSampler
from covidnet.errors import UserError, require
from covidnet.files.mirror import mirror_file, mirror_folder
from covidnet.files.store import check_url, is_url, split_url
from covidnet.imaging.decode import Interpolation
from covidnet.machine.parallel import STALLED, progress_bar

EVALUATION_BATCH = 128  # on a GPU, which smaller batches leave idle; the scores do not depend on it
LISTED = 10  # so many files are named in a warning, the rest counted


class RadiographyDataModule(LightningDataModule):
    """Serve ``root/<class>/*`` as batches.

    A seeded holdout is read by ``trainer.test`` alone; the rest is split into training and validation images,
    stratified by class, linked images kept together. Labels index ``classes``. After ``setup``, ``class_counts`` (C,)
    holds the training images per class. Pixels stay in [0, 1]: each model normalises for its own weights.
    Folders and files may be URLs of an object store (s3://bucket/folder): they are copied to this machine first.

    Args:
        root: Folder that holds one folder of radiographs a class; "data/COVID-19 Radiography Database" where left out.
        image_size: Side in pixels to which every image is resized; its aspect is not kept.
        batch_size: Images a training step, on each device.
        classes: Which class folders, in the order of their labels; all of them, sorted, where left out.
        seed: Seed of the split and of the holdout.
        val_fraction: Share of the images outside the holdout that validate, between 0 and 1.
        test_per_class: Images a class that are held out for the test, where there is no test root.
        test_root: Folder of test images by class; where left out, the folder "<root> Test" if there is one.
        split_file: A split.csv to use instead of drawing a split.
        metadata: Table (path, patient, group, source) whose patients and groups stay together; "none" for no table;
            where left out, metadata.csv in the root or its parent folder if there is one.
        duplicates: Keep images that show one radiograph on one side of the split, as those of a patient.
        interpolation: "bilinear", antialiased; or "nearest", as Keras resized in the tutorial.
        lungs: "whole" images; the lungs "covered", black; "only" the lungs; or the lungs with the surround "swapped"
            for another image's. By mask files where every image has one, else by a central box.
        augment: Change training images at random: "mild" a little, "strong" so much that neither exposure nor position
            tells where they come from.
        unchanged: Share of the training images that augmentation leaves as they are, in [0, 1).
        surround: Share of the training images, in [0, 1], that show another image's surround around their own lungs, by
            the central box; before augmentation.
        restyle: Give half of the training images another texture: by a random "convolution", or some of the Fourier
            "amplitude" of another image.
        balance: What weighs alike in the loss: each "class", or within it each "source" of the table too.
        num_workers: Processes that load batches; where left out, none with a cache and one a core without.
        cache: Keep decoded images on disk; "verify" compares the bytes of every file first; false decodes anew.
        cache_dir: Where decoded images and copies out of a store are kept; the user's cache folder where left out.
        on_error: "raise" lists all unreadable images and stops; "skip" lists them and goes on without them.
    """

    default_root = Path("data", "COVID-19 Radiography Database")
    notice = ""  # what every output on these images must say about them

    def __init__(
        self,
        root: str | None = None,
        image_size: int = 50,
        batch_size: int = 250,
        classes: list[str] | None = None,
        seed: int = 28,
        val_fraction: float = 0.2,
        test_per_class: int = 40,
        test_root: str | None = None,
        split_file: str | None = None,
        metadata: str | None = None,
        duplicates: bool = True,
        interpolation: Interpolation = "bilinear",
        lungs: Lungs = "whole",
        augment: Augmentation = "none",
        unchanged: float = 0.0,
        surround: float = 0.0,
        restyle: Style = "none",
        balance: Literal["class", "source"] = "class",
        num_workers: int | None = None,
        cache: bool | Literal["verify"] = True,
        cache_dir: str | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        super().__init__()
        require(0 < val_fraction < 1, "data.val_fraction", val_fraction, "a share between 0 and 1")
        require(image_size > 0, "data.image_size", image_size, "1 pixel or more")
        require(batch_size > 0, "data.batch_size", batch_size, "1 image or more")
        require(test_per_class >= 0, "data.test_per_class", test_per_class, "0 or more images")
        require(num_workers is None or num_workers >= 0, "data.num_workers", num_workers, "0 or more processes")
        places = {"root": root, "test_root": test_root, "split_file": split_file, "metadata": metadata}
        for name, given in places.items():
            if given and is_url(given):
                check_url(given, f"data.{name}")  # now: a password must not come into config.yaml
        self.given_root = root
        self.image_size = image_size
        self.batch_size = batch_size
        self.wanted_classes = classes
        self.seed = seed
        self.val_fraction = val_fraction
        self.test_per_class = test_per_class
        self.given_test_root = test_root
        self.given_split_file = split_file
        self.given_metadata = metadata
        self.group_duplicates = duplicates
        self.interpolation: Interpolation = interpolation
        self.lungs: Lungs = lungs
        require(0 <= unchanged < 1, "data.unchanged", unchanged, "a share, 0 or more and below 1")
        require(0 <= surround <= 1, "data.surround", surround, "a share from 0 to 1")
        change = AUGMENTATIONS.get(augment)
        changes = [
            partial(swap_surround, share=surround) if surround else None,
            partial(change, unchanged=unchanged) if change else None,
            STYLES.get(restyle),
        ]
        self.augment = Chain([change for change in changes if change]) if any(changes) else None
        self.balance = balance
        self.num_workers = num_workers
        self.cache = cache
        self.cache_dir = _path(cache_dir)
        self.on_error = on_error
        self.predict_split = "test"  # what ``predict_dataloader`` serves
        self.resident: Tensor | None = None  # the pixels of all images on the GPU, where they fit

    @cached_property
    def root(self) -> Path:
        """The folder of the images; its local copy where it is in a store."""
        return self._local_folder(self.given_root, "data.root") or self.default_root

    @cached_property
    def split_file(self) -> Path | None:
        """The split to use, if one was given."""
        return self._local_file(self.given_split_file, "data.split_file")

    @cached_property
    def folder(self) -> RadiographFolder:
        """The images and classes of the root, listed once."""
        return RadiographFolder(self.root, self.wanted_classes)

    @cached_property
    def test_root(self) -> Path | None:
        """The separate folder of test images, if there is one."""
        given = self._local_folder(self.given_test_root, "data.test_root")
        here = self.root.absolute()
        sibling = here.with_name(f"{here.name} Test") if here.name else here
        return given or (sibling if sibling.is_dir() and sibling != here else None)

    @cached_property
    def test_folder(self) -> RadiographFolder | None:
        """The images of the test root, if there is one."""
        root = self.test_root
        if root and root.resolve() == self.root.resolve():
            raise UserError(f"data.test_root={root} is data.root itself: the test would be on the training images.")
        return RadiographFolder(root, self.classes, key="data.test_root") if root else None

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their labels."""
        return list(self.folder.classes)

    @property
    def num_classes(self) -> int:
        """Number of classes C; the command line links it to the model before ``setup``."""
        return len(self.folder.classes)

    @cached_property
    def images(self) -> Images:
        """The readable images of the root, then those of the test root, whose paths begin with ``test:``."""
        images = self._open(self.folder)
        return join(images, self._open(self.test_folder)) if self.test_folder else images

    @cached_property
    def metadata(self) -> Metadata | None:
        """The table of patients, groups and sources, if there is one."""
        if self.given_metadata == "none":
            return None
        file = self._local_file(self.given_metadata, "data.metadata") or find_metadata(self.root)
        if file is None:
            return None
        metadata = read_metadata(file, self.root, self.folder.paths)
        if not metadata.rows:
            raise UserError(
                f"{file} names {metadata.unmatched} images, but none of those in {self.root}. Its paths must be "
                "relative to data.root or to the table's own folder. Change data.metadata (or none)."
            )
        return metadata

    @cached_property
    def duplicates(self) -> Numbers:
        """Pairs of images (P, 2) that show one radiograph; the same whatever the image size."""
        thumbnails = self.images.thumbnails
        return find_duplicates(thumbnails if self.group_duplicates else thumbnails[:0]).pairs

    @cached_property
    def split(self) -> Split:
        """Numbers of the images in each split."""
        paths, labels = self.images.paths, self.images.labels
        if self.split_file:
            split, unnamed = read_split(self.split_file, paths, labels, self.classes)
            if unnamed:
                rank_zero_warn(f"{len(unnamed)} images are not in {self.split_file} and take no part: {_some(unnamed)}")
            lacking = set(range(self.num_classes)) - {labels[number] for number in split.train}
            if lacking:
                names = [self.classes[label] for label in sorted(lacking)]
                raise UserError(
                    f"{self.split_file} has no training images of {names}. "
                    "Change data.split_file, or leave these classes out of data.classes."
                )
            return split
        return self._draw_split(self.duplicates)

    @cached_property
    def datasets(self) -> dict[str, RadiographDataset]:
        """The images of each split; only those for training are augmented."""
        datasets = {
            name: RadiographDataset(self.images, numbers, self.augment if name == "train" else None)
            for name, numbers in self.split.items()
        }
        if self.balance == "source":
            datasets["train"].weights = self._source_weights(datasets["train"])
        return datasets

    @property
    def class_counts(self) -> Tensor:
        """Training images per class (C,) int64."""
        return torch.bincount(self.datasets["train"].labels, minlength=self.num_classes)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Images of each split, by class."""
        counted = {
            name: torch.bincount(dataset.labels, minlength=self.num_classes).tolist()
            for name, dataset in self.datasets.items()
        }
        return {name: dict(zip(self.classes, numbers, strict=True)) for name, numbers in counted.items()}

    def patients(self, name: str) -> Numbers:
        """Return a number for each image (N,) of a split: those that patients, groups or duplicates link share it."""
        rows = self.metadata.rows if self.metadata else {}
        linked = np.array(linked_groups(self.images.paths, rows, self.duplicates), dtype=np.int64)
        return linked[self.datasets[name].numbers]

    def prepare_data(self) -> None:
        """Decode what the cache lacks, once a machine; the other processes find it there."""
        _ = self.images

    def setup(self, stage: str) -> None:
        """List, check and split the images: every mistake shows before the first step."""
        if "datasets" not in self.__dict__:
            counts = self.counts
            rank_zero_info(
                f"{self.notice}{len(self.images.paths):,} images in {self.root}: "
                + "; ".join(f"{name} {_with_commas(numbers)}" for name, numbers in counts.items())
            )
            self._tell_groups()
        if self.trainer:
            self._serve_on(self.trainer.strategy.root_device)

    def on_after_batch_transfer(self, batch: TrainingBatch, dataloader_idx: int) -> TrainingBatch:
        """Make images on the device of a batch that came there as pixels, or as the numbers of those lying there."""
        pixels = batch[0]
        if self.resident is not None and pixels.dtype == torch.int64:
            pixels = self.resident[pixels]
        if pixels.dtype != torch.uint8:
            return batch
        images = to_images(pixels, self.augment if self.trainer and self.trainer.training else None)
        return (images, *batch[1:])

    @torch.no_grad()
    def encode(self, encoder: Callable[[Tensor], Tensor], device: torch.device) -> None:
        """Serve ``encoder(images)`` (B, F) instead of training and validation images, computed here, once an image."""
        assert self.augment is None, "augmented images have no features to keep"
        for name in ("train", "val"):
            dataset = self.datasets[name]
            # A generator of its own: the order of the training batches must not depend on this pass.
            own = torch.Generator()
            loader = DataLoader(dataset, batch_size=self.batch_size, collate_fn=_already_a_batch, generator=own)
            title = f"computing the frozen features of {len(dataset):,} {name} images"
            parts = []
            with progress_bar(len(dataset), title) as bar:
                for batch, labels, *_ in loader:
                    images, *_ = self.on_after_batch_transfer((batch.to(device), labels), 0)
                    parts.append(encoder(images).float().cpu())
                    bar.update(len(images))
            dataset.features = torch.cat(parts)

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

    def write_split(self, file: Path) -> None:
        """Write the split in use as ``path, label, split``."""
        write_split(file, self.split, self.images.paths, self.images.labels, self.classes)

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
        workers = self.num_workers if self.num_workers is not None else (0 if self.cache else os.cpu_count() or 1)
        return DataLoader(
            dataset,
            batch_size=max(self.batch_size, EVALUATION_BATCH) if on_gpu and name != "train" else self.batch_size,
            sampler=sampler,
            generator=sampler.generator if isinstance(sampler, EpochSampler) else None,
            num_workers=workers,
            timeout=STALLED if workers else 0,
            # Workers that augment begin anew with each epoch's seed; what others load depends on no random number.
            persistent_workers=workers > 0 and not (dataset.augment and dataset.finish),
            pin_memory=on_gpu and not dataset.resident,  # so that the copy does not hold up the CPU
            collate_fn=_already_a_batch,
        )

    def _local_folder(self, given: str | None, key: str) -> Path | None:
        if not (given and is_url(given)):
            return _path(given)
        _, name = split_url(given)
        return mirror_folder(given, self.cache_dir, key, beside=[f"{name} Test", METADATA] if name else [])

    def _local_file(self, given: str | None, key: str) -> Path | None:
        return mirror_file(given, self.cache_dir, key) if given and is_url(given) else _path(given)

    def _serve_on(self, device: torch.device) -> None:
        """Have batches finished on a GPU, from pixels that lie there if they fit."""
        on_gpu = device.type == "cuda"
        if on_gpu and self.cache and (self.resident is None or self.resident.device != device):
            self.resident = put_on_device(self.images, device)
        for dataset in self.datasets.values():
            dataset.finish = not on_gpu
            dataset.resident = on_gpu and self.resident is not None

    def _open(self, folder: RadiographFolder) -> Images:
        """Decode a folder's images, or check that they can be decoded; tell what is left out."""
        root, paths = Path(folder.root), folder.paths
        if folder.ignored:
            reasons = [f"{path} {reason}" for path, reason in folder.ignored]
            rank_zero_warn(f"{len(reasons)} files or folders below {root} are left out: {_some(reasons)}")
        gather, channels, thumbnails, unreadable = self._pixels(root, paths, self.interpolation)
        if unreadable:
            self._tell_unreadable(root, unreadable)
        readable = [path not in unreadable for path in paths]
        labels = [label for label, kept in zip(folder.targets, readable, strict=True) if kept]
        paths = [path for path, kept in zip(paths, readable, strict=True) if kept]
        if self.lungs != "whole":
            masks = mask_paths(root, paths)
            gather = LungView(
                gather,
                self.lungs,
                self._pixels(root, masks, "nearest")[0] if masks else None,
                draw_others(len(paths)) if self.lungs == "swapped" else None,
            )
            rank_zero_info(f"Lungs {self.lungs}: by {'their mask files' if masks else 'a central box'}.")
        return Images(paths, labels, channels, gather, thumbnails)

    def _pixels(
        self, root: Path, paths: Sequence[str], interpolation: Interpolation
    ) -> tuple[Gather, int, NDArray[np.uint8], dict[str, str]]:
        """Return how to get the pixels of the readable ``paths``, their channels and thumbnails; why others are not."""
        if self.cache:
            verify = self.cache == "verify"
            pixels, unreadable = open_cache(root, paths, self.image_size, interpolation, self.cache_dir, verify=verify)
            return pixels.gather, pixels.index.shape[1], pixels.thumbnails, unreadable
        thumbnails, unreadable = check_images(root, paths, self.image_size, interpolation)
        readable = [path for path in paths if path not in unreadable]
        return Stream(root, readable, self.image_size, interpolation), 3, thumbnails, unreadable

    def _tell_unreadable(self, root: Path, unreadable: dict[str, str]) -> None:
        lines = "\n".join(f"  {path}: {reason}" for path, reason in sorted(unreadable.items()))
        message = f"{len(unreadable)} images below {root} cannot be read:\n{lines}"
        if self.on_error == "raise":
            raise UserError(f"{message}\nMend or remove them, or go on without them: data.on_error=skip.")
        rank_zero_warn(f"{message}\nThey are skipped (data.on_error=skip).")

    def _draw_split(self, duplicates: Numbers) -> Split:
        """Draw the split of the images of the root, each chain of patients, groups and duplicates on one side."""
        paths, labels, *_ = self.images
        own = [number for number, path in enumerate(paths) if not path.startswith(TEST_PREFIX)]
        rows = self.metadata.rows if self.metadata else {}
        split = seeded_split(
            [paths[number] for number in own],
            [labels[number] for number in own],
            linked_groups([paths[number] for number in own], rows, duplicates[(duplicates < len(own)).all(axis=1)]),
            self.classes,
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_per_class=0 if self.test_folder else self.test_per_class,
        )
        return split if not self.test_folder else Split(split.train, split.val, list(range(len(own), len(paths))))

    def _source_weights(self, dataset: RadiographDataset) -> Tensor | None:
        """Return the weight of each training image, or None where no table tells its source."""
        sources = sources_of(dataset.paths, self.metadata.rows if self.metadata else {})
        if set(sources) == {UNKNOWN}:
            rank_zero_info(
                "data.balance=source: no table names the source of any training image, so classes alone are balanced. "
                "Give one with the columns path and source (data.metadata); covidnet audit begins one."
            )
            return None
        return torch.as_tensor(balanced_weights(sources, dataset.labels.tolist()), dtype=torch.float32)

    def _tell_groups(self) -> None:
        if not self.split_file:
            self._tell_links()
            self._tell_duplicates()

    def _tell_links(self) -> None:
        if self.metadata is None:
            return
        groups = Counter(linked_groups(self.images.paths, self.metadata.rows))
        linked = [size for size in groups.values() if size > 1]
        unnamed = len(self.folder.paths) - len(self.metadata.rows)
        rank_zero_info(
            f"{self.metadata.file}: {sum(linked)} images are linked by patient or group into {len(linked)} groups, "
            f"each on one side of the split{f'; {unnamed} images are not in the table' if unnamed else ''}."
        )

    def _tell_duplicates(self) -> None:
        if not len(self.duplicates):
            return
        sides = [
            {number: name for name, numbers in split.items() for number in numbers}
            for split in (self.split, self._draw_split(self.duplicates[:0]))
        ]
        moved = sum(sides[0][number] != sides[1][number] for number in sides[0])
        rank_zero_info(
            f"{len(np.unique(self.duplicates))} images show a radiograph that another image shows too; each such group "
            f"is on one side of the split, which moved {moved} images (data.duplicates=false leaves them apart)."
        )
        own = sum(not path.startswith(TEST_PREFIX) for path in self.images.paths)
        leaked = self.duplicates[(self.duplicates < own).sum(axis=1) == 1].max(axis=1, initial=0)
        if len(leaked):
            names = [self.images.paths[number] for number in np.unique(leaked)]
            rank_zero_warn(f"{len(names)} test images show a radiograph that is in {self.root} too: {_some(names)}")


def _already_a_batch(batch: Any) -> Any:
    return batch


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return "; ".join(names[:LISTED]) + more


def _with_commas(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items())
