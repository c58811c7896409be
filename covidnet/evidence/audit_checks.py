"""The checks of an audit: each looks at one thing and says what it found, with a verdict."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from covidnet.data.division.duplicates import Duplicates
from covidnet.data.division.metadata import linked_groups
from covidnet.data.listing import Labelled
from covidnet.data.walk import told_by_reason
from covidnet.errors import some
from covidnet.evaluation.confounding import BOUND, FAIL, NEEDED, PASS, WARN, class_by, judge
from covidnet.evaluation.probes import cramers_v, probe, views
from covidnet.evidence.inspection import Traits

VERDICTS = (PASS, WARN, FAIL)  # from good to bad
Begin = Callable[[str], None]  # is called with the name of a step as it begins
STEPS = 12  # of an audit: the search for copies, then what run_checks begins

BLANK = 16  # grey values between the 1st and the 99th percentile: an image of fewer shows nothing
DARK, BRIGHT = 90, 165  # a 99th percentile below, or a 1st above: the exposure is odd
TOLD, TELLING = 0.60, 0.75  # AUROC from which on a probe is a warning, a failure; 0.5 is chance
LISTED = 20  # so many files or groups are named in the details
FEW = 3  # so many in a sentence
MISSED = "Missed may be copies cropped by over 20 %, turned aslant by over 10 degrees or burnt out (docs/copies.md)."


@dataclass(frozen=True)
class Check:
    """One finding; ``details`` are plain types."""

    name: str
    verdict: str
    sentence: str
    details: dict[str, Any] = field(default_factory=dict)


class Contents(NamedTuple):
    """The readable images of a folder and what is known of them, one entry an image."""

    paths: list[str]
    labels: NDArray[np.int64]
    classes: list[str]
    traits: list[Traits]
    rows: Sequence[Mapping[str, str]]  # of the table; empty where it says nothing
    duplicates: Duplicates
    groups: NDArray[np.int64]  # linked by patient, group or likeness
    lungs: NDArray[np.bool_] | None  # (N, S, S), half as wide as a thumbnail; None: the central box stands for them
    lungs_told: str  # what says where they lie


def run_checks(
    folder: Labelled,
    unreadable: dict[str, str],
    contents: Contents,
    release: str | None,
    known: Callable[[], Sequence[Check]],
    begin: Begin,
) -> list[Check]:
    """Return all checks of a folder.

    Args:
        folder: What was listed.
        unreadable: Path -> why it gives no pixels.
        contents: What could be read.
        release: How a sentence names the release that the folder holds.
        known: Does the checks that need no pixel.
        begin: Is told of each step.
    """
    sources = [row.get(NEEDED, "") for row in contents.rows]
    steps: dict[str, Callable[[], Sequence[Check]]] = {
        "files": lambda: [_check_files(folder, unreadable, release)],
        "format": lambda: [_check_format(contents)],
        "exposure": lambda: [_check_exposure(contents)],
        "duplicates": lambda: [_check_duplicates(contents)],
        "labels": lambda: [_check_labels(contents)],
        "patients and views": known,
        "sources": lambda: [check_attribute("sources", NEEDED, sources, contents)],
    }
    checks: list[Check] = []
    for name, check in steps.items():
        begin(name)
        checks += check()
    return checks + _check_probes(contents, begin)


def _check_files(folder: Labelled, unreadable: dict[str, str], release: str | None) -> Check:
    name = "files"
    total, left = len(folder.paths), len(folder.ignored)
    details = {"unreadable": unreadable, "ignored": dict(folder.ignored[:LISTED]), "ignored_count": left}
    counts = ", ".join(f"{number:,} {of_class}" for of_class, number in folder.class_counts.items())
    known = release or "the numbers of no known release"
    aside = f" {left} other files or folders are left out: {told_by_reason(folder.ignored, '; ')}." if left else ""
    if unreadable:
        first, why = next(iter(unreadable.items()))
        return Check(
            name,
            FAIL,
            f"{len(unreadable)} of {total:,} images cannot be read ({first} {why}): mend them, move them elsewhere, or "
            f"train with data.on_error=skip.{aside}",
            details,
        )
    return Check(name, PASS, f"All {total:,} images can be read: {counts}; {known}.{aside}", details)


def _check_format(contents: Contents) -> Check:
    """Tell whether the kind of file gives the class away: mode and size."""
    kinds = [f"{traits.mode} {traits.size[0]}x{traits.size[1]}" for traits in contents.traits]
    sides = np.array([traits.size for traits in contents.traits])
    strength = cramers_v(tabulate(contents, kinds)[1])
    shapes = f"{_extent(sides[:, 0])} wide, {_extent(sides[:, 1])} high"
    coloured = sum(traits.coloured for traits in contents.traits)
    turned = sum(traits.turned for traits in contents.traits)
    details = {
        "cramers_v": strength,
        "modes": dict(Counter(traits.mode for traits in contents.traits)),
        "coloured": coloured,
        "turned": turned,
        "width": [int(sides[:, 0].min()), int(sides[:, 0].max())],
        "height": [int(sides[:, 1].min()), int(sides[:, 1].max())],
        "kinds": dict(Counter(kinds).most_common(LISTED)),
    }
    tinted = f" {coloured:,} are coloured." if coloured else ""
    tinted += f" {turned:,} are turned, as their files tell it." if turned else ""
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
            f"({some([*names['blank'], *names['odd']], FEW, ', ')}): look at them.",
            details,
        )
    return Check("exposure", PASS, "No image is blank, nearly black or nearly white.", details)


def _check_duplicates(contents: Contents) -> Check:
    """Report the groups of images that show one radiograph."""
    groups = _duplicate_groups(contents)
    linked = sum(map(len, groups))
    files = Counter(traits.pixels for traits in contents.traits)
    surplus = sum(number - 1 for number in files.values())
    altered = contents.duplicates.told()
    details = {
        "groups": [[contents.paths[index] for index in group] for group in groups],
        "images": linked,
        "exact_surplus": surplus,
        "altered": contents.duplicates.counts(),
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
            f"in {len(groups)} groups; {surplus} are exact copies{f', {altered}' if altered else ''}. A split at "
            f"random would test on what was trained on; training here keeps each group on one side. {MISSED}",
            details,
        )
    return Check("duplicates", PASS, f"No two images show one radiograph. {MISSED}", details)


def _check_labels(contents: Contents) -> Check:
    """Report radiographs that stand in two classes: one of the labels is wrong."""
    across = [group for group in _duplicate_groups(contents) if len(set(contents.labels[group].tolist())) > 1]
    details = {"groups": [[contents.paths[index] for index in group] for group in across]}
    if across:
        names = some(details["groups"][0], FEW, ", ")
        return Check(
            "labels",
            FAIL,
            f"{len(across)} radiographs stand in more than one class ({names}): a label is wrong.",
            details,
        )
    return Check("labels", PASS, "No radiograph stands in two classes.", details)


def check_attribute(name: str, attribute: str, names: Sequence[str], contents: Contents, before: str = "") -> Check:
    """Tell whether an attribute tells the class; what stands ``before`` begins the sentence."""
    found = class_by(names, contents.labels, contents.classes, contents.groups)
    verdict, sentence = judge(attribute, found)
    unknown = {f"images_of_unknown_{attribute}": found.pop("unknown")}
    return Check(name, verdict, f"{before}{sentence}", {**found, **unknown})


def _check_probes(contents: Contents, begin: Begin) -> list[Check]:
    """Report how well the class is told by what is no sign of disease."""
    thumbnails = np.stack([traits.thumbnail for traits in contents.traits])
    histograms = np.stack([traits.histogram for traits in contents.traits])
    seen = views(thumbnails, histograms, contents.lungs)
    found, checks = {}, []
    for name, features in seen.items():
        begin(f"what tells the class: {name.replace('_', ' ')}")
        found[name] = probe(features, contents.labels, contents.groups)
    whole = found["whole"]
    for name, what in (
        ("lungs_covered", f"an image with its lungs covered, {contents.lungs_told},"),
        ("border", "the outermost border of an image"),
        ("histogram", "the grey values of an image, wherever they are,"),
    ):
        result = found[name]
        if result is None or whole is None:
            checks.append(Check(name, WARN, "A class has too few independent images to tell."))
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
        sentence = (
            f"A linear model tells the class from {what} with an AUROC of {result['auroc']:.2f} "
            f"[{low:.2f}, {high:.2f}] (whole image {whole['auroc']:.2f}, chance 0.50). {meaning}"
        )
        details = {**result, "classes": by_class, "whole": whole["auroc"], "whole_interval": whole["interval"]}
        details |= {"lungs": contents.lungs_told} if name == "lungs_covered" else {}
        checks.append(Check(name, verdict, sentence, details))
    return checks


def _duplicate_groups(contents: Contents) -> list[list[int]]:
    """Return the images that a chain of duplicates links, groups of two and more, in the order of the paths."""
    members: dict[int, list[int]] = {}
    for index, group in enumerate(linked_groups(contents.paths, {}, contents.duplicates.pairs)):
        members.setdefault(group, []).append(index)
    return [group for group in members.values() if len(group) > 1]


def tabulate(contents: Contents, values: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
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
