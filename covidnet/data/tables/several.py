"""One table or several -> one: all rows under all columns, and rows of one image that complete one another joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from covidnet.data.spelling import known
from covidnet.data.tables.columns import DESCRIBED, LINKED, NAMES, NO_COLUMN, find_columns, told_of_reading
from covidnet.data.tables.keys import TableKeys
from covidnet.data.tables.reading import Table, distinct_names, read_any_table
from covidnet.errors import UserError, short

KEY, COLUMNS = "data.table", "data.columns"
Row = list[str]


@dataclass(frozen=True)
class Part:
    """What one file gave: the numbers of its rows, and of the columns that it has."""

    rows: range
    columns: frozenset[int]


@dataclass(frozen=True)
class Tables:
    """What one file or several hold.

    Attributes:
        table: The rows of all.
        columns: What a column says -> its number.
        parts: What each file gave.
        told: How they were read, a sentence each.
    """

    table: Table
    columns: dict[str, int]
    parts: list[Part]
    told: list[str]


def read_tables(files: Mapping[Path, str], keys: TableKeys) -> Tables:
    """Read tables of labels.

    Args:
        files: File -> the side of the split that all its rows are on, "" where the table itself may tell.
        keys: How they are read.

    Raises:
        UserError: As ``read_any_table`` and ``find_columns``, and where one has no column that names images.
    """
    tables = [read_any_table(file, KEY, keys.header) for file in files]
    found: list[dict[str, int]] = []
    ways: dict[tuple[str, str], list[Table]] = {}  # how they were read -> the tables
    for table, side in zip(tables, files.values(), strict=True):
        given = {**_given_to(table, tables, keys.columns), **({"split": NO_COLUMN} if side else {})}
        columns, guessed = find_columns(table, given, tuple(NAMES), COLUMNS)
        if "path" not in columns:
            raise UserError(
                f"{table.file} has the columns {short(table.columns)}, none of them called as names of images are. Say "
                f"which it is: {COLUMNS}={{path: COLUMN}}; or, if its first line is a row like the others, what all "
                "columns are: data.header=[patient, path, label, ...]."
            )
        if keys.path_suffix:
            _cut(table, columns["path"], keys.path_suffix)
        found.append(columns)
        ways.setdefault((guessed, table.told), []).append(table)
    told = [
        line
        for (guessed, _), same in ways.items()
        for line in told_of_reading(replace(same[0], file=_names(same)), guessed)
    ]
    if len(tables) == 1 and not any(files.values()):
        return Tables(tables[0], found[0], [], told)
    return _stacked(tables, found, list(files.values()), told)


def join_rows(tables: Tables, numbers: Mapping[str, list[int]]) -> tuple[Table, dict[str, list[int]]]:
    """Return the rows, those of several tables for one image joined, and their numbers by image.

    A row of another table completes one of the same image. Where the two contradict each other in more than the view,
    age or sex they stay two rows, as two of one table are.

    Args:
        tables: As they were read.
        numbers: Path of an image -> the numbers of its rows.
    """
    if len(tables.parts) < 2:
        return tables.table, dict(numbers)
    path = {tables.columns["path"]}
    loose = frozenset(tables.columns[role] for role in DESCRIBED if role in tables.columns and role not in LINKED)
    rows: list[Row] = []
    joined: dict[str, list[int]] = {}
    for image, own in numbers.items():
        groups = [
            ([tables.table.rows[number] for number in own if number in part.rows], part.columns - path)
            for part in tables.parts
        ]
        new = _joined([(held, columns) for held, columns in groups if held], loose)
        joined[image] = list(range(len(rows), len(rows) + len(new)))
        rows += new
    used = {number for own in numbers.values() for number in own}
    rows += [row for number, row in enumerate(tables.table.rows) if number not in used]  # they have labels too
    return replace(tables.table, rows=rows), joined


def _given_to(table: Table, tables: Sequence[Table], given: Mapping[str, str]) -> dict[str, str]:
    """Return what the user says of the columns of one table: a column of another is none of this one."""
    own = {}
    for role, name in given.items():
        if name == NO_COLUMN or table.has(name) or not any(other.has(name) for other in tables):
            own[role] = name  # where no table has it, ``find_columns`` says so
        elif role != "path":
            own[role] = NO_COLUMN
    return own


def _cut(table: Table, column: int, suffix: str) -> None:
    """Cut what stands behind the names of images.

    Raises:
        UserError: Where it stands behind none.
    """
    if table.rows and not any(row[column].endswith(suffix) for row in table.rows):
        raise UserError(
            f"data.path_suffix={suffix}: no cell of the column {table.columns[column]!r} of {table.file} ends with it, "
            f"such as {short(repr(table.rows[0][column]))}. Change it, or leave it out."
        )
    for row in table.rows:
        row[column] = row[column].removesuffix(suffix)


def _stacked(tables: Sequence[Table], found: Sequence[dict[str, int]], sides: Sequence[str], told: list[str]) -> Tables:
    """Return the rows of all tables under one header: a column for all that is said, then the others by their names."""
    said = {role for columns in found for role in columns} | ({"split"} if any(sides) else set())
    roles = [role for role in NAMES if role in said]
    called = [
        next((table.columns[own[role]] for table, own in zip(tables, found, strict=True) if role in own), role)
        for role in roles
    ]
    free = [
        {name: index for index, name in enumerate(table.columns) if index not in own.values()}
        for table, own in zip(tables, found, strict=True)
    ]
    others = list(dict.fromkeys(name for names in free for name in names))
    header, _ = distinct_names([*called, *others])
    rows: list[Row] = []
    parts: list[Part] = []
    for table, own, names, side in zip(tables, found, free, sides, strict=True):
        sources = [own.get(role) for role in roles] + [names.get(name) for name in others]
        new = [["" if source is None else row[source] for source in sources] for row in table.rows]
        has = {number for number, source in enumerate(sources) if source is not None}
        if side:
            split = roles.index("split")
            has.add(split)
            for row in new:
                row[split] = side
        parts.append(Part(range(len(rows), len(rows) + len(new)), frozenset(has)))
        rows += new
    columns = {role: number for number, role in enumerate(roles)}
    return Tables(Table(_names(tables), header, rows, frozenset(), ""), columns, parts, told)


def _joined(groups: Sequence[tuple[list[Row], frozenset[int]]], loose: frozenset[int]) -> list[Row]:
    """Return the rows of one image: of each table, with the columns that it has; what is ``loose`` may differ."""
    rows, has = groups[0]
    for more, own in groups[1:]:
        shared = has & own
        if any(_differ(one, other, shared - loose) for one, other in zip(rows, more, strict=False)):
            rows = [*rows, *more]
        else:
            pairs = [_filled(one, other, loose) for one, other in zip(rows, more, strict=False)]
            left, right = _only(rows), _only(more)
            rest = [_filled(row, right, loose) for row in rows[len(more) :]]
            rows = [*pairs, *rest, *(_filled(row, left, loose) for row in more[len(rows) :])]
        has |= own
    return rows


def _only(rows: Sequence[Row]) -> Row:
    """Return the row that all are, or an empty one."""
    return rows[0] if all(row == rows[0] for row in rows) else [""] * len(rows[0])


def _differ(one: Row, other: Row, columns: frozenset[int]) -> bool:
    return any(one[i] != other[i] and known(one[i]) and known(other[i]) for i in columns)


def _filled(row: Row, other: Row, loose: frozenset[int]) -> Row:
    """Return a row with what it lacks from another one; where both know what may differ, nothing is known."""
    clash = {i for i in loose if _differ(row, other, frozenset({i}))}
    pairs = enumerate(zip(row, other, strict=True))
    return ["" if i in clash else cell if known(cell) else more or cell for i, (cell, more) in pairs]


def _names(tables: Sequence[Table]) -> str:
    return " and ".join(table.file for table in tables)
