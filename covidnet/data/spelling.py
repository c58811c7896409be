"""Names and words that people write in many ways."""

import unicodedata
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from covidnet.imaging.kinds import ENDINGS

# What stands in a table where nothing is known.
UNKNOWN = frozenset(
    {"", "-", "--", "?", "nan", "na", "n/a", "<na>", "#n/a", "none", "null", "nil", "unknown", "unk", "not known"}
)
SIDES = {  # as splits are called, by ``plain`` -> what we call them
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "tst", "testing"), "test"),
}


def composed(text: str) -> str:
    """Return a text with its accents composed (NFC); some systems write a letter and its accent apart (NFD)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def all_composed(value: Any) -> Any:
    """Return plain values with every text in them composed, keys too."""
    if isinstance(value, str):
        return composed(value)
    if isinstance(value, list):
        return [all_composed(one) for one in value]
    return {all_composed(name): all_composed(one) for name, one in value.items()} if isinstance(value, dict) else value


def one_name(path: str) -> str:
    """Return the one name of an image, however a system writes it: composed, an image's ending in small letters."""
    text = composed(path)
    stem, dot, letters = text.rpartition(".")
    ending = dot + letters.lower()
    return stem + ending if ending in ENDINGS else text


def by_name(path: str) -> tuple[str, str]:
    """Return what sorts paths: into one order, whatever disk they lie on."""
    return one_name(path), path


class Spellings:
    """Names of images, each of which is found again by another spelling too.

    Args:
        names: As the disk writes them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def find(self, name: str) -> str | None:
        """Return the name that is written so, or else the only one that is the same ``one_name``."""
        if name in self._names:
            return name
        alike = self._alike.get(one_name(name), [])
        return alike[0] if len(alike) == 1 else None

    @property
    def twins(self) -> list[list[str]]:
        """Names that are one to a disk which tells neither how an accent is written nor an ending's case."""
        return [sorted(names, key=by_name) for names in self._alike.values() if len(names) > 1]

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self._names:
            found.setdefault(one_name(name), []).append(name)
        return found


def twins_told(names: Iterable[str]) -> str | None:
    """Return which names are one to some disks, and what that means; None where none are."""
    twins = Spellings(names).twins
    if not twins:
        return None
    return (
        f"{len(twins):,} names are there twice, but for how an accent is written or for the case of the ending "
        f"({twins[0][0]!a} and {twins[0][1]!a}): each file is an image of its own here, but on disks that tell no such "
        "difference (macOS, Windows) one would overwrite the other. Rename one of the two."
    )


def plain(name: str) -> str:
    """Return a name without case and punctuation."""
    return "".join(letter for letter in composed(name).casefold() if letter.isalnum())


def folded(name: str) -> str:
    """Return a name as a disk may see it that tells neither case nor how an accent is written."""
    return (
        name.lower() if name.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
    )


def known(cell: str) -> str:
    """Return what a cell says, nothing where it says that nothing is known."""
    return "" if cell.casefold() in UNKNOWN else cell
