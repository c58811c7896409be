"""Folds that leave sources out: one of each class at a time, and with it the whole hospital."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from covidnet.data.sources import SMALLEST, UNKNOWN, merge_small
from covidnet.data.split import Split, seeded_split


@dataclass(frozen=True)
class Fold:
    """A split whose test is of sources that no other image is of."""

    number: int  # from 1
    classes: list[str]  # that take part, in the order of their labels
    dropped: list[str]  # that keep too few images to train and validate
    held_out: dict[str, dict[str, int]]  # tested class -> source -> its test images
    linked: int  # images of other sources that are left out because they are linked to one held out
    split: Split  # numbers of the images


def name_sources(sources: Sequence[str], labels: Sequence[int], smallest: int = SMALLEST) -> list[str]:
    """Return the source by which each image is told: those with fewer than ``smallest`` images of its class are merged.

    Images without a source stay "unknown", however few: they are of no one source.
    """
    merged = merge_small(sources, labels, smallest)
    return [source if source == UNKNOWN else name for source, name in zip(sources, merged, strict=True)]


def count_sources(names: Sequence[str], labels: Sequence[int], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the images of each source of each class, most first, ties by name."""
    counts = Counter(zip(labels, names, strict=True))
    ordered = sorted(counts, key=lambda pair: (-counts[pair], pair[1]))
    return {name: {of: counts[own, of] for own, of in ordered if own == label} for label, name in enumerate(classes)}


def spare_sources(counts: dict[str, dict[str, int]], smallest: int = SMALLEST) -> dict[str, list[str]]:
    """Return the sources that each class can spare, one at a time, from `count_sources`.

    Those with ``smallest`` or more images, where there are two or more of them: of one alone nothing would be left to
    learn the class from. Images of unknown source are none: they may be of one in the training.
    """
    large = {
        name: [source for source, count in held.items() if count >= smallest and source != UNKNOWN]
        for name, held in counts.items()
    }
    return {name: sources if len(sources) > 1 else [] for name, sources in large.items()}


def draw_folds(
    paths: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[int],
    sources: Sequence[str],
    classes: Sequence[str],
    *,
    seed: int,
    val_fraction: float,
    smallest: int = SMALLEST,
) -> tuple[list[Fold], dict[int, str]]:
    """Leave out source i of each class in fold i, beginning again where a class has fewer than another.

    Images of a held-out source are in the test or, where their class is not tested, nowhere; so are those that a group
    links to one of them. What is left is split into training and validation as `seeded_split` does. A class that keeps
    fewer than two groups is dropped from its fold.

    Args:
        paths: N paths.
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number for each patient or group of duplicates.
        sources: (N,) their real names, or "unknown".
        classes: Names of the C classes.
        seed: Of training and validation.
        val_fraction: Share of what is left that validates.
        smallest: Images of a class that a source needs to be held out.

    Returns:
        The folds that test two classes or more, in order; and of each other fold, by its number, why it cannot.

    Raises:
        UserError: Where a class cannot be split into training and validation images.
    """
    names = name_sources(sources, labels, smallest)
    spare = spare_sources(count_sources(names, labels, classes), smallest)
    folds, impossible = [], {}
    for index in range(max(map(len, spare.values()), default=0)):
        chosen = {(label, spare[name][index % len(spare[name])]) for label, name in enumerate(classes) if spare[name]}
        hospitals = {s for s, label, name in zip(sources, labels, names, strict=True) if (label, name) in chosen}
        away = [source in hospitals for source in sources]
        astride = {group for group, held in zip(groups, away, strict=True) if held}
        rest = [number for number, group in enumerate(groups) if group not in astride]
        left = Counter(label for label, _ in {(labels[number], groups[number]) for number in rest})
        kept = [label for label in range(len(classes)) if left[label] > 1]
        test = [n for n, label in enumerate(labels) if away[n] and label in kept and spare[classes[label]]]
        dropped = [name for label, name in enumerate(classes) if label not in kept]
        held_out = count_sources([names[n] for n in test], [labels[n] for n in test], classes)
        held_out = {name: held for name, held in held_out.items() if held}
        if len(held_out) < 2:
            gone = (
                f"without {' and '.join(sorted(hospitals))} too few images of {', '.join(dropped)} are left to train on"
            )
            impossible[index + 1] = f"{gone}, so fewer than two classes could be tested"
            continue
        rest = [number for number in rest if labels[number] in kept]
        drawn = seeded_split(
            [paths[number] for number in rest],
            [kept.index(labels[number]) for number in rest],
            [groups[number] for number in rest],
            [classes[label] for label in kept],
            seed=seed,
            val_fraction=val_fraction,
            test_per_class=0,
        )
        split = Split([rest[number] for number in drawn.train], [rest[number] for number in drawn.val], test)
        linked = sum(g in astride and not a and lab in kept for g, a, lab in zip(groups, away, labels, strict=True))
        taking_part = [classes[label] for label in kept]
        folds.append(Fold(index + 1, taking_part, dropped, held_out, linked, split))
    return folds, impossible
