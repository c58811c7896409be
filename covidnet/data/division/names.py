"""Patients whose names stand in the names of their images: found by the user's pattern, or one proposed."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from covidnet.data.listing import Labelled, Listed, Listing, with_known
from covidnet.data.spelling import composed, plain
from covidnet.data.walk import IMAGES, side_of
from covidnet.errors import UserError, require, short

KEY, ACROSS = "data.patient_pattern", "data.patient_across_classes"
LONGEST = 300  # characters of a pattern
SECONDS = 20  # that a pattern may take for all names; 100,000 of them take an ordinary one a second
SEARCH = """
import json, re, sys
pattern, names = json.load(sys.stdin)
for name in names:
    match = re.search(pattern, name)
    print(*(match.span(1) if match else (0, 0)))
"""
# Shapes that names have. Those of known data sets go first; each captures the patient.
SHAPES = (
    r"(person\d+|(?:NORMAL2-)?IM-\d+)[_-]",  # Kermany et al. 2018: person1405_bacteria_3.jpeg, IM-0115-0001.jpeg
    r"(?:^|/)(\d{8})_\d{3}\.",  # NIH ChestX-ray14: 00000013_005.png
    r"(?:^|/)(patient\d+)/",  # CheXpert: patient00001/study1/view1_frontal.jpg
    r"(?:^|/)(p\d{8})/",  # MIMIC-CXR: p10/p10000032/s50414267/...
    r"(?:^|/)([A-Za-z]+[-_]?\d+)[-_ ][^/]*$",
    r"(?:^|/)(\d+)[-_][^/]*$",
    r"([^/]+)/[^/]+/[^/]+$",  # a folder a patient, with folders of studies inside
    r"([^/]+)/[^/]+$",  # a folder a patient
)
COMMON = 0.5  # share of the images whose names have a shape, from which on it is proposed
LARGEST = 0.25  # share of these that one patient may have: more is a name that all have


def check_pattern(pattern: str | None) -> None:
    """Refuse what is no regular expression with one group; None is no pattern.

    Raises:
        UserError: Saying why.
    """
    if pattern is None:
        return
    expected = r"a regular expression with one group around the patient, such as '(person\d+)_'"
    require(len(pattern) <= LONGEST, KEY, f"{pattern[:20]}...", f"{expected}, of at most {LONGEST} characters")
    try:
        groups = re.compile(pattern).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(f"{KEY}={pattern} is no regular expression: {error}. It must be {expected}.") from error
    require(groups == 1, KEY, f"{pattern}, which has {groups} groups,", f"{expected}; (?:...) is no group")


def name_patients(listing: Listing, pattern: str, *, across: bool, within: str = "") -> Listed:
    """Return a listing whose images have the patients that their paths name, where nothing else names one.

    A name is of one person within a class; in two classes it is of two, unless it counts ``across`` them. It is never
    of one ``within`` another root. Pattern and paths are composed first: however an accent is written, the name is one.

    Raises:
        UserError: Where the pattern takes too long.
    """
    found = _search(composed(pattern), [*map(composed, listing.paths)])
    classes = [listing.classes[target] for target in listing.targets]
    names = [name if across else f"{of_class}/{name}" for name, of_class in zip(found, classes, strict=True)]
    own = [within + name if has else "" for has, name in zip(found, names, strict=True)]
    rows = {
        path: {**row, "patient": row.get("patient") or name} if name else row
        for path, name in zip(listing.paths, own, strict=True)
        if (row := listing.known.rows.get(path, {})) or name
    }
    told = [f"{KEY}={pattern}, below {listing.root}: {_joined(own)}{_unmatched(found.count(''))}."]
    shared = len(_in_several(found, classes))
    if shared and not across:
        told.append(
            f"{shared:,} of these names stand in several classes and count as a patient in each; {ACROSS}=true makes "
            "each of them one."
        )
    origin = " and ".join(filter(None, [listing.known.origin, KEY]))
    known = replace(listing.known, rows=rows, origin=origin, told=[*listing.known.told, *told])
    return with_known(listing, known)


def refuse_unmatched(pattern: str, parts: Iterable[Labelled]) -> None:
    """Refuse a pattern that finds no patient in any name, unless something else tells patients.

    Raises:
        UserError: With one of the names.
    """
    listed = list(parts)
    paths = [path for part in listed for path in part.paths]
    if paths and not any(row.get("patient") for part in listed for row in part.known.rows.values()):
        raise UserError(
            f"{KEY}={pattern} finds no patient in the {len(paths):,} names, such as {short(paths[0])}. It must match a "
            "part of a path, with one group around the patient."
        )


def propose(parts: Mapping[str, Labelled]) -> str | None:
    """Return a sentence on a pattern that finds patients in the names of the images, None where none is common.

    Args:
        parts: What the paths of each root begin with -> its images, by paths below it.
    """
    images = [
        (prefix, part.classes[target], composed(path))
        for prefix, part in parts.items()
        for path, target in zip(part.paths, part.targets, strict=True)
    ]
    classes = [of_class for _, of_class, _ in images]
    no_patient = {*map(plain, classes), IMAGES}
    for shape in SHAPES:
        search = re.compile(shape).search
        found = [match[1] if (match := search(path)) else "" for *_, path in images]
        found = ["" if plain(name) in no_patient or side_of(name) else name for name in found]
        own = [name and f"{prefix}{of_class}/{name}" for name, (prefix, of_class, _) in zip(found, images, strict=True)]
        counts = Counter(filter(None, own))
        matched = counts.total()
        largest = max(counts.values(), default=0)
        if largest < 2 or largest > LARGEST * matched or matched < COMMON * len(images):
            continue
        example = next(path for name, (*_, path) in zip(own, images, strict=True) if counts[name] > 1)
        shared = len(_in_several(found, classes))
        across = f"; {shared:,} of them stand in several classes ({ACROSS}=true makes each one)" if shared else ""
        return (
            f"No patient is known, but names such as {example} look as if they told them: {KEY}='{shape}' would find "
            f"{_joined(own)}{_unmatched(len(images) - matched)}{across}. It is not applied by itself."
        )
    return None


def _search(pattern: str, paths: Sequence[str]) -> list[str]:
    """Return what the group of a pattern finds in each path, "" where nothing.

    In a process of its own: a pattern can need longer than the world will stand, and nothing else in Python ends it.
    """
    command, given = [sys.executable, "-I", "-S", "-c", SEARCH], json.dumps([pattern, list(paths)])
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise UserError(f"{KEY}={pattern} cannot be searched for: {error.stderr.splitlines()[-1]}.") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{KEY}={pattern} takes more than {SECONDS} s for {len(paths):,} names: it has too many ways to match. "
            r"Leave out repetitions inside repetitions; say what must not come, such as ([^_]+)_ instead of (.+)_."
        ) from error
    spans = [map(int, line.split()) for line in done.stdout.splitlines()]
    return [path[slice(*span)] for path, span in zip(paths, spans, strict=True)]


def _joined(names: Iterable[str]) -> str:
    """Return how many patients the images have that have one, in words."""
    counts = Counter(filter(None, names))
    share = sum(count > 1 for count in counts.values()) / max(1, len(counts))
    return f"{len(counts):,} patients of {counts.total():,} images, {share:.0%} of them with several"


def _unmatched(count: int) -> str:
    return f"; {count:,} names do not match" if count else ""


def _in_several(names: Sequence[str], classes: Sequence[str]) -> set[str]:
    """Return the names that stand in more than one class."""
    held = {(name, of_class) for name, of_class in zip(names, classes, strict=True) if name}
    return {name for name, count in Counter(name for name, _ in held).items() if count > 1}
