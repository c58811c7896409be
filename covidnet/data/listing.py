"""What any layout of folders tells of its images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Known:
    """What a layout tells of its images beside their classes: nothing, where folders alone tell the classes.

    Attributes:
        rows: Path -> column -> value, such as patient, group, source and view; an empty cell or none is unknown.
        origin: What says so, as a sentence names it: a file or a key.
        sides: Path -> "train", "val" or "test", where the layout divides its images.
        told: What the user is told of it, a sentence each.
    """

    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    origin: str = ""
    sides: Mapping[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)


class Listing(Protocol):
    """The images of a root, by class; another layout is another class that has these.

    Image number i of N lies at ``root / paths[i]`` and is of the class ``classes[targets[i]]``. Nothing is decoded: a
    file that is named like an image may still be none.
    """

    @property
    def root(self) -> Path:
        """The folder that the paths begin at."""

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their labels; the user's own choice and order where there is one."""

    @property
    def paths(self) -> list[str]:
        """The images, N paths, POSIX and relative to ``root``: the name of an image in every file that we write.

        Their order must not depend on the disk: the same files give the same list on any machine.
        """

    @property
    def targets(self) -> list[int]:
        """The label of each image, N numbers that index ``classes``."""

    @property
    def ignored(self) -> list[tuple[str, str]]:
        """What else was found, as path below ``root`` and the reason why it is left out; the user is told."""

    @property
    def class_counts(self) -> dict[str, int]:
        """Images per class, in the order of the labels."""

    @property
    def known(self) -> Known:
        """What else the layout tells of the images."""
