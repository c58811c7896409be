"""The radiographs that a run's settings name: where they lie, their classes, links and split. Without Lightning."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from covidnet.data.attributes import attributes_in, check_bins
from covidnet.data.changes.kinds import Augmentation, Lungs, Style, shown
from covidnet.data.copies import copies_among
from covidnet.data.division.division import NO_SOURCES, Division
from covidnet.data.division.duplicates import Duplicates, find_duplicates
from covidnet.data.division.names import check_pattern
from covidnet.data.division.split import TEST_PREFIX, Split, write_split
from covidnet.data.division.views import read_views
from covidnet.data.given_files import by_side, folder_of
from covidnet.data.images import Cache, Images, Numbers, join, open_images
from covidnet.data.layouts import Layout
from covidnet.data.local import check_places, local_path
from covidnet.data.located import Located
from covidnet.data.lung_masks import LungMasks
from covidnet.data.roots import check_roots
from covidnet.data.spelling import composed, twins_told
from covidnet.data.tables.keys import Disagree, Uncertain, table_keys
from covidnet.data.told import counted_told, told_of, warned_of
from covidnet.data.typed import AUTO
from covidnet.data.walk import DEFAULT_ROOT
from covidnet.errors import require, some
from covidnet.files.plain import refuse_misfits
from covidnet.imaging.decode import Interpolation
from covidnet.imaging.radiograph import BodyPart, Orientation, Reading
from covidnet.machine.telling import tell, warn

LARGEST_SIDE = 8192  # pixels; no radiograph has as many, and a batch of such images would fill any memory
MOST_AT_ONCE = 1_000_000  # images of a batch
MOST_WORKERS = 256  # processes that load; a file that asks for more would fill any memory


class Radiographs(Located):
    """The radiographs of ``root/<class>/*``, opened and divided where they are first asked for.

    Labels index ``classes``. Another layout is a subclass whose ``list_images`` tells what a folder holds.

    Args:
        root: Folder that holds one folder of radiographs for each class, or train, val and test folders of such, or
            below which those of ``table`` lie; where left out its folder, or "data/COVID-19 Radiography Database".
        image_size: Side in pixels to which every image is resized; its aspect is not kept.
        batch_size: Images a training step, on each device.
        classes: Which class folders, in the order of their labels; all of them, sorted, where left out.
        seed: Seed of the split and of the holdout.
        val_fraction: Share of the images outside the holdout that validate, between 0 and 1.
        test_per_class: Images a class that are held out for the test, where there is no test root.
        table: Table of labels (CSV, TSV, Excel), by which the images below ``root`` have their classes; or a list of
            them, joined by image; or {train: FILE, test: FILE}. "<root>/NAME" is sought in ``root``.
        header: What the columns of a table are called whose first line is a row like the others.
        columns: What a column says (path, label, patient, group, source, split, view, age, sex) -> its name, or "none";
            where left out, by well-known names. Without ``table``, of the columns of ``metadata``.
        path_suffix: What stands behind the names of images in the table and not on the disk, such as "_study".
        labels: Class -> its label in the table, or a list of them, or of columns that hold 1 or 0.
        separator: What stands between the labels of a cell; | and ; where left out.
        uncertain: What -1 in the column of a finding means: "unknown", or "positive".
        disagree: Of an image whose rows disagree, "skip" it, or take the labels of "any" or of "most" rows.
        test_root: Folder of test images by class; where left out, the folder "<root> Test" if there is one.
        roots: Several such folders instead of one, {name: folder}: paths begin with the name, and it is the source
            where no table tells one.
        views: Which views take part, such as [PA, AP], where a table or a DICOM header tells; all where left out.
        subgroups: More columns of a table, of at most 10 values each, by which the test is reported too.
        age_bins: Ages at which a new group begins there, as [18, 40, 65], which holds where left out.
        patient_pattern: Regular expression whose one group is the patient in an image's path, such as '(p[0-9]+)_'.
        patient_across_classes: One name in two classes is one patient; else it is one in each.
        use_split: Follow the split that the data give, by folders or a column; false draws one.
        use_val: Validate on the images that they give for it, however few.
        split_lists: Lists of images, a name a line, that give the split: {train: FILE, test: FILE}.
        split_file: A split.csv to use instead of drawing a split.
        metadata: Table (path, patient, group, source) whose patients and groups stay together; "none" for no table;
            where left out, metadata.csv in the root or its parent folder if there is one.
        duplicates: Keep images that show one radiograph on one side of the split, as those of a patient.
        interpolation: "bilinear", antialiased; or "nearest", as Keras resized in the tutorial.
        body_part: DICOM files whose header names another part than the "chest" are refused; "any" reads them too.
        orientation: "upright" turns each image as its file tells it, by EXIF; "stored" turns TIFF alone.
        lungs: "whole" images; the lungs "covered", black; "only" the lungs; the lungs with the surround "swapped" for
            another image's; or images cut to their lungs, "crop". Where they lie, ``masks`` says. For the lungs test of
            such a crop: "covered_crop", "only_crop" and "swapped_crop", which are cut afterwards.
        masks: What says where the lungs lie, for all that asks: "auto", mask files beside the images where every image
            has one, else the central box; "box"; or a folder with a mask for each image, X/NAME.png for X/NAME.jpg.
        augment: Change training images at random: "mild" a little, "strong" until exposure and position tell no source.
        unchanged: Share of the training images that augmentation leaves as they are, in [0, 1).
        surround: Share of the training images, in [0, 1], that show another image's surround around their own lungs, by
            the central box, or the folder of ``masks``; before augmentation.
        restyle: Give half of the training images another texture: by a random "convolution", or some of the Fourier
            "amplitude" of another image.
        balance: What weighs alike in the loss: each "class", or within it each "source" of the table too.
        num_workers: Processes that load batches; where left out, none with a cache and one a core without.
        cache: Keep decoded images on disk; "verify" compares the bytes of every file first; false decodes anew.
        cache_dir: Where decoded images, copies out of a store and phantoms are kept; the user's cache folder where left
            out.
        on_error: "raise" lists all unreadable images and stops; "skip" lists them and goes on without them.
    """

    default_root: Path = DEFAULT_ROOT
    notice = ""  # what every output on these images must say about them
    headed = False  # whether the screen says how many images there are

    def __init__(
        self,
        root: str | None = None,
        image_size: int = 50,
        batch_size: int = 250,
        classes: list[str] | None = None,
        seed: int = 28,
        val_fraction: float = 0.2,
        test_per_class: int = 40,
        table: str | list[str] | dict[str, str | list[str]] | None = None,
        header: list[str] | None = None,
        columns: dict[str, str] | None = None,
        path_suffix: str | None = None,
        labels: dict[str, str | list[str]] | None = None,
        separator: str | None = None,
        uncertain: Uncertain = "unknown",
        disagree: Disagree = "skip",
        test_root: str | None = None,
        roots: dict[str, str] | None = None,
        views: list[str] | None = None,
        subgroups: list[str] | None = None,
        age_bins: list[int] | None = None,
        patient_pattern: str | None = None,
        patient_across_classes: bool = False,
        use_split: bool = True,
        use_val: bool = False,
        split_lists: dict[str, str | list[str]] | None = None,
        split_file: str | None = None,
        metadata: str | None = None,
        duplicates: bool = True,
        interpolation: Interpolation = "bilinear",
        body_part: BodyPart = "chest",
        orientation: Orientation = "upright",
        lungs: Lungs = "whole",
        masks: str = AUTO,
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
        refuse_misfits(Radiographs, locals(), "data.")
        super().__init__()  # the data modules are Radiographs that Lightning serves
        tables, lists = by_side(table, "data.table"), by_side(split_lists, "data.split_lists")
        roots = check_roots(roots, root)
        require(not (roots and lists), "data.split_lists", split_lists, "left out where data.roots names folders")
        check_pattern(patient_pattern)
        check_places({"root": root, "test_root": test_root, "split_file": split_file, "metadata": metadata})
        check_places({f"roots[{name}]": given for name, given in (roots or {}).items()})
        check_places({"table": [*tables], "split_lists": [*lists]})
        keys = table_keys(table, columns, labels, separator, uncertain, disagree, header, path_suffix)
        self.layout = Layout(
            tables=tables,
            keys=keys,
            split_lists=lists if use_split else {},
            cache_dir=local_path(cache_dir),
            whole=not roots,
            patient_pattern=patient_pattern,
            patient_across_classes=patient_across_classes,
        )
        self.given_root = root or (None if roots else folder_of(tables, "data.table"))
        self.given_roots = roots
        self.wanted_views, self.wanted_subgroups, self.age_bins = read_views(views), subgroups, age_bins
        self.image_size, self.batch_size = image_size, batch_size
        self.wanted_classes = [*map(composed, classes)] if classes is not None else None
        self.seed, self.val_fraction, self.test_per_class = seed, val_fraction, test_per_class
        self.given_test_root = test_root
        self.use_split, self.use_val = use_split, use_val
        self.given_split_file = split_file
        self.given_metadata = metadata
        self.group_duplicates = duplicates
        self.interpolation: Interpolation = interpolation
        self.reading = Reading(body_part, orientation)
        self.lungs: Lungs = lungs
        self.masks = LungMasks(masks, local_path(cache_dir))
        self.augmentation: Augmentation = augment
        self.unchanged, self.surround = unchanged, surround
        self.restyle: Style = restyle
        self.balance = balance
        self.num_workers = num_workers
        self.cache: Cache = cache
        self.cache_dir = local_path(cache_dir)
        self.on_error = on_error
        _refuse_odd_numbers(self)

    @cached_property
    def images(self) -> Images:
        """The readable images of the roots, then those of the test root, whose paths begin with ``test:``."""
        return _opened(self)

    def lung_files(self, paths: Sequence[str]) -> dict[str, Path]:
        """Return the lung mask of each of these images, which stand together; nothing where the box stands for all.

        Raises:
            UserError: Where a folder of masks is named, and lacks one.
        """
        return self.masks.of_split(self.units, paths)

    @cached_property
    def copies(self) -> Duplicates:
        """The images that show one radiograph, and what became of them; the same whatever the image size."""
        if not self.group_duplicates:
            return find_duplicates(self.images.thumbnails[:0])
        return copies_among(self.images.thumbnails, self.images.folder)

    @property
    def duplicates(self) -> Numbers:
        """Pairs of images (P, 2) that show one radiograph."""
        return self.copies.pairs

    @cached_property
    def division(self) -> Division:
        """The images, what links them, and how they are divided where no file says it."""
        return Division(
            paths=self.images.paths,
            labels=self.images.labels,
            classes=self.classes,
            pairs=self.duplicates,
            table=self.metadata,
            sides=self.sides,
            use_val=self.use_val,
            tested_apart=self.test_folder is not None,
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_per_class=self.test_per_class,
            altered=self.copies.told(),
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

    def tell(self) -> None:
        """List, check and split the images, and tell what came of it: every mistake shows now."""
        counts, _ = self.counts, attributes_in(self, self.images.paths)
        if not self.headed:
            tell(f"{self.notice}{counted_told(len(self.images.paths), counts, self.place)}")
        for line in filter(None, [*told_of(self), self.division.few_told(self.split)]):
            tell(line)
        for line in filter(None, [twins_told(self.images.paths), *warned_of(self)]):
            warn(line)
        if not self.split_file:
            for line in self.division.told(self.split, listed=len(self.folder.paths)):
                tell(line)
        given = bool(self.split_file or self.sides or self._known_of_test)
        for line in self.division.warned(self.split, self.place, given=given, drawn=not self.split_file):
            warn(line)

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


def _opened(data: Radiographs) -> Images:
    opened = [
        open_images(
            listings,
            data.image_size,
            data.interpolation,
            lungs=data.lungs,
            masks=data.masks,
            surround=data.surround > 0,
            skip=data.on_error == "skip",
            cache=data.cache,
            cache_dir=data.cache_dir,
            reading=data.reading,
        )
        for listings in (data.listings, {TEST_PREFIX: data.test_folder} if data.test_folder else {})
        if listings
    ]
    return join(*opened) if len(opened) > 1 else opened[0]


def _refuse_odd_numbers(data: Radiographs) -> None:
    check_bins(data.age_bins)
    require(0 < data.val_fraction < 1, "data.val_fraction", data.val_fraction, "a share between 0 and 1")
    require(0 < data.image_size <= LARGEST_SIDE, "data.image_size", data.image_size, f"1 to {LARGEST_SIDE:,} pixels")
    few = 0 < data.batch_size <= MOST_AT_ONCE
    require(few, "data.batch_size", data.batch_size, "1 image or more, up to a million")
    require(data.test_per_class >= 0, "data.test_per_class", data.test_per_class, "0 or more images")
    few = data.num_workers is None or 0 <= data.num_workers <= MOST_WORKERS
    require(few, "data.num_workers", data.num_workers, f"0 processes or more, up to {MOST_WORKERS}")
    require(0 <= data.unchanged < 1, "data.unchanged", data.unchanged, "a share, 0 or more and below 1")
    require(0 <= data.surround <= 1, "data.surround", data.surround, "a share from 0 to 1")
    crop = shown(data.lungs)[1]
    told = f"box or a folder for data.lungs={data.lungs}: whoever predicts must know how images were cut"
    require(not crop or data.masks.given != AUTO, "data.masks", data.masks.given, told)
    told = f"0 for data.lungs={data.lungs} by the central box, around which hardly anything is left"
    require(not (crop and data.surround) or data.masks.named, "data.surround", data.surround, told)
