"""Images and classes of every release's layout, over torchvision ImageFolder; refuses junk."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from torchvision.datasets import ImageFolder

from covidnet.data.walk import (
    EXTENSIONS,
    IMAGES,
    MASKS,
    MOST_CLASSES,
    SPLITS,
    holds_no_images,
    images_below,
    is_class_name,
    is_folder,
    is_junk,
    names_in,
    refuse_no_root,
)
from covidnet.errors import UserError

_Contents = tuple[list[Path], list[tuple[Path, str]]]  # the images of a folder; what else lies there, with the reason


class RadiographFolder(ImageFolder):  # type: ignore[misc]  # torchvision has no types
    """``root/<class>/*`` or ``root/<class>/images/*`` as ``(path, label)`` samples in an order of their own.

    ``samples`` are sorted by their path below ``root``, whatever order the disk lists them in. ``masks`` folders,
    folders named like a split inside a class, hidden files and folders, and empty class folders give no sample and no
    class. ``classes`` chooses and orders the class folders; without it they are sorted by name. ``ignored`` lists the
    other files and folders found in the classes, with the reason. It is a ``Listing``, and walks a class folder once.

    Raises:
        UserError: Where ``root`` is missing, holds no class folder with images, or lacks one of ``classes``.
    """

    def __init__(self, root: Path, classes: Sequence[str] | None = None, key: str = "data.root") -> None:
        self.wanted = list(classes) if classes is not None else None
        self.key = key  # the setting that an error names
        self.ignored: list[tuple[str, str]] = []
        self._contents: dict[str, _Contents] = {}  # of each folder, from when the classes are found
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
        folders = sorted(name for name in names_in(root) if not is_junk(name) and is_folder(root / name))
        self._contents = {name: _images_of_class(root / name) for name in folders}
        found = [name for name in folders if self._contents[name][0]]
        if self.wanted is None:
            for name in folders:
                images, ignored = self._contents[name]
                if not images:  # no class, but not nothing either
                    self._ignore(root, ignored or [(root / name, "holds no images and is no class")])
        if self.wanted is None:
            self._refuse_other_layouts(root, found)
            classes = found
        else:
            classes = self.wanted
            missing = [name for name in classes if name not in found]
            if missing or len(set(classes)) != len(classes) or len(classes) < 2:
                change = "data.classes" if self.key == "data.root" else f"{self.key} or data.classes"
                raise UserError(
                    f"{root} holds {len(found)} class folders with images, {found}, but data.classes names {classes}"
                    f"{f', of which {missing} are not among them' if missing else ''}. "
                    f"Change {change}: two or more names, each one of these folders, once."
                )
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
        samples = []
        for name, label in class_to_idx.items():
            images, ignored = self._contents[name]
            samples += [(str(path), label) for path in images]
            self._ignore(Path(directory), ignored)
        self._contents = {}
        return sorted(samples, key=lambda sample: Path(sample[0]).relative_to(directory).as_posix())

    def _ignore(self, root: Path, ignored: Sequence[tuple[Path, str]]) -> None:
        self.ignored += [(path.relative_to(root).as_posix(), reason) for path, reason in ignored]

    def _refuse_other_layouts(self, root: Path, found: list[str]) -> None:
        """Explain the folders that people give by mistake: a level too high, a level too low, a split's parent."""
        splits = [name for name in found if name.lower() in SPLITS]
        if splits:
            train = next((name for name in splits if name.lower().startswith("train")), splits[0])
            tests = [name for name in splits if name.lower().startswith("test")]
            test = f" and, for the test, data.test_root={root / tests[0]}" if tests else ""
            raise UserError(
                f"{root} holds the split folders {splits}, which would be taken for classes. Give "
                f"{self.key}={root / train} {test.lstrip()}".rstrip()
                + "."
            )
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
        if len(found) < 2:
            inner = [found[0]] if found and len(_class_like(root / found[0])) > 1 else []
            hint = f" Its folder {inner[0]!r} looks like the root: {self.key}={root / inner[0]}." if inner else ""
            if any(path.suffix.lower() in EXTENSIONS for path in root.iterdir()):
                above = root.absolute().parents[1 if root.name == IMAGES else 0]
                hint = f" It holds radiographs itself, as one class does: give the folder above, {self.key}={above}."
            raise UserError(
                f"{root} holds {len(found)} class folders with images {found}, but a classifier needs at least two. "
                f"{self.key} must be a folder that holds one folder of radiographs a class.{hint}"
            )


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
    if name.lower() in SPLITS:
        return "is named like a split; a split inside a class is not read"
    return None


def _not_loaded_here(path: str) -> None:
    raise AssertionError(f"{path}: pixels are decoded by covidnet.imaging.decode, not by the folder")
