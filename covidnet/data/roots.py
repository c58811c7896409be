"""Several folders as one: what the keys name, one label a class in all of them, and what is known of their images."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from covidnet.data.division.metadata import Metadata, find_metadata, merge_rows, read_metadata
from covidnet.data.listing import Labelled, Listing, gather
from covidnet.data.spelling import composed
from covidnet.errors import UserError, require

KEY = "data.roots"
_NAME = re.compile(r"[\w()+-][\w .()+-]*")  # as a folder may be called on any system; no path and no prefix


def check_roots(given: Mapping[str, str] | None, root: str | None) -> dict[str, str] | None:
    """Return the folders under composed names; refuse those with which no path could begin, and a ``root`` beside them.

    Raises:
        UserError: Naming the first.
    """
    if given is None:
        return None
    require(not root, "data.root", root, f"left out where {KEY} names folders, or {KEY}=null")
    expected = f"{KEY} must be {{NAME: FOLDER, NAME: FOLDER}}, such as {{site_a: data/a, site_b: data/b}}"
    if not given:
        raise UserError(f"{KEY} names no folder: {expected}.")
    named = {composed(name): folder for name, folder in given.items()}
    for name in named:
        if not _NAME.fullmatch(name):
            raise UserError(
                f"{KEY} has the name {name!r}, with which the paths of its images would begin: {expected}. A name has "
                "letters, digits, _ and -."
            )
    return named


def refuse_overlap(roots: Mapping[str, Path]) -> None:
    """Refuse folders that hold one another: each of their images would stand there twice.

    Raises:
        UserError: Naming two.
    """
    for outer, above in roots.items():
        for inner, folder in roots.items():
            if inner != outer and folder.resolve().is_relative_to(above.resolve()):
                raise UserError(
                    f"{KEY}: {_bare(inner)} ({folder}) lies in {_bare(outer)} ({above}) or is the same folder, so its "
                    "images would count twice. Give folders that lie apart."
                )


def with_one_label(listings: Mapping[str, Listing], wanted: Sequence[str] | None) -> dict[str, Listing]:
    """Return the listings of several roots under the labels of all their classes.

    Args:
        listings: What the paths of a root begin with -> its images.
        wanted: The classes, in the order of their labels; all that any root has, sorted, where None.

    Raises:
        UserError: Where a root holds no images, or there are not two classes.
    """
    refuse_empty(listings, wanted, "it must hold folders of radiographs, one a class")
    found = sorted({name for listing in listings.values() for name, count in listing.class_counts.items() if count})
    classes = list(wanted) if wanted else found
    if len(classes) < 2 or not set(classes) <= set(found):
        asked = f"data.classes names {classes}" if wanted else "a classifier needs two classes or more"
        raise UserError(
            f"The folders of {KEY} hold images of {found}, but {asked}. Class folders of one class must have one name."
        )
    labels = {name: label for label, name in enumerate(classes)}
    parts = {prefix: gather({"": listing}, classes, labels.get) for prefix, listing in listings.items()}
    return {prefix: part.below(listings[prefix].root) for prefix, part in parts.items()}


def refuse_empty(listings: Mapping[str, Listing], wanted: Sequence[str] | None, must: str) -> None:
    """Refuse a root without images of any class, or of those ``wanted``.

    Raises:
        UserError: Saying what ``must`` be.
    """
    for prefix, listing in listings.items():
        if not listing.paths:
            raise UserError(
                f"{listing.root} holds no images of {list(wanted) if wanted else 'any class'}, but {KEY} names it "
                f"{_bare(prefix)}: {must}."
            )


def told_of_roots(listings: Mapping[str, Listing]) -> list[str]:
    """Return what each root holds and which classes only some have, a sentence each."""
    held = {_bare(prefix): listing.class_counts for prefix, listing in listings.items()}
    told = []
    for (name, counts), listing in zip(held.items(), listings.values(), strict=True):
        numbers = ", ".join(f"{count:,} {of_class}" for of_class, count in counts.items())
        told.append(f"{name} ({listing.root}): {numbers}.")
    for name in next(iter(held.values())):
        having = [place for place, counts in held.items() if counts[name]]
        if len(having) < len(held):
            told.append(f"{name} comes from {', '.join(having)} alone.")
    return told


def known_of(
    listings: Mapping[str, Listing], given: Path | None, columns: Mapping[str, str] | None, *, seek: bool, shared: bool
) -> Metadata | None:
    """Return what layouts and tables tell of the images of one root or several, by the paths that they have together.

    Names of patients and groups hold within their root, unless one table names images of several. The name of a root is
    the source of its images where nothing else tells one, and their collection.

    Args:
        listings: What the paths of a root begin with -> its images; "" of an only root.
        given: The table that a key names.
        columns: What a column of a table says -> its name, as a key gives it.
        seek: Whether each root may have a table of its own, in it or beside it, where none is given.
        shared: Whether one layout names patients and groups in all roots, as a table of labels does.

    Raises:
        UserError: Where a table cannot be read, or names none of the images.
    """
    files = {prefix: find_metadata(part.root) for prefix, part in listings.items()} if seek and not given else {}
    if list(listings) == [""]:
        (listing,) = listings.values()
        file = given or files.get("")
        return merge_rows(_own(listing), _read_table(file, listing.root, listing.paths, columns) if file else None)
    times = Counter(files.values())
    known: Metadata | None = Metadata(KEY, {})
    for prefix, listing in listings.items():
        file = files.get(prefix)
        alone = file is not None and times[file] == 1
        table = _read_table(file, listing.root, listing.paths, columns) if file and alone else None
        known = merge_rows(known, _within(prefix, merge_rows(_own(listing), table), shared=shared))
    if given:
        images = {prefix + path: prefix + path for prefix, part in listings.items() for path in part.paths}
        must = f"begin with {', '.join(listings)}, as those of split.csv do"
        known = merge_rows(known, _read_shared(given, images, columns, must))
    for file in [file for file, count in times.items() if file and count > 1]:
        known = merge_rows(
            known, _read_shared(file, _named_from(file, listings), columns, "be relative to the table's own folder")
        )
    assert known is not None
    return replace(known, rows=_with_sources(listings, known.rows))


def _own(listing: Listing) -> Metadata | None:
    return Metadata(listing.known.origin, listing.known.rows) if listing.known.rows else None


def _within(prefix: str, known: Metadata | None, *, shared: bool) -> Metadata | None:
    """Return the rows of a root's images by the paths that they have among those of all roots."""
    if known is None:
        return None
    rows = {}
    for path, row in known.rows.items():
        own = () if shared else ("patient", "group")
        names = {column: f"{prefix}{row[column]}" for column in own if row.get(column)}
        rows[prefix + path] = {**row, **names}
    return replace(known, rows=rows)


def _named_from(file: Path, listings: Mapping[str, Listing]) -> dict[str, str]:
    """Return what a table beside several roots calls their images -> the path among those of all roots."""
    above = file.absolute().parent
    below = {prefix: part for prefix, part in listings.items() if part.root.absolute().is_relative_to(above)}
    return {
        (part.root.absolute().relative_to(above) / path).as_posix(): prefix + path
        for prefix, part in below.items()
        for path in part.paths
    }


def _read_shared(file: Path, images: Mapping[str, str], columns: Mapping[str, str] | None, must: str) -> Metadata:
    """Read a table of images of several roots: what it calls them -> the path among those of all roots."""
    table = _read_table(file, file.absolute().parent, list(images), columns, must, own=False)
    return replace(table, rows={images[name]: row for name, row in table.rows.items()})


def _read_table(
    file: Path,
    root: Path,
    paths: Sequence[str],
    columns: Mapping[str, str] | None,
    must: str = "be relative to data.root or to the table's own folder",
    *,
    own: bool = True,
) -> Metadata:
    metadata = read_metadata(file, root, paths, columns=columns, own=own)
    if not metadata.rows:
        raise UserError(
            f"{file} names {metadata.unmatched} images, but none of those in {root}. Its paths must {must}. Change "
            "data.metadata (or none)."
        )
    return metadata


def _with_sources(
    listings: Mapping[str, Labelled], rows: Mapping[str, Mapping[str, str]]
) -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for prefix, listing in listings.items():
        own = {prefix + path: rows.get(prefix + path, {}) for path in listing.paths}
        name = {"collection": _bare(prefix)}
        if not any(row.get("source") for row in own.values()):
            name["source"] = _bare(prefix)
        found |= {path: {**row, **name} for path, row in own.items()}
    return found


def _bare(prefix: str) -> str:
    return prefix.rstrip("/")
