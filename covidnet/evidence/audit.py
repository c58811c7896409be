"""What is in a folder of radiographs, before any training: checks with a verdict and a sentence each."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidnet.data.division.duplicates import Duplicates, find_duplicates
from covidnet.data.division.metadata import NAME, linked_groups, write_metadata
from covidnet.data.division.views import view_of, with_headers
from covidnet.data.listing import Labelled
from covidnet.data.radiographs import Radiographs
from covidnet.data.walk import IMAGES
from covidnet.errors import UserError
from covidnet.evidence.audit_checks import STEPS, VERDICTS, Begin, Contents, run_checks
from covidnet.evidence.inspection import FEW, Traits, inspect_files
from covidnet.evidence.known_checks import run_known_checks
from covidnet.imaging.decode import THUMBNAIL
from covidnet.imaging.radiograph import BodyPart
from covidnet.machine.parallel import named_steps, one_thread

# Images a class as the releases were published: COVID-19, NORMAL, Viral Pneumonia (and Lung Opacity).
RELEASES = {
    "the first release": (219, 1341, 1345),
    "the first update": (1200, 1341, 1345),
    "the second update": (3616, 10192, 1345),
    "the second update with Lung Opacity": (3616, 10192, 1345, 6012),
}
DRAWN = "drawn radiographs (phantoms)"
_PHANTOM = re.compile(r"/[^/]+ phantom \(\d+\)\.png$")


@dataclass(frozen=True)
class Audit:
    """The findings, and the table that keeps together what belongs together."""

    report: dict[str, Any]  # plain types: what --json writes
    rows: list[dict[str, str]]  # path, patient, group, source


def audit(
    root: Path, classes: Sequence[str] | None = None, metadata: str | None = None, body_part: BodyPart = "chest"
) -> Audit:
    """Inspect the folder ``root`` and return what was found; nothing is written.

    Args:
        root: Folder that training could be given.
        classes: Which class folders, all where left out.
        metadata: Table of patients, groups and sources; "none" for no table; where left out, the one that training
            would use.
        body_part: What part of the body DICOM headers may name.

    Raises:
        UserError: Where the folder or the table is none.
    """
    return audit_images(
        Radiographs(str(root), classes=list(classes) if classes else None, metadata=metadata, body_part=body_part)
    )


def audit_images(data: Radiographs) -> Audit:
    """Inspect the images that keys name, in any layout and in one folder or several, else as ``audit``."""
    files = [data.image_file(path) for path in data.folder.paths]
    inspected = list(inspect_files(files, data.reading))
    with named_steps(STEPS, "checking", hidden=len(inspected) < FEW) as begin, one_thread():
        return _judged(data, inspected, begin)


def _judged(data: Radiographs, inspected: list[Traits | str], begin: Begin) -> Audit:
    """Return the findings of what was inspected; each step begins with its name."""
    folder, table = data.folder, data.metadata
    unreadable = {path: why for path, why in zip(folder.paths, inspected, strict=True) if isinstance(why, str)}
    begin("copies of one radiograph")
    contents = _contents(data, inspected)
    release = _release(folder)
    report: dict[str, Any] = {
        "root": data.place,
        "release": release,
        "layout": _layout(folder),
        "counts": folder.class_counts,
        "metadata": table.origin if table else None,
        "told": [*folder.known.lines, *(table.warned if table else ())],
    }
    named = f"as many as {release} has" if release and release != DRAWN else release
    checks = run_checks(folder, unreadable, contents, named, partial(run_known_checks, data, contents), begin)
    verdict = max((check.verdict for check in checks), key=VERDICTS.index)
    report |= {"verdict": verdict, "checks": [vars(check) for check in checks]}
    rows = table.rows if table else {}
    kept = [{**rows[path], "path": path} for path in unreadable if path in rows]
    return Audit(report, [*_table_rows(contents), *kept])


def _contents(data: Radiographs, inspected: list[Traits | str]) -> Contents:
    folder = data.folder
    kept = [(index, traits) for index, traits in enumerate(inspected) if not isinstance(traits, str)]
    if not kept:
        raise UserError(f"None of the {len(inspected)} images in {data.place} can be read: {inspected[0]}.")
    paths = [folder.paths[index] for index, _ in kept]
    traits = [of_image for _, of_image in kept]
    views = {path: view for path, view in data.header_views.items() if view_of(view)}
    known = with_headers(data.metadata.rows if data.metadata else {}, views)
    rows = [known.get(path, _drawn_row(path) if _is_drawn(path) else {}) for path in paths]
    duplicates = _all_duplicates(traits)
    groups = linked_groups(paths, dict(zip(paths, rows, strict=True)), duplicates.pairs)
    labels = np.array([folder.targets[index] for index, _ in kept], dtype=np.int64)
    lungs = _lungs(data, paths)
    return Contents(
        paths,
        labels,
        list(folder.classes),
        traits,
        rows,
        duplicates,
        np.array(groups, dtype=np.int64),
        lungs,
        data.masks.told(lungs is not None),
    )


def _lungs(data: Radiographs, paths: Sequence[str]) -> NDArray[np.bool_] | None:
    """Return where the lungs of images lie (N, S, S), at the size of the probes; None where the box stands for them."""
    files = data.lung_files(paths)
    return data.masks.regions([files[path] for path in paths], THUMBNAIL // 2) if files else None


def _all_duplicates(traits: Sequence[Traits]) -> Duplicates:
    """Return the pairs that look alike and those whose pixels are the same, blank ones among them."""
    found = find_duplicates(np.stack([of_image.thumbnail for of_image in traits]))
    first: dict[str, int] = {}
    same = [(first.setdefault(of_image.pixels, index), index) for index, of_image in enumerate(traits)]
    exact = {pair: 1.0 for pair in same if pair[0] != pair[1]}
    kinds = dict(zip(map(tuple, found.pairs.tolist()), found.kinds, strict=True))
    alike = dict(zip(kinds, found.correlations.tolist(), strict=True))
    pairs = sorted({**alike, **exact}.items())
    return Duplicates(
        np.array([pair for pair, _ in pairs], dtype=np.int64).reshape(-1, 2),
        np.array([correlation for _, correlation in pairs], dtype=np.float32),
        [kinds.get(pair, "") for pair, _ in pairs],
    )


def _release(folder: Labelled) -> str | None:
    """Return which published release has these numbers of images, if any."""
    if all(_is_drawn(path) for path in folder.paths):
        return DRAWN
    counts = sorted(folder.class_counts.values())
    return next((name for name, known in RELEASES.items() if sorted(known) == counts), None)


def _layout(folder: Labelled) -> str:
    if folder.known.sides:
        return "SPLIT/CLASS/*"
    inner = {path.split("/")[1:2] == [IMAGES] for path in folder.paths}
    return "CLASS/*" if inner == {False} else f"CLASS/{IMAGES}/*" if inner == {True} else "mixed"


def _is_drawn(path: str) -> bool:
    return _PHANTOM.search(path) is not None


def _drawn_row(path: str) -> dict[str, str]:
    return {"patient": path, "source": "drawn"}  # each is drawn by itself


def write_table(audited: Audit, root: Path | None, out: Path | None, *, force: bool) -> tuple[Path | None, str]:
    """Write the metadata table to ``out``, or else to the root, where training finds it; say what was done.

    A table that is there is left as it is, unless ``force`` is given. Of several folders, which are no root, the table
    needs a place.
    """
    if not (out or root):
        return None, "No table was written: one of several folders needs a place, --out FILE, and data.metadata=FILE."
    file = out or Path(root or "", NAME)
    if file.exists() and not force:
        return None, f"{file} is there already and was left as it is; --force writes it anew."
    try:
        write_metadata(file, audited.rows)
    except OSError as error:
        return None, f"The table was not written: {file}: {error.strerror or error}. Give --out FILE."
    return file, f"Patients, groups and sources of {len(audited.rows):,} images: {file}"


def _table_rows(contents: Contents) -> list[dict[str, str]]:
    """Return the metadata table: what the given one says, and a group for each image that has a duplicate."""
    own = [{"group": row.get("group", "")} for row in contents.rows]
    numbers = linked_groups(contents.paths, dict(zip(contents.paths, own, strict=True)), contents.duplicates.pairs)
    sizes = Counter(numbers)
    names: dict[int, str] = {}
    for number, row in zip(numbers, own, strict=True):
        names[number] = names.get(number) or row["group"]
    for number, path in zip(numbers, contents.paths, strict=True):
        if sizes[number] > 1:
            names[number] = names[number] or f"as {path}"
    return [
        {
            **row,
            "path": path,
            "patient": row.get("patient", ""),
            "group": names[number],
            "source": row.get("source", ""),
        }
        for path, row, number in zip(contents.paths, contents.rows, numbers, strict=True)
    ]
