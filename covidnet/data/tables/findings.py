"""A column a finding: 1 where an image shows it, 0 where it does not, -1 where that is uncertain."""

from collections import Counter
from collections.abc import Mapping, Sequence

from covidnet.data.spelling import UNKNOWN
from covidnet.data.tables.cells import without_point
from covidnet.data.tables.keys import TableKeys
from covidnet.data.tables.reading import Table
from covidnet.data.tables.words import NONE, UNCERTAIN, UNLABELLED, Labels, Word, match_labels, name_classes
from covidnet.errors import UserError, short

YES, NO, MAYBE, SILENT = "yes", "no", "maybe", "silent"
_MEANING = {
    **dict.fromkeys(("1", "yes", "y", "true", "t", "positive", "pos", "x"), YES),
    **dict.fromkeys(("0", "no", "n", "false", "f", "negative", "neg"), NO),
    **dict.fromkeys(("-1", "uncertain", "unsure", "possible"), MAYBE),
    **dict.fromkeys(UNKNOWN, SILENT),
}


def read_findings(
    table: Table, free: Sequence[int], wanted: Mapping[str, str], classes: Sequence[str] | None, keys: TableKeys
) -> Labels:
    """Return what the columns of findings say; without ``wanted`` ones, those of which each row has exactly one.

    Args:
        table: Any.
        free: Numbers of the columns that may be findings.
        wanted: Name of a column -> class.
        classes: Those wanted, in the order of their labels; None for all.
        keys: How findings become classes.

    Raises:
        UserError: Where there are no such columns, or one holds something else.
    """
    lacking: list[str] = []
    if wanted:
        there = {table.columns[index]: index for index in free}
        of, lacking = match_labels(wanted, there, f"{table.file} has the columns")
    else:
        of = {name: name for name in _one_hot(table, free)}
    names = name_classes(of.values(), classes, keys, str(table.file))
    columns = [table.columns.index(label) for label in of]
    numbers = [names.index(name) for name in of.values()]
    meanings = [_meanings(table, index) for index in columns]
    words: dict[tuple[str, ...], Word] = {}
    sure = {YES, MAYBE} if keys.uncertain == "positive" else {YES}

    def word(cells: tuple[str, ...]) -> Word:
        said = [meaning[cell] for meaning, cell in zip(meanings, cells, strict=True)]
        found = frozenset(number for number, one in zip(numbers, said, strict=True) if one in sure)
        silent = set(said) <= {SILENT}
        return Word(found, NONE if found else UNCERTAIN if MAYBE in said else UNLABELLED if silent else NONE)

    rows = [tuple([row[index] for index in columns]) for row in table.rows]
    words = {cells: word(cells) for cells in set(rows)}
    return Labels(names, [words[cells] for cells in rows], columns, lacking, Counter())


def _meanings(table: Table, column: int) -> dict[str, str]:
    """Return what each cell of a column means.

    Raises:
        UserError: Where one means nothing that a finding's column says.
    """
    cells = {row[column] for row in table.rows}
    found = {cell: meaning for cell in cells if (meaning := _meaning(cell))}
    if odd := sorted(cells - found.keys()):
        raise UserError(
            f"The column {table.columns[column]!r} of {table.file} holds {short(odd[0])!r}, but that of a finding "
            "holds 1, 0, -1 (uncertain) or nothing. Change data.labels, or say which column holds labels: "
            "data.columns={label: COLUMN}."
        )
    return found


def _meaning(cell: str) -> str | None:
    return _MEANING.get(without_point(cell).casefold())


def _one_hot(table: Table, free: Sequence[int]) -> list[str]:
    """Return the columns of findings, where each row has exactly one.

    Raises:
        UserError: Where there are none, saying how to name the labels.
    """
    kinds = {index: {_meaning(cell) for cell in {row[index] for row in table.rows}} for index in free}
    marked = [index for index, kind in kinds.items() if None not in kind and YES in kind]
    named = [table.columns[index] for index in marked]
    if len(marked) > 1 and all(sum(_meaning(row[index]) == YES for index in marked) == 1 for row in table.rows):
        return named
    findings = f"; or which of the findings {short(named)} are classes: data.labels={{CLASS: COLUMN, ...}}"
    raise UserError(
        f"{table.file} has the columns {short(table.columns)}, none of them called as labels are. Say which it is: "
        f"data.columns={{label: COLUMN}}{findings if named else ''}."
    )
