"""One column of labels: a label in a cell, or several."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from covidnet.data.spelling import UNKNOWN, folded
from covidnet.data.tables.keys import TableKeys
from covidnet.data.tables.reading import Table
from covidnet.data.tables.words import NONE, UNLABELLED, Labels, Word, match_labels, name_classes
from covidnet.errors import UserError, some

SEPARATORS = ("|", ";")  # between the labels of a cell, where the user names none
MOST_CLASSES = 100  # that a table gives without being asked: more are numbers of images, or sentences
_WHOLE = re.compile(r"(-?\d+)\.0+")  # as programs write a whole number, once a cell of its column was empty
_PARTS = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|([^,\s\[\]'\"][^,\[\]'\"]*)")  # of a list


def split_labels(cell: str, separator: str | None) -> list[str]:
    """Return the labels in a cell: one, several between separators, or a list as Python and JSON write it."""
    if cell.startswith("[") and cell.endswith("]"):
        parts = ["".join(groups) for groups in _PARTS.findall(cell)]
    else:
        parts = [cell]
        for between in SEPARATORS if separator is None else (separator,):
            parts = [part for whole in parts for part in whole.split(between)]
    return list(dict.fromkeys(label for part in parts if (label := without_point(part.strip()))))


def without_point(text: str) -> str:
    """Return a whole number without the point and zeros behind it, and any other text as it is."""
    number = _WHOLE.fullmatch(text)
    return number[1] if number else text


def count_labels(table: Table, column: int, separator: str | None) -> Counter[str]:
    """Return label -> rows, of a column, the most frequent first."""
    counts: Counter[str] = Counter()
    for cell, count in Counter(row[column] for row in table.rows).items():
        counts.update(dict.fromkeys(split_labels(cell, separator), count))
    return Counter(dict(counts.most_common()))


def read_cells(
    table: Table, column: int, wanted: Mapping[str, str], classes: Sequence[str] | None, keys: TableKeys
) -> Labels:
    """Return what the cells of a column say; without ``wanted`` labels each one is a class.

    Raises:
        UserError: Where the column has no such labels, or no two classes.
    """
    counts = count_labels(table, column, keys.separator)
    name = f"column {table.columns[column]!r} of {table.file}"
    lacking: list[str] = []
    if wanted:
        of, lacking = match_labels(wanted, counts, f"The {name} has the labels")
    else:
        of = _all_labels(counts, name)
    names = name_classes(of.values(), classes, keys, f"The {name}")
    number = {label: names.index(of_class) for label, of_class in of.items()}

    def word(cell: str) -> Word:
        labels = split_labels(cell, keys.separator)
        sure = frozenset(number[label] for label in labels if label in number)
        known = sure or not all(label.casefold() in UNKNOWN for label in labels)
        return Word(sure, NONE if known else UNLABELLED)

    words = {cell: word(cell) for cell in {row[column] for row in table.rows}}
    unwanted = {label: n for label, n in counts.items() if label not in number and label.casefold() not in UNKNOWN}
    return Labels(names, [words[row[column]] for row in table.rows], [column], lacking, Counter(unwanted))


def _all_labels(counts: Mapping[str, int], name: str) -> dict[str, str]:
    """Return each label as a class of its own.

    Raises:
        UserError: Where they are too many for classes, or two of them differ in case alone.
    """
    labels = [label for label in counts if label.casefold() not in UNKNOWN]
    if len(labels) > MOST_CLASSES:
        raise UserError(
            f"The {name} has {len(labels):,} different labels, such as {some([repr(one) for one in labels], 3, ', ')}. "
            "Say which are classes: data.labels={CLASS: [LABEL, ...], ...}."
        )
    alike: dict[str, str] = {}
    for label in labels:
        other = alike.setdefault(" ".join(folded(label).replace("_", " ").split()), label)
        if other != label:
            raise UserError(
                f"The {name} has the labels {other!r} and {label!r}, which look like one. Say what is a class: "
                f"data.labels={{{other}: [{other}, {label}], ...}}."
            )
    return {label: label for label in labels}
