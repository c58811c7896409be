"""What ``loso`` can leave out of a folder, and what that cannot tell, in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from covidnet.data.division.held_out import Fold, count_sources, draw_folds, name_sources, spare_sources
from covidnet.data.division.metadata import linked_groups
from covidnet.data.division.sources import OTHERS, SMALLEST, UNKNOWN, sources_of
from covidnet.data.division.split import TEST_PREFIX
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError


@dataclass(frozen=True)
class Plan:
    """What can be left out of a folder.

    Attributes:
        counts: Class -> source -> images, most first.
        folds: By their number, those that test two classes or more.
        impossible: Of each other fold, why it cannot.
        patients: A number for each image, by its path; those that are linked share it.
        sources: Of each image, by its path, the name by which its source is told.
    """

    counts: dict[str, dict[str, int]]
    folds: dict[int, Fold]
    impossible: dict[int, str]
    patients: dict[str, int]
    sources: dict[str, str]


def make_plan(data: Radiographs, *, together: bool) -> Plan:
    """Return what can be left out of a folder, one source of each class together or one alone.

    Raises:
        UserError: Where no fold can test two classes; it says of each class which sources it has, and why.
    """
    if not together and not data.test_per_class:
        raise UserError(
            "loso together=false tests the classes that lose no source on data.test_per_class images of their own: "
            "give 1 or more (now 0)."
        )
    rows = data.metadata.rows if data.metadata else {}

    def counted(paths: Sequence[str], labels: Sequence[int]) -> dict[str, dict[str, int]]:
        return count_sources(name_sources(sources_of(paths, rows), labels, SMALLEST), labels, data.classes)

    counts = counted(data.folder.paths, data.folder.targets)
    able = sum(map(bool, spare_sources(counts, SMALLEST).values()))
    if able < (2 if together else 1):  # known before an image is decoded
        raise _refusal(data, counts, {}, together=together)
    own = sum(not path.startswith(TEST_PREFIX) for path in data.images.paths)
    paths, labels = data.images.paths[:own], data.images.labels[:own]
    groups = linked_groups(paths, rows, data.duplicates[(data.duplicates < own).all(axis=1)])
    sources = sources_of(paths, rows)
    counts = counted(paths, labels)  # of the files that can be read
    folds, impossible = draw_folds(
        paths,
        labels,
        groups,
        sources,
        data.classes,
        together=together,
        seed=data.seed,
        val_fraction=data.val_fraction,
        test_per_class=data.test_per_class,
        smallest=SMALLEST,
    )
    if not folds:
        raise _refusal(data, counts, impossible, together=together)
    return Plan(
        counts,
        {fold.number: fold for fold in folds},
        impossible,
        dict(zip(paths, groups, strict=True)),
        dict(zip(paths, name_sources(sources, labels, SMALLEST), strict=True)),
    )


def notes_of(plan: Plan) -> list[str]:
    """Return what the folds of a plan cannot tell, and why, a sentence each."""
    notes = []
    for name, sources in spare_sources(plan.counts, SMALLEST).items():
        held = plan.counts[name]
        if not sources:
            why = f"{_told(held)}: {_why(held)}"
            notes.append(f"{name} cannot be tested on an unseen source, but takes part in training. {why}.")
        elif 0 < held.get(OTHERS, 0) < SMALLEST:
            notes.append(f"{name} has {_images(held[OTHERS])} of other sources, too few to be held out as unseen.")
        if held.get(UNKNOWN):
            notes.append(
                f"{name} has {_images(held[UNKNOWN])} without a source. They may be of any, so they are never left "
                "out, and a source that is held out may not be wholly unseen."
            )
    return [*notes, *(f"Fold {number} is left out: {why}." for number, why in plan.impossible.items())]


def notes_of_fold(fold: Fold) -> list[str]:
    """Return what one fold cannot tell, and why, a sentence each."""
    notes = []
    if fold.dropped:
        lacking = "without the sources held out, too few images of it are left to train on"
        test = " and, data.test_per_class of them, to test" if fold.own else ""
        notes.append(f"Fold {fold.number} does without {' and '.join(fold.dropped)}: {lacking}{test}.")
    if fold.linked:
        why = "linked to an image held out, by patient, group or duplicate"
        notes.append(f"Fold {fold.number} leaves {_images(fold.linked)} out: {why}.")
    only = {name: next(iter(held)) for name, held in fold.trained.items() if len(held) == 1 and UNKNOWN not in held}
    if only:
        learned = {source: [name for name in only if only[name] == source] for source in only.values()}
        facts = " and ".join(
            f"every training image of {' and '.join(n)} is of {source}" for source, n in learned.items()
        )
        holders = Counter(source for held in fold.trained.values() for source in held)
        one = ": class and source are one there" if all(holders[source] == 1 for source in only.values()) else ""
        notes.append(f"In fold {fold.number} {facts}{one}, so the model may have learned the source.")
    return notes


def _refusal(
    data: Radiographs, counts: dict[str, dict[str, int]], impossible: dict[int, str], *, together: bool
) -> UserError:
    spare = spare_sources(counts, SMALLEST)
    able = [name for name, sources in spare.items() if sources]
    lines = [f"  {name}: {_told(held)}: {_why(held)}." for name, held in counts.items()]
    if impossible:
        known = "".join(f"\nFold {number}: {why}." for number, why in impossible.items())
    elif able:
        known = (
            f"\nWith {able[0]} alone tested, how often it is missed at an unseen hospital could be measured, but not "
            "how often another class is taken for it: its specificity there cannot be known. together=false measures "
            "the former, beside images of the other classes' own sources."
        )
    else:
        known = ""
    needed = (
        "loso needs two classes of two sources each" if together else "loso together=false needs a class of two sources"
    )
    table = f"in {data.metadata.origin}" if data.metadata else "by a table: there is none (data.metadata)"
    return UserError(
        f"{needed}, named {table}, with {SMALLEST} images or more; what "
        f"{data.place} holds does not tell how a model does at an unseen hospital:\n" + "\n".join(lines) + f"{known}\n"
        "Add images of other sources, and name these in the table's column source."
    )


def _why(held: Mapping[str, int]) -> str:
    """Return why a class of these sources can be tested on unseen ones, or why not."""
    large = [source for source, count in held.items() if count >= SMALLEST and source != UNKNOWN]
    if len(large) > 1:
        return f"{len(large)} can be left out, one at a time"
    if set(held) == {UNKNOWN}:
        return "no source is known"
    if not large:
        return f"none has {SMALLEST} images or more"
    if len(held) == 1:
        return "its only source, without which there is nothing to learn it from"
    return f"only {large[0]} has {SMALLEST} images or more, without which too few are left to learn it from"


def _told(held: Mapping[str, int]) -> str:
    return ", ".join(f"{source} ({_images(count)})" for source, count in held.items())


def listed(fold: Fold) -> str:
    """Return what a fold is tested on."""
    unseen = [f"{name} of {_told(held)}" for name, held in fold.held_out.items()]
    return "; ".join([*unseen, *(f"{name} of its own sources ({_images(count)})" for name, count in fold.own.items())])


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
