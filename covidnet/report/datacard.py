"""What the images of a run are: counts by class, split and source, links between them, sizes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from covidnet.data.division.metadata import LINKS, Metadata, linked_groups
from covidnet.data.division.sources import UNKNOWN, sources_of
from covidnet.data.division.split import SPLITS
from covidnet.data.listing import without_names
from covidnet.data.radiographs import Radiographs
from covidnet.data.spelling import Spellings
from covidnet.errors import UserError
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.imaging.sizes import size_of
from covidnet.report.measured import Links

Table = dict[str, dict[str, int]]  # row -> column -> images


class Sizes(NamedTuple):
    """Width and height in pixels of a class's files: smallest, median and largest, or the one that all have."""

    width: list[int]
    height: list[int]


@dataclass(frozen=True)
class DataCard:
    """The data of a run; what could not be found out is None, with the reason in ``problem``."""

    counts: Table  # split -> class
    sources: Table | None  # class -> source
    links: Links | None
    sizes: dict[str, Sizes]
    problem: str | None
    collections: Table | None = None  # class -> name of the root, where there are several
    told: Sequence[str] = ()  # what the layouts tell of what came in and what was left out, a sentence each
    given: bool = False  # whether the data give a split


def make_data_card(
    split: Sequence[Mapping[str, str]],
    counts: Mapping[str, Mapping[str, int]],
    classes: Sequence[str],
    data: Radiographs | None,
    *,
    sizes: bool = True,
) -> DataCard:
    """Describe the images that ``split`` (rows ``path, label, split``) names, which lie where ``data`` says.

    Without ``sizes``, which take a look at every file, no image is opened.
    """
    table = {name: dict(counts[name]) for name in SPLITS if name in counts}
    if data is None or not split:
        return DataCard(table, None, None, {}, None)
    try:
        metadata, given = data.metadata, bool(data.sides)
        told = [without_names(line) for line in data.folder.known.lines]
    except UserError as error:
        return DataCard(table, None, None, {}, str(error))
    known = DataCard(table, None, None, {}, None, told=told, given=given)
    paths = [row["path"] for row in split]
    if metadata:
        named = Spellings(metadata.rows)
        paths = [named.find(path) or path for path in paths]
        linked = any(metadata.rows.get(path, {}).get(column) for path in paths for column in LINKS)
        known = replace(
            known,
            told=[*told, *metadata.warned],
            sources=_by(split, classes, sources_of(paths, metadata.rows)),
            collections=_by(split, classes, [metadata.rows.get(path, {}).get("collection", UNKNOWN) for path in paths]),
            links=_links(metadata, split, paths) if linked else None,
        )
    if not sizes:
        return known
    try:
        found = {name: _sizes(data, [row["path"] for row in split if row["label"] == name]) for name in classes}
    except (OSError, UnreadableImageError, UserError) as error:
        return replace(known, problem=f"An image cannot be opened: {error}")
    return replace(known, sizes={name: of_class for name, of_class in found.items() if of_class})


def _by(split: Sequence[Mapping[str, str]], classes: Sequence[str], named: Sequence[str]) -> Table | None:
    """Count the images of each class by what names them, or nothing where no name is known."""
    found = Counter(zip([row["label"] for row in split], named, strict=True))
    names = sorted({name for _, name in found})
    if names == [UNKNOWN]:
        return None
    return {of_class: {name: found[of_class, name] for name in names} for of_class in classes}


def _links(metadata: Metadata, split: Sequence[Mapping[str, str]], paths: Sequence[str]) -> Links:
    groups = linked_groups(paths, metadata.rows)
    sizes = Counter(groups)
    sides: dict[int, set[str]] = {}
    for row, group in zip(split, groups, strict=True):
        sides.setdefault(group, set()).add(row["split"])
    linked = [size for size in sizes.values() if size > 1]
    astride = sum(len(names) > 1 for names in sides.values())
    unknown = sum(not metadata.rows.get(path, {}).get("patient") for path in paths)
    return Links(metadata.origin, sum(linked), len(linked), astride, unknown, len(paths))


def _sizes(data: Radiographs, paths: Sequence[str]) -> Sizes | None:
    """Read the sizes from the files' heads; no pixel is decoded."""
    sizes = [size_of(data.image_file(path)) for path in paths]
    if not sizes:
        return None
    ends = np.quantile(np.array(sizes), (0, 0.5, 1), axis=0, method="nearest").T.tolist()
    return Sizes(*(values if values[0] < values[2] else values[:1] for values in ends))
