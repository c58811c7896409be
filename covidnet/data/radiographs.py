"""The radiographs that a run's settings name: where they lie, their classes, links and split. Without Lightning."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from covidnet.data.changes.kinds import Augmentation, Lungs, Style
from covidnet.data.division.division import NO_SOURCES, Division
from covidnet.data.division.duplicates import find_duplicates
from covidnet.data.division.metadata import NAME as METADATA
from covidnet.data.division.metadata import Metadata, find_metadata, read_metadata
from covidnet.data.division.split import TEST_PREFIX, Split, write_split
from covidnet.data.images import Cache, Images, Numbers, join, open_images
from covidnet.data.listing import Listing
from covidnet.data.walk import DEFAULT_ROOT
from covidnet.errors import UserError, require, some
from covidnet.files.mirror import mirror_file, mirror_folder
from covidnet.files.store import check_url, is_url, split_url
from covidnet.imaging.decode import Interpolation
from covidnet.machine.telling import tell, warn

LARGEST_SIDE = 8192  # pixels; no radiograph has as many, and a batch of such images would fill any memory
MOST_AT_ONCE = 1_000_000  # images of a batch
MOST_WORKERS = 256  # processes that load; a file that asks for more would fill any memory


class Radiographs:
    """The radiographs of ``root/<class>/*``, opened and divided where they are first asked for.

    Labels index ``classes``. Another layout is a subclass whose ``list_images`` tells what a folder holds.

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

    default_root = DEFAULT_ROOT
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
        super().__init__()  # the data modules are Radiographs that Lightning serves
        require(0 < val_fraction < 1, "data.val_fraction", val_fraction, "a share between 0 and 1")
        require(
            0 < image_size <= LARGEST_SIDE, "data.image_size", image_size, f"1 pixel or more, up to {LARGEST_SIDE:,}"
        )
        require(0 < batch_size <= MOST_AT_ONCE, "data.batch_size", batch_size, "1 image or more, up to a million")
        require(test_per_class >= 0, "data.test_per_class", test_per_class, "0 or more images")
        few = num_workers is None or 0 <= num_workers <= MOST_WORKERS
        require(few, "data.num_workers", num_workers, f"0 processes or more, up to {MOST_WORKERS}")
        places = {"root": root, "test_root": test_root, "split_file": split_file, "metadata": metadata}
        for name, given in places.items():
            if given and is_url(given):
                check_url(given, f"data.{name}")  # now: a password must not come into config.yaml
        require(0 <= unchanged < 1, "data.unchanged", unchanged, "a share, 0 or more and below 1")
        require(0 <= surround <= 1, "data.surround", surround, "a share from 0 to 1")
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
        self.augmentation: Augmentation = augment
        self.unchanged = unchanged
        self.surround = surround
        self.restyle: Style = restyle
        self.balance = balance
        self.num_workers = num_workers
        self.cache: Cache = cache
        self.cache_dir = _path(cache_dir)
        self.on_error = on_error

    def list_images(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        """List the images of a folder of this machine: all that another layout has to change.

        ``classes`` are those wanted, in the order of their labels, or None for all; an error calls the folder ``key``.
        """
        from covidnet.data.folder import RadiographFolder  # what only predicts lists nothing, and needs no torchvision

        return RadiographFolder(root, classes, key)

    @cached_property
    def root(self) -> Path:
        """The folder of the images; its local copy where it is in a store."""
        return _local_folder(self.given_root, self.cache_dir, "data.root") or self.default_root

    @cached_property
    def split_file(self) -> Path | None:
        """The split to use, if one was given."""
        return _local_file(self.given_split_file, self.cache_dir, "data.split_file")

    @cached_property
    def folder(self) -> Listing:
        """The images and classes of the root, listed once."""
        return self.list_images(self.root, self.wanted_classes, "data.root")

    @cached_property
    def test_root(self) -> Path | None:
        """The separate folder of test images, if there is one."""
        return _local_folder(self.given_test_root, self.cache_dir, "data.test_root") or _sibling(self.root)

    @cached_property
    def test_folder(self) -> Listing | None:
        """The images of the test root, if there is one."""
        root = self.test_root
        if root and root.resolve() == self.root.resolve():
            raise UserError(f"data.test_root={root} is data.root itself: the test would be on the training images.")
        return self.list_images(root, self.classes, "data.test_root") if root else None

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their labels."""
        return list(self.folder.classes)

    @property
    def num_classes(self) -> int:
        """Number of classes C; known before an image is decoded."""
        return len(self.folder.classes)

    @cached_property
    def images(self) -> Images:
        """The readable images of the root, then those of the test root, whose paths begin with ``test:``."""
        opened = [
            open_images(
                folder,
                self.image_size,
                self.interpolation,
                lungs=self.lungs,
                skip=self.on_error == "skip",
                cache=self.cache,
                cache_dir=self.cache_dir,
            )
            for folder in (self.folder, self.test_folder)
            if folder
        ]
        return join(*opened) if len(opened) > 1 else opened[0]

    @cached_property
    def metadata(self) -> Metadata | None:
        """The table of patients, groups and sources, if there is one."""
        if self.given_metadata == "none":
            return None
        file = _local_file(self.given_metadata, self.cache_dir, "data.metadata") or find_metadata(self.root)
        return _read_table(file, self.root, self.folder.paths) if file else None

    @cached_property
    def duplicates(self) -> Numbers:
        """Pairs of images (P, 2) that show one radiograph; the same whatever the image size."""
        thumbnails = self.images.thumbnails
        return find_duplicates(thumbnails if self.group_duplicates else thumbnails[:0]).pairs

    @cached_property
    def division(self) -> Division:
        """The images, what links them, and how they are divided where no file says it."""
        return Division(
            paths=self.images.paths,
            labels=self.images.labels,
            classes=self.classes,
            pairs=self.duplicates,
            table=self.metadata,
            tested_apart=self.test_folder is not None,
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_per_class=self.test_per_class,
        )

    @cached_property
    def split(self) -> Split:
        """Numbers of the images in each split."""
        if not self.split_file:
            return self.division.draw()
        split, unnamed = self.division.follow(self.split_file)
        if unnamed:
            warn(f"{len(unnamed)} images are not in {self.split_file} and take no part: {some(unnamed)}")
        return split

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Images of each split, by class."""
        held = {name: Counter(self.images.labels[n] for n in numbers) for name, numbers in self.split.items()}
        return {name: {of: counts[label] for label, of in enumerate(self.classes)} for name, counts in held.items()}

    def numbers(self, name: str) -> Numbers:
        """Return the numbers (N,) of the images of a split, "train", "val" or "test"."""
        return np.array(dict(self.split.items())[name], dtype=np.int64)

    def patients(self, name: str) -> Numbers:
        """Return a number for each image (N,) of a split: those that patients, groups or duplicates link share it."""
        return self.division.patients[self.numbers(name)]

    def image_file(self, path: str) -> Path:
        """Return where the image ``path`` of a split lies."""
        apart = self.test_root if path.startswith(TEST_PREFIX) else None
        return apart / path.removeprefix(TEST_PREFIX) if apart else self.root / path

    def tell(self) -> None:
        """List, check and split the images, and tell what came of it: every mistake shows now."""
        counts = self.counts
        tell(
            f"{self.notice}{len(self.images.paths):,} images in {self.root}: "
            + "; ".join(f"{name} {_with_commas(numbers)}" for name, numbers in counts.items())
        )
        if self.split_file:
            return
        for line in self.division.told(self.split, listed=len(self.folder.paths)):
            tell(line)
        if leaked := self.division.leaks_told(self.root):
            warn(leaked)

    def source_weights(self) -> NDArray[np.float64] | None:
        """Return the weight in the loss of each training image (N,); None where the class alone tells it."""
        if self.balance != "source":
            return None
        weights = self.division.source_weights(self.split.train)
        if weights is None:
            tell(NO_SOURCES)
        return weights

    def write_split(self, file: Path) -> None:
        """Write the split in use as ``path, label, split``."""
        write_split(file, self.split, self.images.paths, self.images.labels, self.classes)


def _local_folder(given: str | None, cache_dir: Path | None, key: str) -> Path | None:
    if not (given and is_url(given)):
        return _path(given)
    _, name = split_url(given)
    return mirror_folder(given, cache_dir, key, beside=[f"{name} Test", METADATA] if name else [])


def _local_file(given: str | None, cache_dir: Path | None, key: str) -> Path | None:
    return mirror_file(given, cache_dir, key) if given and is_url(given) else _path(given)


def _sibling(root: Path) -> Path | None:
    here = root.absolute()
    found = here.with_name(f"{here.name} Test") if here.name else here
    return found if found.is_dir() and found != here else None


def _read_table(file: Path, root: Path, paths: Sequence[str]) -> Metadata:
    metadata = read_metadata(file, root, paths)
    if not metadata.rows:
        raise UserError(
            f"{file} names {metadata.unmatched} images, but none of those in {root}. Its paths must be "
            "relative to data.root or to the table's own folder. Change data.metadata (or none)."
        )
    return metadata


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def _with_commas(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items())
