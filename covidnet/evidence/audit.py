"""What is in a folder of radiographs, before any training: checks with a verdict and a sentence each."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from covidnet.data.division.duplicates import Duplicates, find_duplicates
from covidnet.data.division.metadata import NAME, Metadata, find_metadata, linked_groups, read_metadata, write_metadata
from covidnet.data.folder import RadiographFolder
from covidnet.data.listing import Listing
from covidnet.data.walk import IMAGES
from covidnet.errors import UserError
from covidnet.evaluation.probes import cramers_v, probe, views
from covidnet.evidence.inspection import Traits, inspect_files

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
VERDICTS = (PASS, WARN, FAIL)  # from good to bad
COLOURS = {PASS: "green", WARN: "yellow", FAIL: "red"}

# Images a class as the releases were published: COVID-19, NORMAL, Viral Pneumonia (and Lung Opacity).
RELEASES = {
    "the first release": (219, 1341, 1345),
    "the first update": (1200, 1341, 1345),
    "the second update": (3616, 10192, 1345),
    "the second update with Lung Opacity": (3616, 10192, 1345, 6012),
}
DRAWN = "drawn radiographs (phantoms)"
_PHANTOM = re.compile(r"/[^/]+ phantom \(\d+\)\.png$")

BLANK = 16  # grey values between the 1st and the 99th percentile: an image of fewer shows nothing
DARK, BRIGHT = 90, 165  # a 99th percentile below, or a 1st above: the exposure is odd
TOLD, TELLING = 0.60, 0.75  # AUROC from which on a probe is a warning, a failure; 0.5 is chance
RELATED, BOUND = 0.1, 0.5  # the same for Cramér's V of class and source
LISTED = 20  # so many files or groups are named in the details


@dataclass(frozen=True)
class Check:
    """One finding; ``details`` are plain types."""

    name: str
    verdict: str
    sentence: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """The findings, and the table that keeps together what belongs together."""

    report: dict[str, Any]  # plain types: what --json writes
    rows: list[dict[str, str]]  # path, patient, group, source
    metadata: Path | None  # the table that was read


class Contents(NamedTuple):
    """The readable images of a folder and what is known of them, one entry an image."""

    paths: list[str]
    labels: NDArray[np.int64]
    classes: list[str]
    traits: list[Traits]
    rows: list[dict[str, str]]  # of the table; empty where it says nothing
    duplicates: Duplicates
    groups: NDArray[np.int64]  # linked by patient, group or likeness


def audit(root: Path, classes: Sequence[str] | None = None, metadata: str | None = None) -> Audit:
    """Inspect the folder ``root`` and return what was found; nothing is written.

    Args:
        root: Folder that holds one folder of radiographs a class, in any release's layout.
        classes: Which class folders, all where left out.
        metadata: Table of patients, groups and sources; "none" for no table; where left out, the one that training
            would use.

    Raises:
        UserError: Where the folder or the table is none.
    """
    return audit_listing(RadiographFolder(root, classes, key="ROOT"), metadata)


def audit_listing(folder: Listing, metadata: str | None = None) -> Audit:
    """Inspect the images of any layout, else as ``audit``."""
    root = folder.root
    table = _read_table(root, folder.paths, metadata)
    inspected = list(inspect_files(root, folder.paths))
    unreadable = {path: why for path, why in zip(folder.paths, inspected, strict=True) if isinstance(why, str)}
    contents = _contents(folder, inspected, table)
    release = _release(folder)
    report: dict[str, Any] = {
        "root": str(root),
        "release": release,
        "layout": _layout(folder),
        "counts": folder.class_counts,
        "metadata": str(table.file) if table else None,
    }
    checks = [
        _check_files(folder, unreadable),
        _check_format(contents),
        _check_exposure(contents),
        _check_duplicates(contents),
        _check_labels(contents),
        _check_patients(contents),
        _check_sources(contents),
        *_check_probes(contents),
    ]
    verdict = max((check.verdict for check in checks), key=VERDICTS.index)
    report |= {"verdict": verdict, "checks": [vars(check) for check in checks]}
    return Audit(report, _table_rows(contents), table.file if table else None)


def _read_table(root: Path, paths: Sequence[str], given: str | None) -> Metadata | None:
    if given == "none":
        return None
    file = Path(given).expanduser() if given else find_metadata(root)
    if file is None:
        return None
    table = read_metadata(file, root, paths)
    if given and not table.rows:
        raise UserError(
            f"{file} names {table.unmatched} images, but none of those in {root}. Its paths must be relative to ROOT "
            "or to the table's own folder. Change --metadata (or none)."
        )
    return table if table.rows else None


def _contents(folder: Listing, inspected: list[Traits | str], table: Metadata | None) -> Contents:
    kept = [(index, traits) for index, traits in enumerate(inspected) if not isinstance(traits, str)]
    if not kept:
        raise UserError(f"None of the {len(inspected)} images in {folder.root} can be read: {inspected[0]}.")
    paths = [folder.paths[index] for index, _ in kept]
    traits = [of_image for _, of_image in kept]
    known = table.rows if table else {}
    rows = [known.get(path, _drawn_row(path) if _is_drawn(path) else {}) for path in paths]
    duplicates = _all_duplicates(traits)
    groups = linked_groups(paths, dict(zip(paths, rows, strict=True)), duplicates.pairs)
    labels = np.array([folder.targets[index] for index, _ in kept], dtype=np.int64)
    return Contents(paths, labels, list(folder.classes), traits, rows, duplicates, np.array(groups, dtype=np.int64))


def _all_duplicates(traits: Sequence[Traits]) -> Duplicates:
    """Return the pairs that look alike and those whose pixels are the same, blank ones among them."""
    found = find_duplicates(np.stack([of_image.thumbnail for of_image in traits]))
    first: dict[str, int] = {}
    same = [(first.setdefault(of_image.pixels, index), index) for index, of_image in enumerate(traits)]
    exact = {pair: 1.0 for pair in same if pair[0] != pair[1]}
    alike = {(int(a), int(b)): float(r) for (a, b), r in zip(found.pairs, found.correlations, strict=True)}
    pairs = sorted({**alike, **exact}.items())
    return Duplicates(
        np.array([pair for pair, _ in pairs], dtype=np.int64).reshape(-1, 2),
        np.array([correlation for _, correlation in pairs], dtype=np.float32),
    )


def _release(folder: Listing) -> str | None:
    """Return which published release has these numbers of images, if any."""
    if all(_is_drawn(path) for path in folder.paths):
        return DRAWN
    counts = sorted(folder.class_counts.values())
    return next((name for name, known in RELEASES.items() if sorted(known) == counts), None)


def _layout(folder: Listing) -> str:
    inner = {path.split("/")[1:2] == [IMAGES] for path in folder.paths}
    return "CLASS/*" if inner == {False} else f"CLASS/{IMAGES}/*" if inner == {True} else "mixed"


def _is_drawn(path: str) -> bool:
    return _PHANTOM.search(path) is not None


def _drawn_row(path: str) -> dict[str, str]:
    return {"patient": path, "source": "drawn"}  # each is drawn by itself


def _check_files(folder: Listing, unreadable: dict[str, str]) -> Check:
    name = "files"
    total, left = len(folder.paths), len(folder.ignored)
    details = {"unreadable": unreadable, "ignored": dict(folder.ignored[:LISTED]), "ignored_count": left}
    counts = ", ".join(f"{number:,} {of_class}" for of_class, number in folder.class_counts.items())
    release = _release(folder)
    known = (
        f"as many as {release} has" if release and release != DRAWN else release or "the numbers of no known release"
    )
    aside = f" {left} other files or folders are left out." if left else ""
    if unreadable:
        first, why = next(iter(unreadable.items()))
        return Check(
            name,
            FAIL,
            f"{len(unreadable)} of {total:,} images cannot be read ({first} {why}): mend or remove them, or train with "
            f"data.on_error=skip.{aside}",
            details,
        )
    return Check(name, PASS, f"All {total:,} images can be read: {counts}; {known}.{aside}", details)


def _check_format(contents: Contents) -> Check:
    """Tell whether the kind of file gives the class away: mode and size."""
    kinds = [f"{traits.mode} {traits.size[0]}x{traits.size[1]}" for traits in contents.traits]
    sides = np.array([traits.size for traits in contents.traits])
    strength = cramers_v(_table(contents, kinds)[1])
    shapes = f"{_extent(sides[:, 0])} wide, {_extent(sides[:, 1])} high"
    coloured = sum(traits.coloured for traits in contents.traits)
    details = {
        "cramers_v": strength,
        "modes": dict(Counter(traits.mode for traits in contents.traits)),
        "coloured": coloured,
        "width": [int(sides[:, 0].min()), int(sides[:, 0].max())],
        "height": [int(sides[:, 1].min()), int(sides[:, 1].max())],
        "kinds": dict(Counter(kinds).most_common(LISTED)),
    }
    tinted = f" {coloured:,} are coloured." if coloured else ""
    if strength >= BOUND:
        return Check(
            "format",
            WARN,
            f"Mode and size of a file ({shapes}) go with its class (Cramér's V {strength:.2f}): the classes were made "
            f"in different ways.{tinted}",
            details,
        )
    return Check("format", PASS, f"Mode and size ({shapes}) do not tell the class.{tinted}", details)


def _check_exposure(contents: Contents) -> Check:
    shares = np.stack([traits.histogram for traits in contents.traits]).cumsum(axis=1)  # (N, 256)
    low, high = (shares >= 0.01 - 1e-6).argmax(axis=1), (shares >= 0.99 - 1e-6).argmax(axis=1)
    blank = high - low < BLANK
    odd = ~blank & ((high < DARK) | (low > BRIGHT))
    names = {
        kind: [path for path, flagged in zip(contents.paths, flags, strict=True) if flagged]
        for kind, flags in (("blank", blank), ("odd", odd))
    }
    details = {kind: {"count": len(paths), "paths": paths[:LISTED]} for kind, paths in names.items()}
    if blank.any() or odd.any():
        return Check(
            "exposure",
            WARN,
            f"{len(names['blank'])} images are blank and {len(names['odd'])} nearly black or nearly white "
            f"({_few([*names['blank'], *names['odd']])}): look at them.",
            details,
        )
    return Check("exposure", PASS, "No image is blank, nearly black or nearly white.", details)


def _check_duplicates(contents: Contents) -> Check:
    """Report the groups of images that show one radiograph."""
    groups = _duplicate_groups(contents)
    linked = sum(map(len, groups))
    files = Counter(traits.pixels for traits in contents.traits)
    surplus = sum(number - 1 for number in files.values())
    details = {
        "groups": [[contents.paths[index] for index in group] for group in groups],
        "images": linked,
        "exact_surplus": surplus,
        "pairs": [
            [contents.paths[a], contents.paths[b], round(float(correlation), 3)]
            for (a, b), correlation in zip(contents.duplicates.pairs, contents.duplicates.correlations, strict=True)
        ],
    }
    if groups:
        return Check(
            "duplicates",
            WARN,
            f"{linked:,} images ({linked / len(contents.paths):.1%}) show a radiograph that another image shows too, "
            f"in {len(groups)} groups; {surplus} are exact copies. A split at random would test on what was trained "
            "on; training here keeps each group on one side.",
            details,
        )
    return Check("duplicates", PASS, "No two images show one radiograph.", details)


def _check_labels(contents: Contents) -> Check:
    """Report radiographs that stand in two classes: one of the labels is wrong."""
    across = [group for group in _duplicate_groups(contents) if len(set(contents.labels[group].tolist())) > 1]
    details = {"groups": [[contents.paths[index] for index in group] for group in across]}
    if across:
        return Check(
            "labels",
            FAIL,
            f"{len(across)} radiographs stand in more than one class ({_few(details['groups'][0])}): a label is wrong.",
            details,
        )
    return Check("labels", PASS, "No radiograph stands in two classes.", details)


def _check_patients(contents: Contents) -> Check:
    patients = [row.get("patient", "") for row in contents.rows]
    named = Counter(patient for patient in patients if patient)
    unknown, several = patients.count(""), sum(number > 1 for number in named.values())
    details = {"patients": len(named), "with_several_images": several, "images_of_unknown_patients": unknown}
    if unknown:
        return Check(
            "patients",
            WARN,
            f"The patients of {unknown:,} of {len(patients):,} images are not known: images of one person may stand in "
            "training and in test.",
            details,
        )
    return Check(
        "patients",
        PASS,
        f"All images have a patient: {len(named):,}, {several:,} of them with several images.",
        details,
    )


def _check_sources(contents: Contents) -> Check:
    sources = [row.get("source", "") for row in contents.rows]
    names, table = _table(contents, sources)
    unknown = sources.count("")
    strength = cramers_v(table)
    details = {
        "cramers_v": strength if len(names) else None,
        "table": {
            of_class: dict(zip(names, numbers, strict=True))
            for of_class, numbers in zip(contents.classes, table.tolist(), strict=True)
        },
        "images_of_unknown_source": unknown,
    }
    if not names:
        return Check(
            "sources",
            WARN,
            "No source is known: whether the classes come from different hospitals cannot be said from a table "
            "(metadata.csv, column source).",
            details,
        )
    own = [
        of_class
        for of_class, here in zip(contents.classes, table > 0, strict=True)
        if here.any() and (table[:, here].sum() == table[contents.classes.index(of_class)].sum())
    ]
    apart = f" No source of {_few(own)} gave images of another class." if own and len(names) > 1 else ""
    rest = f" {unknown:,} images have no source." if unknown else ""
    measure = f"Cramér's V of class and source is {strength:.2f}"
    if strength >= BOUND:
        return Check("sources", FAIL, f"{measure}: who knows the source knows much of the class.{apart}{rest}", details)
    if strength >= RELATED or unknown:
        return Check("sources", WARN, f"{measure}.{apart}{rest}", details)
    return Check("sources", PASS, f"{measure}: the source does not tell the class.", details)


def _check_probes(contents: Contents) -> Iterable[Check]:
    """Report how well the class is told by what is no sign of disease."""
    thumbnails = np.stack([traits.thumbnail for traits in contents.traits])
    histograms = np.stack([traits.histogram for traits in contents.traits])
    seen = views(thumbnails, histograms)
    found = {name: probe(features, contents.labels, contents.groups) for name, features in seen.items()}
    whole = found["whole"]
    for name, what in (
        ("lungs_covered", "an image with its lungs covered"),
        ("border", "the outermost border of an image"),
        ("histogram", "the grey values of an image, wherever they are,"),
    ):
        result = found[name]
        if result is None or whole is None:
            yield Check(name, WARN, "A class has too few independent images to tell.")
            continue
        low, high = result["interval"]
        verdict = FAIL if low >= TELLING else WARN if low >= TOLD else PASS
        meaning = {
            FAIL: "A model can score without looking at the lungs.",
            WARN: "Part of a model's score may come from there.",
            PASS: "That is about chance.",
        }[verdict]
        present = [contents.classes[label] for label in np.unique(contents.labels)]  # with an image that can be read
        by_class = dict(zip(present, result["classes"], strict=True))
        yield Check(
            name,
            verdict,
            f"A linear model tells the class from {what} with an AUROC of {result['auroc']:.2f} "
            f"[{low:.2f}, {high:.2f}] (whole image {whole['auroc']:.2f}, chance 0.50). {meaning}",
            {**result, "classes": by_class, "whole": whole["auroc"], "whole_interval": whole["interval"]},
        )


def _duplicate_groups(contents: Contents) -> list[list[int]]:
    """Return the images that a chain of duplicates links, groups of two and more, in the order of the paths."""
    members: dict[int, list[int]] = {}
    for index, group in enumerate(linked_groups(contents.paths, {}, contents.duplicates.pairs)):
        members.setdefault(group, []).append(index)
    return [group for group in members.values() if len(group) > 1]


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
            "path": path,
            "patient": row.get("patient", ""),
            "group": names[number],
            "source": row.get("source", ""),
        }
        for path, row, number in zip(contents.paths, contents.rows, numbers, strict=True)
    ]


def write_table(audited: Audit, root: Path, out: Path | None, *, force: bool) -> tuple[Path | None, str]:
    """Write the metadata table to ``out``, or else to the root, where training finds it; say what was done.

    A table that is there is left as it is, unless ``force`` is given.
    """
    file = out or root / NAME
    if file.exists() and not force:
        return None, f"{file} is there already and was left as it is; --force writes it anew."
    try:
        write_metadata(file, audited.rows)
    except OSError as error:
        return None, f"The table was not written: {file}: {error.strerror or error}. Give --out FILE."
    return file, f"Patients, groups and sources of {len(audited.rows):,} images: {file}"


def _table(contents: Contents, values: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct ``values`` and how often each class has each (C, V); empty values are left out."""
    names = sorted(set(values) - {""})
    number = {name: column for column, name in enumerate(names)}
    table = np.zeros((len(contents.classes), len(names)), dtype=np.int64)
    for label, value in zip(contents.labels, values, strict=True):
        if value:
            table[label, number[value]] += 1
    return names, table


def _extent(sides: NDArray[np.int64]) -> str:
    return f"{sides.min()}" if sides.min() == sides.max() else f"{sides.min()} to {sides.max()} pixels"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def print_audit(report: dict[str, Any], told: str) -> None:
    """Print the checks as a table, and where the classes come from as another."""
    console = Console(soft_wrap=False)
    checks = Table("check", "verdict", "what was found", title=report["root"], box=SIMPLE_HEAD, title_justify="left")
    for check in report["checks"]:
        checks.add_row(check["name"].replace("_", " "), _coloured(check["verdict"]), escape(check["sentence"]))
    console.print(checks)
    sources = next(check["details"]["table"] for check in report["checks"] if check["name"] == "sources")
    names = list(next(iter(sources.values())))
    if names:
        table = Table("source", *(escape(name) for name in sources), box=SIMPLE_HEAD)
        for name in names:
            table.add_row(escape(name), *(f"{numbers[name]:,}" for numbers in sources.values()))
        console.print(table)
    console.print(f"Verdict: {_coloured(report['verdict'])}. {escape(told)}")


def _coloured(verdict: str) -> str:
    return f"[bold {COLOURS[verdict]}]{verdict}[/]"
