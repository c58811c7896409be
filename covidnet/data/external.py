"""Radiographs from elsewhere: a folder in any layout -> images of a model's classes, and which of them it has seen."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from covidnet.data.division.duplicates import find_duplicates
from covidnet.data.images import Pixels
from covidnet.data.spelling import composed, plain
from covidnet.data.walk import IMAGES, holds_no_images, images_below, refuse_no_external_root, told_by_reason
from covidnet.errors import UserError, did_you_mean, some
from covidnet.imaging.kinds import DICOM

SKIP = "skip"  # what --map calls a folder that is to be left out
KNOWN = (  # names of one class, as `plain` writes them
    {"covid", "covid19", "covidpneumonia", "covid19pneumonia", "coronavirus", "sarscov2"},
    {"normal", "healthy", "nofinding", "nofindings"},
    {"viral", "virus", "viralpneumonia", "pneumoniaviral"},
    {"lungopacity", "opacity"},
)
LISTED = 10  # so many folders are named in an error, the rest counted
CHUNK = 1024  # images whose pixels are held at a time


@dataclass(frozen=True)
class ExternalFolder:
    """What a folder in any layout holds of a model's classes, sorted by path."""

    root: Path
    paths: list[str]  # POSIX, below the root
    labels: list[int]
    sources: list[str]  # the folders above each image's class folder; "" where there are none
    names: dict[str, int]  # the class folders' names -> label
    ignored: list[tuple[str, str]]  # other files and folders, with the reason
    dicom: Set[str]  # paths of the DICOM files


def list_external(root: Path, classes: Sequence[str], given: Mapping[str, str]) -> ExternalFolder:
    """List the images below ``root`` by the nearest folder above them whose name means a class.

    Masks, hidden files and what lies beside class folders are left out; split folders such as ``test`` are read.

    Args:
        root: Any folder above class folders.
        classes: The model's, in the order of their labels.
        given: Folder names -> one of the classes, or "skip" to leave the folder out; they go before the known names.

    Raises:
        UserError: Where the folder is missing or holds no image, a folder with images fits no class, or ``given``
            names a class or folder that is not there.
    """
    refuse_no_external_root(root)
    meaning = _meanings(classes, given)
    skipped = {plain(name) for name, label in given.items() if plain(label) == SKIP}
    met: set[str] = set()

    def why_no_folder(name: str) -> str | None:
        met.add(name)
        if plain(name) in skipped:
            return f"is left out by --map {name}={SKIP}"
        return "" if holds_no_images(name) else None

    images, ignored = images_below(root, why_no_folder)
    _refuse_unmet(root, given, met)
    labelled: list[tuple[Path, int, int]] = []  # path below the root, label, depth of the class folder
    others: list[Path] = []
    for path in sorted(image.relative_to(root) for image in images):
        folders = path.parts[:-1]
        depth = next((i for i in reversed(range(len(folders))) if plain(folders[i]) in meaning), None)
        if depth is None:
            others.append(path)
        else:
            labelled.append((path, meaning[plain(folders[depth])], depth))
    above = {Path(*path.parts[:i]) for path, _, depth in labelled for i in range(depth + 1)}
    names = {path.parts[depth]: label for path, label, depth in labelled}
    _refuse_unfit(root, [path for path in others if path.parent not in above], classes, names)
    if not labelled:
        reasons = told_by_reason([(path.relative_to(root), reason) for path, reason in ignored], "; ")
        raise UserError(
            f"{root} holds no images in folders named like a class of the checkpoint, {list(classes)}"
            f"{f' ({reasons})' if reasons else ''}. Give a folder above class folders."
        )
    within = [(path.relative_to(root), reason) for path, reason in ignored]
    left_out = [(path.as_posix(), reason) for path, reason in within if path.parent not in above]  # of a class
    left_out += [(path.as_posix(), "lies beside the class folders") for path in others]
    return ExternalFolder(
        root,
        paths=[path.as_posix() for path, _, _ in labelled],
        labels=[label for _, label, _ in labelled],
        sources=[composed("/".join(path.parts[:depth])) for path, _, depth in labelled],
        names=names,
        ignored=left_out,
        dicom={path.relative_to(root).as_posix() for path, kind in images.items() if kind is DICOM},
    )


def find_seen(external: Pixels, own: Pixels) -> dict[str, str]:
    """Return the images of ``external`` that show a radiograph of ``own``: path -> path there.

    Either their pixels are equal, whatever the file's name and format, or ``find_duplicates`` links them: copies that
    were compressed anew, re-exposed or marked. Both must be decoded to one size.
    """
    known = dict(zip(_hashes(own), own.paths, strict=True))
    equal = zip(external.paths, _hashes(external), strict=True)
    seen = {path: known[digest] for path, digest in equal if digest in known}
    pairs = np.sort(find_duplicates(np.concatenate([own.thumbnails, external.thumbnails])).pairs, axis=1)
    for there, here in pairs:
        if there < len(own.paths) <= here:
            seen.setdefault(external.paths[here - len(own.paths)], own.paths[there])
    return seen


def _hashes(pixels: Pixels) -> list[bytes]:
    digests: list[bytes] = []
    for start in range(0, len(pixels.paths), CHUNK):
        numbers = np.arange(start, min(start + CHUNK, len(pixels.paths)), dtype=np.int64)
        for image in pixels.gather(numbers):
            in_colour = np.broadcast_to(image, (3, *image.shape[1:]))  # grey among coloured images is given so
            digests.append(hashlib.blake2b(in_colour.tobytes(), digest_size=16).digest())
    return digests


def _meanings(classes: Sequence[str], given: Mapping[str, str]) -> dict[str, int]:
    """Return the label that each plain name means."""
    own = {plain(name): label for label, name in enumerate(classes)}
    meaning: dict[str, int] = {}
    for names in KNOWN:
        labels = {own[name] for name in names & own.keys()}
        if len(labels) == 1:  # of two classes with names of one meaning, each is only what it is called
            meaning |= dict.fromkeys(names, labels.pop())
    meaning |= own
    chosen: dict[str, int] = {}
    for name, value in given.items():
        if plain(value) == SKIP:
            continue
        if plain(value) not in meaning:
            raise UserError(
                f"--map {name}={value}: {value!r} is no class of the checkpoint, {list(classes)}, nor {SKIP!r}."
                f"{did_you_mean(value, [*classes, SKIP])}"
            )
        chosen[plain(name)] = meaning[plain(value)]
    return meaning | chosen


def _refuse_unmet(root: Path, given: Mapping[str, str], met: set[str]) -> None:
    known = {plain(name) for name in met}
    for name, value in given.items():
        if plain(name) not in known:
            raise UserError(
                f"--map {name}={value}: no folder below {root} is called {name!r}.{did_you_mean(name, met)} "
                f"Its folders are {sorted(met)[:LISTED]}{' and others' if len(met) > LISTED else ''}."
            )


def _refuse_unfit(root: Path, unfit: Sequence[Path], classes: Sequence[str], names: Mapping[str, int]) -> None:
    """Name the folders with images that mean no class, and how to say what they are."""
    folders = Counter(path.parent.parent if path.parent.name == IMAGES else path.parent for path in unfit)
    named = {folder: count for folder, count in folders.items() if folder.name}
    if named:
        found = [f"{folder.as_posix()!r} ({count:,} images)" for folder, count in named.items()]
        fitting = ", ".join(f"{name!r} is {classes[label]}" for name, label in names.items())
        name = next(iter(named)).name
        raise UserError(
            f"{root} holds folders of images that fit no class of the checkpoint, {list(classes)}: "
            f"{some(found, LISTED, ', ')}. Say what each is, --map '{name}=CLASS', or leave it out, "
            f"--map '{name}={SKIP}'; the name may also be that of a folder above."
            f"{f' Known: {fitting}.' if fitting else ''}"
        )
    if folders:
        raise UserError(
            f"{root} holds {folders.total():,} images itself, but no folder named like a class of the checkpoint, "
            f"{list(classes)}. Give a folder above class folders; is it {root.absolute().parent}?"
        )
