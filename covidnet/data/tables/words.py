"""What a row of a table says of the classes, and what the rows of one image say together."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from covidnet.data.spelling import folded
from covidnet.data.tables.keys import Disagree, TableKeys
from covidnet.errors import UserError, did_you_mean, some

# Why an image is of no class.
NONE, SEVERAL, UNCERTAIN = "none of the labels", "labels of several classes", "uncertain labels alone"
UNLABELLED, CONTRADICTED = "no label", "rows that disagree"


@dataclass(frozen=True)
class Word:
    """What one row says: the numbers of the classes that it is sure of and, where there are none, why."""

    classes: frozenset[int]
    why: str


@dataclass(frozen=True)
class Labels:
    """What a table says of the classes.

    Attributes:
        names: Of the classes, in the order of their numbers.
        words: What each row says.
        columns: The numbers of the columns that say it.
        lacking: Labels of a class that the table does not have; another one of that class it has.
        unwanted: Label -> rows, of the labels that are of no class.
    """

    names: list[str]
    words: list[Word]
    columns: list[int]
    lacking: list[str]
    unwanted: Counter[str]


def wanted_labels(classes: Sequence[str] | None, keys: TableKeys) -> dict[str, str]:
    """Return label -> class of those that the user names; nothing where none is named.

    Raises:
        UserError: Where ``data.classes`` names what ``data.labels`` lacks.
    """
    if not keys.labels:
        return {name: name for name in classes or []}
    missing = [name for name in classes or [] if name not in keys.labels]
    if missing:
        raise UserError(
            f"data.classes names {missing}, but data.labels gives {list(keys.labels)}."
            f"{did_you_mean(missing[0], keys.labels)} Change one of them."
        )
    return {label: name for name in classes or keys.labels for label in keys.labels[name]}


def match_labels(wanted: Mapping[str, str], there: Collection[str], what: str) -> tuple[dict[str, str], list[str]]:
    """Return label, as the table writes it -> class, and the wanted labels that the table does not have.

    A label is written as the user writes it or, where only one is, otherwise in case or accents alone.

    Args:
        wanted: Label -> class.
        there: The labels of the table, the most frequent first.
        what: What has them, as an error begins.

    Raises:
        UserError: Where the table has no label of a class.
    """
    alike: dict[str, list[str]] = {}
    for name in there:
        if name not in wanted:
            alike.setdefault(folded(name), []).append(name)
    found: dict[str, str] = {}
    lacking = []
    for label, name in wanted.items():
        others = alike.get(folded(label), [])
        if label in there or len(others) == 1:
            found[label if label in there else others[0]] = name
        else:
            lacking.append(label)
    bare = [label for label in lacking if wanted[label] not in found.values()]
    if bare:
        raise UserError(
            f"{what} {some([f'{name!r}' for name in there], between=', ')}, but not {bare[0]!r}."
            f"{did_you_mean(bare[0], there)} Change data.labels or data.classes."
        )
    return found, lacking


def name_classes(found: Iterable[str], classes: Sequence[str] | None, keys: TableKeys, origin: str) -> list[str]:
    """Return the names of the classes in the order of their numbers: the user's, or sorted.

    Raises:
        UserError: Where they are fewer than two, or one is there twice.
    """
    names = list(classes or keys.labels) or sorted(set(found))
    if len(names) < 2 or len(set(names)) != len(names):
        raise UserError(
            f"{origin} gives the classes {names}, but a classifier needs two or more, each once. Change data.labels or "
            "data.classes."
        )
    return names


def class_of(words: Sequence[Word], disagree: Disagree) -> int | str:
    """Return the class of an image by what its rows say, or why it has none; a row without a label says nothing."""
    said = [word for word in words if word.why != UNLABELLED] or words
    if any(word.classes != said[0].classes for word in said):
        if disagree == "skip":
            return CONTRADICTED
        counts = Counter(number for word in said for number in word.classes)
        sure = frozenset(number for number, count in counts.items() if disagree == "any" or 2 * count > len(said))
        said = [Word(sure, CONTRADICTED)]
    classes = said[0].classes
    return next(iter(classes)) if len(classes) == 1 else SEVERAL if classes else said[0].why
