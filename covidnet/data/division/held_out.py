"""Folds that leave sources out: one of each class at a time or one alone, and with it the whole hospital."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from covidnet.data.division.sources import SMALLEST, UNKNOWN, merge_small
from covidnet.data.division.split import Split, seeded_split


@dataclass(frozen=True)
class Fold:
    """A split whose test is of sources that no other image is of, and of others where ``own`` says so."""

    number: int  # from 1
    classes: list[str]  # that take part, in the order of their labels
    dropped: list[str]  # that keep too few images to train, validate and, where they should be, be tested on
    held_out: dict[str, dict[str, int]]  # class that is tested on unseen sources -> source -> its test images
    own: dict[str, int]  # class that is tested on the sources that it is learned from -> its test images
    trained: dict[str, dict[str, int]]  # class -> source, none merged -> its training images
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
    together: bool,
    seed: int,
    val_fraction: float,
    test_per_class: int,
    smallest: int = SMALLEST,
) -> tuple[list[Fold], dict[int, str]]:
    """Leave sources out, one of each class together or each alone; folds of the same hospitals are one.

    Together, fold i leaves out source i of each class, beginning again where a class has fewer than another. Alone, it
    leaves out the i-th of all sources that a class can spare, and the other classes are tested on a seeded holdout of
    their own sources.

    Images of a held-out source are in the test or, where their class is not tested on it, nowhere; so are those that a
    group links to one of them. What is left is split into training and validation as `seeded_split` does. A class that
    keeps fewer than two groups, or too few images for the test that it should have, is dropped from its fold.

    Args:
        paths: N paths.
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number for each patient or group of duplicates.
        sources: (N,) their real names, or "unknown".
        classes: Names of the C classes.
        together: Whether each fold leaves out one source of each class, or one alone.
        seed: Of training and validation, and of the holdout.
        val_fraction: Share of what is left that validates.
        test_per_class: Images of each class that is tested on its own sources.
        smallest: Images of a class that a source needs to be held out.

    Returns:
        The folds that test two classes or more, in order; and of each other fold, by its number, why it cannot.

    Raises:
        UserError: Where a class cannot be split into training, validation and, on its own sources, test images.
    """
    names = name_sources(sources, labels, smallest)
    spare = spare_sources(count_sources(names, labels, classes), smallest)
    images = _Images(paths, labels, groups, sources, names, classes, spare)
    draw = _Draw(together, seed, val_fraction, test_per_class, smallest)
    of_source: dict[tuple[str, str], set[str]] = {}  # hospitals by class and the name that they go by there
    for label, name, source in zip(labels, names, sources, strict=True):
        of_source.setdefault((classes[label], name), set()).add(source)
    choices = _choices(spare, together=together)
    chosen = [frozenset(source for pair in pairs for source in of_source[pair]) for pairs in choices]
    folds, impossible = [], {}
    for number, hospitals in enumerate(dict.fromkeys(chosen), start=1):
        fold = _fold(number, hospitals, images, draw)
        if isinstance(fold, Fold):
            folds.append(fold)
        else:
            impossible[number] = fold
    return folds, impossible


@dataclass(frozen=True)
class _Images:
    """What is known of the N images."""

    paths: Sequence[str]
    labels: Sequence[int]
    groups: Sequence[int]
    sources: Sequence[str]
    names: Sequence[str]  # by which the sources are told
    classes: Sequence[str]
    spare: dict[str, list[str]]  # sources that each class can spare

    def counted(self, named: Sequence[str], numbers: Sequence[int]) -> dict[str, dict[str, int]]:
        """Return how many of some images are of each source, by class; ``named`` holds the sources of all."""
        labels = [self.labels[number] for number in numbers]
        counts = count_sources([named[number] for number in numbers], labels, self.classes)
        return {name: held for name, held in counts.items() if held}


@dataclass(frozen=True)
class _Draw:
    """How the images are divided."""

    together: bool
    seed: int
    val_fraction: float
    test_per_class: int
    smallest: int

    def cut(self, images: _Images, numbers: Sequence[int], test_per_class: int) -> Split:
        """Split some of the images."""
        present = sorted({images.labels[number] for number in numbers})
        drawn = seeded_split(
            [images.paths[number] for number in numbers],
            [present.index(images.labels[number]) for number in numbers],
            [images.groups[number] for number in numbers],
            [images.classes[label] for label in present],
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_per_class=test_per_class,
        )
        return Split(*([numbers[index] for index in held] for _, held in drawn.items()))


def _fold(number: int, hospitals: frozenset[str], images: _Images, draw: _Draw) -> Fold | str:
    """Return the fold that leaves these hospitals out, or why it can test too few classes."""
    labels, groups, classes, together = images.labels, images.groups, images.classes, draw.together
    away = [source in hospitals for source in images.sources]
    astride = {group for group, held in zip(groups, away, strict=True) if held}
    rest = [n for n, group in enumerate(groups) if group not in astride]
    left = Counter(label for label, _ in {(labels[n], groups[n]) for n in rest})
    lost = Counter(label for label, held in zip(labels, away, strict=True) if held)
    kept = [label for label in range(len(classes)) if left[label] > 1]
    unseen = [label for label in kept if images.spare[classes[label]] and lost[label] >= draw.smallest]
    free: list[int] = []  # to be tested on their own sources: what is not linked to a class that is tested unseen
    if not together:
        tied = {groups[n] for n in rest if labels[n] in unseen}
        enough = Counter(labels[n] for n in rest if groups[n] not in tied)
        kept = [label for label in kept if label in unseen or enough[label] >= draw.test_per_class + 2]
        free = [n for n in rest if groups[n] not in tied and labels[n] in kept]
    dropped = [name for label, name in enumerate(classes) if label not in kept]
    if not unseen or len({*unseen, *(labels[n] for n in free)}) < 2:
        lacking = f"too few images of {', '.join(dropped)} are left to train on{'' if together else ' and to test'}"
        could = "fewer than two classes could be tested" if unseen else "no class could be tested on unseen sources"
        return f"without {' and '.join(sorted(hospitals))} {lacking}, so {could}"
    held_out = [n for n, label in enumerate(labels) if away[n] and label in unseen]
    own = draw.cut(images, free, draw.test_per_class).test
    split = draw.cut(images, sorted({n for n in rest if labels[n] in kept}.difference(own)), 0)
    of_own = Counter(labels[n] for n in own)
    return Fold(
        number=number,
        classes=[classes[label] for label in kept],
        dropped=dropped,
        held_out=images.counted(images.names, held_out),
        own={classes[label]: of_own[label] for label in sorted(of_own)},
        trained=images.counted(images.sources, split.train),
        linked=sum(g in astride and not a and lab in kept for g, a, lab in zip(groups, away, labels, strict=True)),
        split=replace(split, test=sorted(held_out + own)),
    )


def _choices(spare: dict[str, list[str]], *, together: bool) -> list[list[tuple[str, str]]]:
    """Return the class and source of all that each fold leaves out."""
    if not together:
        return [[(name, source)] for name, sources in spare.items() for source in sources]
    number = max(map(len, spare.values()), default=0)
    return [[(name, sources[i % len(sources)]) for name, sources in spare.items() if sources] for i in range(number)]
