"""What a table calls its images -> the files that it means, wherever below a folder these lie."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from covidnet.data.spelling import folded
from covidnet.data.walk import is_file
from covidnet.errors import UserError, some
from covidnet.imaging.kinds import ENDINGS

EXACT = 10_000  # parts of a path that fit, where all do: more than any other match has
_DRIVE = re.compile(r"^(?:file://)?[A-Za-z]:(?=/)|^file://")


@dataclass(frozen=True)
class Found:
    """Which images a table means.

    Attributes:
        paths: Name in the table -> path below the root.
        missing: Names of nothing that is there, in the table's order.
        loose: How many names fit by the last part alone: the folders in the table are not those on the disk.
        folders: Name in the table -> paths of the images in and below the folder that it means; without those that
            have a name of their own.
    """

    paths: dict[str, str]
    missing: list[str]
    loose: int
    folders: dict[str, list[str]]


@dataclass(frozen=True)
class _Match:
    path: str
    parts: int  # of the path that fit
    loose: bool = False


def find_images(
    names: Iterable[str], paths: Sequence[str], roots: Mapping[str, Path], tables: Sequence[Path], key: str
) -> Found:
    """Return which of the images below one folder or several each name in a table means.

    A name is a path below a folder or the table's own, or the end of one; a path of another machine whose end is
    here; or the bare name of a file, at any depth. Case, accents and the ending may be written otherwise, where only
    one file fits. Slashes may lean either way. What is no image may be a folder of images, by the same rules, but not
    by its last name in other folders than the table says.

    Args:
        names: As the table has them.
        paths: N paths, POSIX, below a root, each with that root's prefix before it.
        roots: What the paths of a root's images begin with -> the folder; "" of an only root.
        tables: The files that have the names.
        key: The setting that gave the folders, as an error names it.

    Raises:
        UserError: Where a name means two images, or two names one image; it tells both.
    """
    known = set(paths)
    distinct = [name for name in dict.fromkeys(names) if name]
    matches = {name: _Match(name, EXACT) for name in distinct if name in known}
    others = [name for name in distinct if name not in matches]
    if others:
        images = _Images(paths, roots, tables, key)
        called = Counter(images.bare(name) for name in distinct)
        for name in others:
            match = images.match(name, alone=called[images.bare(name)] == 1)
            if match:
                matches[name] = match
    kept = _of_one_image(matches, tables, key)
    left = [name for name in distinct if name not in kept]
    named = {match.path for match in kept.values()}
    folders = _find_folders(left, [path for path in paths if path not in named], roots, tables, key) if left else {}
    return Found(
        {name: match.path for name, match in kept.items()},
        [name for name in left if name not in folders],
        sum(match.loose for match in kept.values()),
        folders,
    )


def _find_folders(
    names: Sequence[str], paths: Sequence[str], roots: Mapping[str, Path], tables: Sequence[Path], key: str
) -> dict[str, list[str]]:
    """Return the images in and below the folder that each name means, of those that mean one."""
    inside: dict[str, list[str]] = {}
    for path in paths:
        above = path
        while above := above.rpartition("/")[0]:
            inside.setdefault(above, []).append(path)
    folders = _Images(list(inside), roots, tables, key, what="folders")
    found = {name: folders.match(name, alone=False, endings=(True,)) for name in names}
    return {name: inside[match.path] for name, match in found.items() if match}


class _Images:
    """The images below some folders, by what a table may call them."""

    def __init__(
        self,
        paths: Sequence[str],
        roots: Mapping[str, Path],
        tables: Sequence[Path],
        key: str,
        what: str = "files",
    ) -> None:
        self.roots = {prefix: root.absolute().as_posix() for prefix, root in roots.items()}
        self.key, self.what = key, what
        self.tables = _told(tables)
        self.prefixes = list(dict.fromkeys(["", *roots]))  # a table may name a root too, as split.csv does
        self.above = list(dict.fromkeys(table.absolute().parent.as_posix() for table in tables))
        self.paths = paths
        self.whole = {ending: _grouped((_key(path, ending=ending), path) for path in paths) for ending in (True, False)}
        self.ends = cache(self._ends)
        self.is_there = cache(os.path.lexists)

    def bare(self, name: str) -> str:
        """Return the last part of a name without its ending, as all spellings of it have it."""
        return _key(_slashed(name), ending=False).rpartition("/")[2]

    def match(self, name: str, *, alone: bool, endings: Sequence[bool] = (True, False)) -> _Match | None:
        """Return the image that a name means, if there is one.

        Args:
            name: As the table has it.
            alone: Whether no other name ends alike.
            endings: Whether its ending counts: as written and, if that is nothing, without.
        """
        text = _slashed(name)
        below = self._below(text)
        parts = _parts(text)
        if not parts:
            return None
        for ending in endings:
            if found := self._whole(_key(below, ending=ending), ending):
                return _Match(self._one(name, found, below), EXACT)
            match = self._by_end(name, _key("/".join(parts), ending=ending).split("/"), ending, alone=alone)
            if match:
                return None if self._lies_elsewhere(text) else match
        return None

    def _by_end(self, name: str, parts: list[str], ending: bool, *, alone: bool) -> _Match | None:
        """Return the image whose path ends as the name, or whose path the name ends in."""
        for start in range(1, len(parts) - 1):
            if found := self._whole("/".join(parts[start:]), ending):
                return _Match(self._one(name, found, name), len(parts) - start)
        if found := self.ends(len(parts), ending).get("/".join(parts), []):
            return _Match(self._one(name, found, name), len(parts))
        found = self.ends(1, ending).get(parts[-1], [])
        return _Match(found[0], 1, loose=True) if alone and len(found) == 1 else None

    def _whole(self, key: str, ending: bool) -> list[str]:
        """Return the images whose whole paths below a folder are such."""
        grouped = self.whole[ending]
        return [path for prefix in self._before(key) for path in grouped.get(folded(prefix) + key, ())]

    def _before(self, path: str) -> list[str]:
        """Return what may stand before a path; of several folders a bare name is no path, for each may have it."""
        return self.prefixes if "/" in path else [""]

    def _ends(self, number: int, ending: bool) -> dict[str, list[str]]:
        """Return the images by the last parts of their paths, so many of them."""
        cut = ((key.rsplit("/", number)[-number:], path) for path in self.paths for key in [_key(path, ending=ending)])
        return _grouped(("/".join(parts), path) for parts, path in cut)

    def _below(self, text: str) -> str:
        """Return the path below a root of a name that is written from the table's folder, or from the top."""
        if _key(text, ending=True) in self.whole[True]:
            return text
        for place in map(os.path.normpath, self._written_from(text)):
            for prefix, root in self.roots.items():
                if place.startswith(f"{root}/"):
                    return prefix + place[len(root) + 1 :]
        return text

    def _written_from(self, text: str) -> list[str]:
        """Return where a name lies if it is written from the top, or from the folder of a table."""
        return [text] if text.startswith("/") else [f"{folder}/{text}" for folder in self.above]

    def _lies_elsewhere(self, text: str) -> bool:
        """Tell whether a name with folders is a file beside the roots: its end alone would mean another one."""
        if "/" not in text:
            return False
        for place in self._written_from(text):
            parts, rest = place.split("/"), text.lstrip("/").count("/")
            first = "/".join(parts[: len(parts) - rest])
            if self.is_there(first) and is_file(Path(place)):
                return True
        return False

    def _one(self, name: str, found: list[str], written: str) -> str:
        places = {prefix + written for prefix in self._before(written)}
        best = [path for path in found if path in places] or found
        if len(best) > 1:
            raise UserError(
                f"{self.tables} names {name!r}, but below {', '.join(self.roots.values())} there are {len(best)} such "
                f"{self.what}: {some(best, 2, ' and ')}. Write their folders into the table, or choose one of them by "
                f"{self.key}."
            )
        return best[0]


def _of_one_image(matches: dict[str, _Match], tables: Sequence[Path], key: str) -> dict[str, _Match]:
    """Return the matches; of several names of one image the one that fits best, and those that end alike.

    Raises:
        UserError: Where names of different files fit one equally well.
    """
    of_path: dict[str, list[str]] = {}
    for name, match in matches.items():
        of_path.setdefault(match.path, []).append(name)
    for path, names in of_path.items():
        if len(names) == 1:
            continue
        best = max(names, key=lambda name: matches[name].parts)
        for name in names:
            if _end_alike(best, name):
                continue
            if matches[name].parts == matches[best].parts:
                raise UserError(
                    f"{_told(tables)} names {best!r} and {name!r}, each of which may be the image {path}. Give the "
                    f"folder above as {key}, or write paths below it into the table."
                )
            del matches[name]
    return matches


def _told(tables: Sequence[Path]) -> str:
    return some([str(table) for table in tables], 3, " and ")


def _end_alike(first: str, second: str) -> bool:
    one, other = (f"/{_key('/'.join(_parts(_slashed(name))), ending=False)}" for name in (first, second))
    return one.endswith(other) or other.endswith(one)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, path in pairs:
        groups.setdefault(key, []).append(path)
    return groups


def _parts(text: str) -> list[str]:
    return [part for part in text.split("/") if part not in ("", ".", "..")]


def _slashed(name: str) -> str:
    return _DRIVE.sub("", name.replace("\\", "/"))


def _key(path: str, *, ending: bool) -> str:
    """Return a path by which its spellings are one, with or without the ending of an image."""
    text = folded(path)
    stem, dot, end = text.rpartition(".")
    return stem if not ending and f"{dot}{end}" in ENDINGS else text
