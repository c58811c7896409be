"""What any layout of folders tells of its images."""

from pathlib import Path
from typing import Protocol


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
