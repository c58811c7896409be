"""Images and classes of every release's layout, over torchvision ImageFolder; refuses junk."""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from torchvision.datasets import ImageFolder

from covidnet.data.division.metadata import NAME as METADATA
from covidnet.data.listing import Known
from covidnet.data.spelling import SIDES, by_name, composed, plain
from covidnet.data.walk import (
    IMAGES,
    MASKS,
    MOST_CLASSES,
    Ignored,
    holds_no_images,
    images_below,
    is_class_name,
    is_folder,
    is_junk,
    names_in,
    pictures_in,
    refuse_no_root,
    side_folders,
    side_of,
    tables_in,
    told_by_reason,
)
from covidnet.errors import UserError, short
from covidnet.imaging.kinds import DICOM, Kind

# As folders of images of all classes are called; digits alone may be classes.
_OF_IMAGES = re.compile(rf"\d*(?:(?:images?|imgs?|png|jpe?g|dicoms?|dcm|xrays?|cxr|files|stage|{'|'.join(SIDES)})\d*)+")
MANY = 50  # folders beside a table: so many are hardly classes, but patients
_Contents = tuple[dict[Path, Kind], list[Ignored]]  # the images of a folder; what else lies there, with the reason


class RadiographFolder(ImageFolder):  # type: ignore[misc]  # torchvision has no types
    """``root/<class>/*`` or ``root/<class>/images/*`` as ``(path, label)`` samples in an order of their own.

    ``samples`` are sorted by their path below ``root``, whatever order the disk lists them in and however it writes
    accents; folders that differ in that alone are one class, called by its composed name. ``masks`` folders,
    hidden files and folders, and empty class folders give no sample and no class; nor does a folder that is named like
    a split inside a class, unless all classes are divided so. ``ignored`` lists the other files and folders found in
    the classes, with the reason. It is a ``Listing``, and walks a class folder once.

    Args:
        root: The folder.
        classes: Chooses and orders the class folders; without it they are sorted by name.
        key: The setting that an error names.
        whole: Whether all classes must be there, two or more; a part of the images may lack some.

    Raises:
        UserError: Where ``root`` is missing, holds no class folder with images, or lacks one of ``classes``.
    """

    def __init__(
        self, root: Path, classes: Sequence[str] | None = None, key: str = "data.root", *, whole: bool = True
    ) -> None:
        self.wanted = list(map(composed, classes)) if classes is not None else None
        self.key = key
        self.whole = whole
        self.ignored: list[tuple[str, str]] = []
        self.known = Known()
        self._contents: dict[str, _Contents] = {}  # of each folder, as the disk writes it, from when classes are found
        refuse_no_root(root, key)
        super().__init__(str(root), loader=_not_loaded_here, allow_empty=True)
        self.root = root

    @cached_property
    def paths(self) -> list[str]:
        """The samples' paths, POSIX and relative to ``root``: the name of an image in every file that we write."""
        return [Path(path).relative_to(self.root).as_posix() for path, _ in self.samples]

    @property
    def class_counts(self) -> dict[str, int]:
        """Images per class, in the order of the labels."""
        counts: Counter[int] = Counter(self.targets)
        return {name: counts[label] for name, label in self.class_to_idx.items()}

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the class folders that hold images, in the order of their labels."""
        root = Path(directory)
        names = names_in(root)
        folders = sorted((name for name in names if not is_junk(name) and is_folder(root / name)), key=by_name)
        if self.wanted is None and IMAGES not in folders:  # beside that they are of a class of the later release
            masks = [name for name in folders if name.lower() in MASKS]
            folders = [name for name in folders if name not in masks]
            self._ignore(
                root, [(root / name, "is called as folders of lung masks are, and is no class") for name in masks]
            )
        self._contents = {name: _images_of_class(root / name) for name in folders}
        self._read_divided(root)
        held = [name for name in folders if self._contents[name][0]]
        found = list(dict.fromkeys(map(composed, held)))
        if self.wanted is None:
            for name in folders:
                images, ignored = self._contents[name]
                if not images:  # no class, but not nothing either
                    self._ignore(root, ignored or [(root / name, "holds no images and is no class")])
        if self.wanted is None:
            self._refuse_other_layouts(root, held)
            told = _told_of_one_above(root, {name: self._contents[name] for name in held})
            self.known = replace(self.known, told=told)
            classes = found
        else:
            classes = self.wanted
            missing = [name for name in classes if name not in found] if self.whole else []
            if missing or len(set(classes)) != len(classes) or (len(classes) < 2 and self.whole):
                change = "data.classes" if self.key == "data.root" else f"{self.key} or data.classes"
                raise UserError(
                    f"{root} holds {len(found)} class folders with images, {found}, but data.classes names {classes}"
                    f"{f', of which {missing} are not among them' if missing else ''}. "
                    f"Change {change}: two or more names, each one of these folders, once."
                )
        beside = pictures_in(root, sorted(set(names) - set(folders)))
        self._ignore(root, [(path, "lies beside the class folders") for path in beside])
        odd = [name for name in classes if not is_class_name(name)]
        if odd or len(classes) > MOST_CLASSES:
            why = f"the class folder {odd[0]!a}, whose name controls a screen" if odd else f"{len(classes):,} classes"
            raise UserError(f"{root} holds {why}. Rename it, or give data.classes: up to {MOST_CLASSES:,} plain names.")
        return classes, {name: label for label, name in enumerate(classes)}

    def make_dataset(  # static in torchvision, which calls it on the instance all the same
        self,
        directory: str | Path,
        class_to_idx: dict[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """List the images of every class as it was found; fills ``ignored``."""
        samples, dicom = [], set()
        folders: dict[str, list[_Contents]] = {}
        for name, contents in self._contents.items():
            folders.setdefault(composed(name), []).append(contents)
        for name, label in class_to_idx.items():
            for images, ignored in folders.get(name, []):
                samples += [(str(path), label) for path in images]
                dicom |= {path.relative_to(directory).as_posix() for path, kind in images.items() if kind is DICOM}
                self._ignore(Path(directory), ignored)
        self._contents = {}
        self.known = replace(self.known, dicom=dicom)
        return sorted(samples, key=lambda sample: by_name(Path(sample[0]).relative_to(directory).as_posix()))

    def _read_divided(self, root: Path) -> None:
        """Read the split folders inside the classes, where all classes hold one of training images and another."""
        own = [name for name in self._contents if self.wanted is None or composed(name) in self.wanted]
        inside = {name: side_folders(root / name) for name in own}
        divided = {name: sides for name, sides in inside.items() if {"train"} < set(sides.values())}
        if not divided or any(self._contents[name][0] for name in own if name not in divided):
            return
        sides: dict[str, str] = {}
        for name, folders in divided.items():
            images, ignored = self._contents[name]
            for folder, side in folders.items():
                more, others = images_below(root / name / folder, _why_no_image_folder)
                sides |= {path.relative_to(root).as_posix(): side for path in more}
                images, ignored = images | more, [*ignored, *others]
            read = {root / name / folder for folder in folders}
            self._contents[name] = images, [(path, reason) for path, reason in ignored if path not in read]
        self.known = Known(sides=sides)

    def _ignore(self, root: Path, ignored: Sequence[Ignored]) -> None:
        self.ignored += [(path.relative_to(root).as_posix(), reason) for path, reason in ignored]

    def _refuse_other_layouts(self, root: Path, found: list[str]) -> None:
        """Explain the folders that people give by mistake: a level too high, a level too low, a split's parent."""
        splits = [name for name in found if side_of(name)]
        if splits:
            others = [name for name in found if name not in splits]
            test = next((name for name in splits if side_of(name) == "test"), None)
            apart = f" and data.test_root={root / test}" if test else ""
            classes = f"; or, if {others} are the classes, give data.classes={others}{apart}"
            raise UserError(
                f"{root} holds {splits}, named like parts of a split, but no folder of training images, which should "
                f"be called train: name it so{classes if len(others) > 1 else ''}."
            )
        _refuse_odd_names(root, found)
        tested = [name for name in found if f"{name} Test" in found]
        if tested:
            raise UserError(
                f"{root} holds {tested[0]!r} and '{tested[0]} Test', which would be taken for classes. Give "
                f"{self.key}={root / tested[0]} ; the test folder beside it is found by itself."
            )
        if found == [IMAGES] or any(name.lower() in MASKS for name in found):
            raise UserError(
                f"{root} holds {found}, as one class of the later release does. Give the folder above it: "
                f"{self.key}={root.parent}."
            )
        if len(set(map(composed, found))) < 2 and self.whole:
            inner = [found[0]] if found and len(_class_like(root / found[0])) > 1 else []
            hint = f" Its folder {inner[0]!r} looks like the root: {self.key}={root / inner[0]}." if inner else ""
            if any(pictures_in(root, names_in(root))):
                hint = self._hint_at_images(root)
            has = f"one class folder with images, {found[0]}" if found else "no class folder with images"
            raise UserError(
                f"{root} holds {has}, but a classifier needs at least two. {self.key} must be a folder that holds one "
                f"folder of radiographs for each class.{hint}{self._told_ignored()}"
            )

    def _told_ignored(self) -> str:
        return f" Left out are: {told_by_reason(self.ignored, '; ')}." if self.ignored else ""

    def _hint_at_images(self, root: Path) -> str:
        """Return what a root that holds images itself may be: with a table the whole set, else one class of it."""
        above = root.absolute().parents[1 if root.name == IMAGES else 0]
        if side_of(root.name):
            return f" It holds radiographs itself: if a table tells their classes, {self.key}={above} data.table=FILE."
        if tables := _tables_near(root):
            return (
                f" It holds radiographs itself. If {tables[0]} tells their classes, add data.table={tables[0]}; if it "
                f"is one class, give the folder above, {self.key}={above}."
            )
        return f" It holds radiographs itself, as one class does: give the folder above, {self.key}={above}."


def _tables_of_labels(folder: Path) -> list[Path]:
    return [file for file in tables_in(folder) if file.name != METADATA]


def _tables_near(root: Path) -> list[Path]:
    return [*_tables_of_labels(root), *_tables_of_labels(root.absolute().parent)]


def _refuse_odd_names(root: Path, found: list[str]) -> None:
    """Refuse folders whose names are hardly those of classes alone; who gives them as classes is believed."""
    insist = "if they are the classes, name them in data.classes=[...]."
    tables = _tables_of_labels(root) if len(found) < MANY else _tables_near(root)
    if found and tables and (len(found) >= MANY or all(_OF_IMAGES.fullmatch(plain(name)) for name in found)):
        raise UserError(
            f"{root} holds {len(found):,} folders, {short(found)}, which are hardly called as classes are. If "
            f"{tables[0]} tells the classes, add data.table={tables[0]}; {insist}"
        )
    if both := _side_and_class(found):
        raise UserError(
            f"{root} holds {both}: each name tells a part of a split and a class at once. Give a table with a column "
            f"split, data.table=FILE, or make folders of them, such as train/CLASS and test/CLASS; {insist}"
        )


def _told_of_one_above(root: Path, contents: Mapping[str, _Contents]) -> list[str]:
    """Return a sentence where folders of the same names lie in all classes, as they do a level above the classes."""
    inner: list[set[str]] = []
    for name, (images, _) in contents.items():
        start = len(str(root / name)) + 1
        parts = (str(path)[start:].partition(os.sep) for path in images)
        inner.append({first if rest else "" for first, _, rest in parts})
    same = sorted(inner[0]) if inner and all(names == inner[0] for names in inner) else []
    if len(same) < 2 or "" in same or all(name[-1].isdigit() for name in same):  # as patients are called
        return []
    roots = ", ".join(f"{name}: {root / name}" for name in contents)
    return [
        f"{short(list(contents))} are taken for the classes, but in each of them lie {short(same)}. If those are the "
        f"classes, give hospitals as data.roots={{{roots}}}, and call parts of a split train, val and test."
    ]


def _side_and_class(names: Sequence[str]) -> list[str]:
    """Return names like train_normal and test_normal: of training images of a class, and of others of the same."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        words = re.findall(r"[^\W_]+", name)
        sides = [side for word in words if (side := SIDES.get(plain(word)))]
        rest = plain("".join(word for word in words if plain(word) not in SIDES))
        if len(sides) == 1 and rest:
            found.setdefault(rest, {})[sides[0]] = name
    return sorted(name for of in found.values() if len(of) > 1 and "train" in of for name in of.values())


def _class_like(folder: Path) -> list[str]:
    return [
        name
        for name in names_in(folder)
        if not is_junk(name) and name.lower() not in (IMAGES, *MASKS) and is_folder(folder / name)
    ]


def _images_of_class(folder: Path) -> _Contents:
    """Return the images of one class folder, and what else lies there with the reason why it is left out."""
    if not (folder / IMAGES).is_dir():
        return images_below(folder, _why_no_image_folder)
    images, ignored = images_below(folder / IMAGES, _why_no_image_folder)
    beside = [path for path in folder.iterdir() if path.is_file() and not is_junk(path.name)]
    reason = f"lies beside the folder {IMAGES!r}, which alone is read"
    return images, sorted([*ignored, *((path, reason) for path in beside)])


def _why_no_image_folder(name: str) -> str | None:
    """Return why a folder inside a class is not searched ("" where nobody needs to be told), or None if it is."""
    if holds_no_images(name):
        return ""
    if side_of(name):
        return "is named like a split; a split inside a class is read where all classes have one, with a folder train"
    return None


def _not_loaded_here(path: str) -> None:
    raise AssertionError(f"{path}: pixels are decoded by covidnet.imaging.decode, not by the folder")
