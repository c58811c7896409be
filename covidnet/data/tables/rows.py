"""The rows of a table, by image: what they say beside its class."""

from collections.abc import Mapping, Sequence

from covidnet.data.spelling import known
from covidnet.data.tables.columns import DESCRIBED, LINKED, other_columns
from covidnet.data.tables.places import Found
from covidnet.data.tables.reading import Table


def rows_by_image(table: Table, column: int, images: Found) -> dict[str, list[int]]:
    """Return the numbers of the rows of each image: path -> numbers.

    Args:
        table: Any.
        column: The number of the column that names the images.
        images: Which of them each name means.
    """
    found: dict[str, list[int]] = {}
    for number, row in enumerate(table.rows):
        path = images.paths.get(row[column])
        for one in images.folders.get(row[column], ()) if path is None else (path,):
            found.setdefault(one, []).append(number)
    return found


class Describer:
    """What a table tells of its images: column -> value, an empty one where it is unknown.

    Args:
        table: Any.
        columns: What a column says -> its number. Other columns are kept by their own names.
    """

    def __init__(self, table: Table, columns: Mapping[str, int]) -> None:
        self.table = table
        self.named = {role: columns[role] for role in DESCRIBED if role in columns}
        self.others = other_columns(table, columns)

    def __call__(self, numbers: Sequence[int]) -> tuple[dict[str, str], str | None]:
        """Return what rows of one image say, and what they contradict each other in: patient, group or source.

        Where rows say different things, the value is unknown.
        """
        rows = [self.table.rows[number] for number in numbers]
        first = rows[0]
        if len(rows) == 1:
            told = {role: known(first[index]) for role, index in self.named.items()}
            return told | {name: first[index] for name, index in self.others.items()}, None
        told, odd = {}, None
        for role, index in self.named.items():
            said = {value for row in rows if (value := known(row[index]))}
            told[role] = said.pop() if len(said) == 1 else ""
            odd = role if said and role in LINKED else odd
        for name, index in self.others.items():
            told[name] = first[index] if all(row[index] == first[index] for row in rows) else ""
        return told, odd
