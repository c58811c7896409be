"""A split as lists tell it, a name of an image a line, such as the train_val_list.txt and test_list.txt of NIH."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from covidnet.data.listing import Gathered, Listed, Listing
from covidnet.data.tables.places import Found, find_images
from covidnet.data.tables.reading import read_lines
from covidnet.data.walk import radiographs_below
from covidnet.errors import UserError, short, some

KEY = "data.split_lists"
MOST_TOLD = 3  # names in a line


def follow_lists(listing: Listing, files: Mapping[Path, str], key: str) -> Listed:
    """Return a listing whose images are on the sides on which lists put them, and on no other.

    Args:
        listing: The images; those of the folder that take no part, as other classes, may stand in a list too.
        files: List -> "train", "val" or "test".
        key: The setting that gave the folder, as an error names it.

    Raises:
        UserError: Where a list cannot be read, names none of the images, or one that stands on another side in another.
    """
    names = {file: list(dict.fromkeys(read_lines(file, KEY))) for file in files}
    paths = [path.relative_to(listing.root).as_posix() for path in radiographs_below(listing.root)[0]]
    every = [name for held in names.values() for name in held]
    found = find_images(every, paths, {"": listing.root}, list(files), key)
    _refuse_unknown(names, found, listing.root)
    sides = _sides(names, files, found)
    told, warned = [], []
    if found.missing:
        lists = some([file.name for file in files], between=" and ")
        missing = some([repr(name) for name in found.missing], MOST_TOLD, ", ")
        unlisted = sum(path not in sides for path in listing.paths)
        warned.append(
            f"{len(found.missing):,} of the {len(set(every)):,} names in {lists} are of no image below {listing.root}: "
            f"{missing}. And {unlisted:,} of the {len(listing.paths):,} images there are in no list."
        )
    if listing.known.sides:
        told.append(f"{KEY} tells the split; what folders or a column tell of it does not count.")
    own = {file.absolute() for file in files}
    ignored = [(path, why) for path, why in listing.ignored if (listing.root / path).absolute() not in own]
    known = replace(
        listing.known,
        sides={path: sides[path] for path in listing.paths if path in sides},
        told=[*listing.known.told, *told],
        warned=[*listing.known.warned, *warned],
    )
    images = Gathered(list(listing.classes), list(listing.paths), list(listing.targets), ignored, known)
    return images.below(listing.root)


def _refuse_unknown(names: Mapping[Path, list[str]], found: Found, root: Path) -> None:
    """Refuse a list of which no name is that of an image: its side would be drawn, or empty."""
    for file, held in names.items():
        if not any(name in found.paths or name in found.folders for name in held):
            such = f", such as {short(repr(held[0]))}," if held else ""
            raise UserError(
                f"None of the {len(held):,} lines of {file}{such} is the name of an image below {root}. A list has "
                "one name or path a line; a table of labels for one side of the split is data.table={train: FILE}. "
                f"Change {KEY}."
            )


def _sides(names: Mapping[Path, list[str]], files: Mapping[Path, str], found: Found) -> dict[str, str]:
    """Return path -> side.

    Raises:
        UserError: Where two lists put one image, or one name, on two sides.
    """
    by: dict[str, Path] = {}
    for file, held in names.items():
        for name in held:
            images = [found.paths[name]] if name in found.paths else found.folders.get(name, [name])
            for image in images:
                other = by.setdefault(image, file)
                if files[other] != files[file]:
                    raise UserError(
                        f"{image} stands in {other} ({files[other]}) and in {file} ({files[file]}), but an image is on "
                        f"one side of the split. Take it out of one of them, or change {KEY}."
                    )
    return {path: files[file] for path, file in by.items()}
