"""What any layout of folders tells of its images."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

Value = TypeVar("Value")


class Naming(str):
    """A sentence with names out of a table, for the screen alone: a report is handed on, and has the ``bare`` one."""

    bare: str

    def __new__(cls, text: str, bare: str) -> "Naming":
        """Return ``text``, which is ``bare`` without its names."""
        naming = super().__new__(cls, text)
        naming.bare = bare
        return naming


def without_names(line: str) -> str:
    """Return a sentence that the user was told as a report may have it."""
    return line.bare if isinstance(line, Naming) else line


@dataclass(frozen=True)
class Known:
    """What a layout tells of its images beside their classes: nothing, where folders alone tell the classes.

    Attributes:
        rows: Path -> column -> value, such as patient, group, source and view; an empty cell or none is unknown.
        origin: What says so, as a sentence names it: a file or a key.
        sides: Path -> "train", "val" or "test", where the layout divides its images.
        told: What the user is told of it, a sentence each.
        warned: What the user may not have meant, a sentence each.
        dicom: Paths of the DICOM files, whose headers may tell more.
    """

    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    origin: str = ""
    sides: Mapping[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    dicom: Set[str] = frozenset()

    @property
    def lines(self) -> list[str]:
        """All sentences."""
        return [*self.told, *self.warned]


class Labelled(Protocol):
    """Images by class, wherever they lie: image number i of N is of the class ``classes[targets[i]]``.

    Nothing is decoded: a file that is named like an image may still be none.
    """

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their labels; the user's own choice and order where there is one."""

    @property
    def paths(self) -> list[str]:
        """The images, N paths, POSIX: the name of an image in every file that we write.

        Their order must not depend on the disk: the same files give the same list on any machine.
        """

    @property
    def targets(self) -> list[int]:
        """The label of each image, N numbers that index ``classes``."""

    @property
    def ignored(self) -> list[tuple[str, str]]:
        """What else was found, as path and the reason why it is left out; the user is told."""

    @property
    def class_counts(self) -> dict[str, int]:
        """Images per class, in the order of the labels."""

    @property
    def known(self) -> Known:
        """What else the layout tells of the images."""


class Listing(Labelled, Protocol):
    """The images of a root: image number i lies at ``root / paths[i]``.

    Another layout is another class that has these.
    """

    @property
    def root(self) -> Path:
        """The folder that the paths begin at."""


@dataclass(frozen=True)
class Gathered:
    """Images by class that were listed elsewhere; it is ``Labelled``."""

    classes: list[str]
    paths: list[str]
    targets: list[int]
    ignored: list[tuple[str, str]]
    known: Known

    @property
    def class_counts(self) -> dict[str, int]:
        """Images per class, in the order of the labels."""
        counts = Counter(self.targets)
        return {name: counts[label] for label, name in enumerate(self.classes)}

    def below(self, root: Path) -> "Listed":
        """Return the same images as those of a folder that their paths begin at."""
        return Listed(self.classes, self.paths, self.targets, self.ignored, self.known, root)


@dataclass(frozen=True)
class Listed(Gathered):
    """The same below one folder: a ``Listing``."""

    root: Path


def gather(parts: Mapping[str, Labelled], classes: Sequence[str], label_of: Callable[[str], int | None]) -> Gathered:
    """Return the images of several listings, one after the other.

    Args:
        parts: What the paths of a part begin with -> its images.
        classes: Names of the classes, in the order of their labels.
        label_of: The label that the name of a class in a part means; None leaves its images out.
    """
    paths, targets, ignored, told, warned = [], [], [], [], []
    rows: dict[str, Mapping[str, str]] = {}
    sides: dict[str, str] = {}
    dicom: set[str] = set()
    for prefix, part in parts.items():
        labels = [label_of(name) for name in part.classes]
        kept = [(path, label) for path, target in zip(part.paths, part.targets, strict=True)
                if (label := labels[target]) is not None]  # fmt: skip
        paths += [prefix + path for path, _ in kept]
        targets += [label for _, label in kept]
        ignored += [(prefix + path, reason) for path, reason in part.ignored]
        rows |= {prefix + path: row for path, row in part.known.rows.items()}
        sides |= {prefix + path: side for path, side in part.known.sides.items()}
        dicom |= {prefix + path for path in part.known.dicom}
        told += part.known.told
        warned += part.known.warned
    origins = dict.fromkeys(part.known.origin for part in parts.values() if part.known.origin)
    known = Known(rows, " and ".join(origins), sides, told, warned, dicom)
    return Gathered(list(classes), paths, targets, ignored, known)


def apart(images: Labelled, roots: Mapping[str, Path]) -> dict[str, Listed]:
    """Return the images of several roots, which were listed together, one root at a time; what is told with the first.

    Args:
        images: Their paths begin with the prefix of a root.
        roots: That prefix -> the folder.
    """
    known, told, warned = images.known, images.known.told, images.known.warned
    found = {}
    for prefix, root in roots.items():
        own = [(path.removeprefix(prefix), label) for path, label in zip(images.paths, images.targets, strict=True)
               if path.startswith(prefix)]  # fmt: skip
        rows, sides = below(prefix, known.rows), below(prefix, known.sides)
        ignored = [(path.removeprefix(prefix), why) for path, why in images.ignored if path.startswith(prefix)]
        dicom = {path.removeprefix(prefix) for path in known.dicom if path.startswith(prefix)}
        of_root = Known(rows, known.origin, sides, told, warned, dicom)
        paths, targets = [path for path, _ in own], [label for _, label in own]
        found[prefix] = Gathered(list(images.classes), paths, targets, ignored, of_root).below(root)
        told, warned = [], []
    return found


def below(prefix: str, told: Mapping[str, Value]) -> dict[str, Value]:
    """Return what is told of the images of a root, by their paths below it."""
    return {path.removeprefix(prefix): value for path, value in told.items() if path.startswith(prefix)}


def chosen(listing: Listing, keep: Callable[[str], bool], told: Sequence[str] = ()) -> Listed:
    """Return a listing with some of its images, by their paths, and with more that the user is told of it."""
    images = [(path, label) for path, label in zip(listing.paths, listing.targets, strict=True) if keep(path)]
    known = replace(listing.known, told=[*listing.known.told, *told])
    paths, targets = [path for path, _ in images], [label for _, label in images]
    return Gathered(list(listing.classes), paths, targets, list(listing.ignored), known).below(listing.root)


def with_known(listing: Listing, known: Known) -> Listed:
    """Return the same images, of which more is known."""
    paths, targets = list(listing.paths), list(listing.targets)
    return Gathered(list(listing.classes), paths, targets, list(listing.ignored), known).below(listing.root)
