"""Seeded, stratified, grouped split and holdout; the split file."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from covidnet.data.spelling import Spellings, by_name, composed, one_name
from covidnet.errors import UserError, short
from covidnet.files.reading import UNREADABLE, read_table
from covidnet.files.whole import whole

TEST_PREFIX = "test:"  # marks the images of a separate test root
SPLITS = ("train", "val", "test")


def prefix_of(path: str, prefixes: Iterable[str]) -> str:
    """Return with which of the prefixes of several folders the path of an image begins; the longest counts.

    That of an only folder is empty, and so is what is returned where a path begins with none.
    """
    return max((prefix for prefix in prefixes if path.startswith(prefix)), key=len, default="")


@dataclass(frozen=True)
class Split:
    """Indices of the images in each split, ascending: a partition of those that take part."""

    train: list[int]
    val: list[int]
    test: list[int]

    def items(self) -> list[tuple[str, list[int]]]:
        """Return ``(name, indices)`` of the three splits."""
        return [(name, getattr(self, name)) for name in SPLITS]


def seeded_split(
    paths: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[int],
    classes: Sequence[str],
    *,
    seed: int,
    val_fraction: float,
    test_per_class: int,
) -> Split:
    """Split images into training, validation and test, stratified by class, whole groups on one side.

    Groups are drawn in the order of a hash of the seed and of the ``one_name`` of their first path, so that the same
    files and seed give the same split on any machine, in any listing order, with any version of any library. The test
    split takes groups until each class has at least ``test_per_class`` images; then the validation split takes groups
    that fit until each class has ``val_fraction`` of its remaining images (rounded, at least one).

    Raises:
        UserError: Where a class would be left without validation or training images.
    """
    units = draw_units(paths, groups, str(seed))
    totals = _count((range(len(paths)),), labels, len(classes))
    too_few = [name for name, n in zip(classes, totals, strict=True) if n < test_per_class + 2]
    if too_few:
        raise _too_few(classes, totals, too_few, val_fraction, test_per_class)

    test, rest = _take(units, labels, [test_per_class] * len(classes), overshoot=True)
    val, train = take_validation(rest, labels, len(classes), val_fraction)
    kept, held = _count(train, labels, len(classes)), _count(val, labels, len(classes))
    lacking = [name for name, k, v in zip(classes, kept, held, strict=True) if k == 0 or v == 0]
    if lacking:
        raise _too_few(classes, totals, lacking, val_fraction, test_per_class)
    return Split(_flat(train), _flat(val), _flat(test))


def draw_units(paths: Sequence[str], groups: Sequence[int], seed: str) -> list[list[int]]:
    """Return the images of each group, by number, in the order of a hash of the seed and of the group's first path."""
    members: dict[int, list[int]] = {}
    for index in sorted(range(len(paths)), key=lambda i: by_name(paths[i])):
        members.setdefault(groups[index], []).append(index)
    return sorted(members.values(), key=lambda unit: _rank(seed, one_name(paths[unit[0]])))


def take_validation(
    units: list[list[int]], labels: Sequence[int], num_classes: int, val_fraction: float
) -> tuple[list[list[int]], list[list[int]]]:
    """Take units that fit until each class has ``val_fraction`` of its images; return the taken and the left."""
    wanted = [max(1, round(n * val_fraction)) for n in _count(units, labels, num_classes)]
    return _take(units, labels, wanted, overshoot=False)


def write_split(file: Path, split: Split, paths: Sequence[str], labels: Sequence[int], classes: Sequence[str]) -> None:
    """Write ``path, label, split``, one row an image, sorted by path; the label is the class's name.

    The file is written whole or not at all.
    """
    rows = sorted((paths[i], classes[labels[i]], name) for name, indices in split.items() for i in indices)
    with whole(file, newline="", encoding="utf-8", errors="surrogatepass") as lines:  # names of any bytes
        writer = csv.writer(lines)
        writer.writerow(["path", "label", "split"])
        writer.writerows(rows)


def read_split(
    file: Path, paths: Sequence[str], labels: Sequence[int], classes: Sequence[str]
) -> tuple[Split, list[str]]:
    """Read a split file back; return it with the images of the folder that the file does not name.

    A name may be spelt otherwise than on the disk (``Spellings``).

    Raises:
        UserError: Where the file is no split file, names images that are not there, or another class or split.
    """
    key = "Change data.split_file, or leave it out to draw the split anew."
    try:
        columns, rows = read_table(file, pipes=True)
    except UNREADABLE as error:
        raise UserError(f"{file} cannot be read as a split file: {error}. {key}") from error
    if not {"path", "label", "split"} <= set(columns):
        raise UserError(f"{file} has the columns {short(columns)}, but a split file has path, label and split. {key}")
    index_of = {path: index for index, path in enumerate(paths)}
    spellings = Spellings(paths)
    own = [spellings.find(row["path"] or "") for row in rows]
    missing = sorted(row["path"] or "" for row, path in zip(rows, own, strict=True) if path is None)
    if missing:
        raise UserError(
            f"{file} names {len(missing)} images that are not in the folder, the first {short(missing[0])!r}. "
            f"Give the data.root that the file was made for. {key}"
        )
    chosen: dict[str, list[int]] = {name: [] for name in SPLITS}
    seen: set[str] = set()
    for row, path in zip(rows, own, strict=True):
        assert path is not None
        index = index_of[path]
        if path in seen:
            raise UserError(f"{file} names {path!r} twice. {key}")
        seen.add(path)
        if row["split"] not in chosen:
            raise UserError(f"{file} puts {path!r} in {row['split']!r}; a split is one of {', '.join(SPLITS)}. {key}")
        if composed(row["label"] or "") != composed(classes[labels[index]]):
            folder = classes[labels[index]]
            raise UserError(f"{file} calls {path!r} {row['label']!r}; its folder says {folder!r}. {key}")
        chosen[row["split"]].append(index)
    split = Split(*(sorted(chosen[name]) for name in SPLITS))
    return split, [path for path in paths if path not in seen]


def paths_in_split(file: Path) -> set[str]:
    """Return the images that a split file names; none where it is no split file, of which ``read_split`` tells."""
    try:
        _, rows = read_table(file)
    except UNREADABLE:
        return set()
    return {row["path"] for row in rows if row.get("path")}


def _rank(seed: str, path: str) -> bytes:
    return hashlib.sha256(f"{seed}:{path}".encode(errors="surrogatepass")).digest()


def _take(
    units: list[list[int]], labels: Sequence[int], wanted: list[int], *, overshoot: bool
) -> tuple[list[list[int]], list[list[int]]]:
    """Take units in order until each class has what is ``wanted``; return the taken and the left.

    With ``overshoot`` the last unit of a class may exceed its number; without, a unit that does not fit is left, except
    that a class never goes empty-handed.
    """
    have = [0] * len(wanted)
    taken: list[list[int]] = []
    left: list[list[int]] = []
    for unit in units:
        size = _count([unit], labels, len(wanted))
        present = [label for label, n in enumerate(size) if n]
        needed = any(have[label] < wanted[label] for label in present)
        fits = all(have[label] + size[label] <= wanted[label] for label in present)
        if needed and (overshoot or fits):
            taken.append(unit)
            have = [a + b for a, b in zip(have, size, strict=True)]
        else:
            left.append(unit)
    for label, number in enumerate(wanted):
        candidates = [unit for unit in left if any(labels[i] == label for i in unit)]
        if number and have[label] == 0 and len(candidates) > 1:
            smallest = min(candidates, key=len)
            left.remove(smallest)
            taken.append(smallest)
            have = [a + b for a, b in zip(have, _count([smallest], labels, len(wanted)), strict=True)]
    return taken, left


def _count(units: Iterable[Iterable[int]], labels: Sequence[int], num_classes: int) -> list[int]:
    counts = [0] * num_classes
    for unit in units:
        for index in unit:
            counts[labels[index]] += 1
    return counts


def _flat(units: list[list[int]]) -> list[int]:
    return sorted(index for unit in units for index in unit)


def _too_few(
    classes: Sequence[str], totals: list[int], lacking: list[str], val_fraction: float, test_per_class: int
) -> UserError:
    counts = dict(zip(classes, totals, strict=True))
    return UserError(
        f"The class(es) {lacking} have too few images, or too few patients and groups, for a test, a validation and a "
        f"training split: the folder holds {counts}. Lower data.test_per_class (now {test_per_class}) or change "
        f"data.val_fraction (now {val_fraction}), or give data.test_root."
    )
