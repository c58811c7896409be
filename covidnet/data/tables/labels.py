"""Which classes a table gives, and what each of its rows says of them, however the labels are written."""

from collections.abc import Sequence

from covidnet.data.tables.cells import count_labels, read_cells
from covidnet.data.tables.findings import read_findings
from covidnet.data.tables.keys import TableKeys
from covidnet.data.tables.reading import Table
from covidnet.data.tables.words import Labels, wanted_labels


def read_labels(
    table: Table, column: int | None, free: Sequence[int], classes: Sequence[str] | None, keys: TableKeys
) -> Labels:
    """Return what a table says of the classes.

    Args:
        table: Any.
        column: The number of the column of labels; None where there is none.
        free: Numbers of the columns that may be findings: they say nothing else.
        classes: Those wanted, in the order of their labels; None for all.
        keys: How labels become classes.

    Raises:
        UserError: Where the table has no such labels, or fewer than two classes.
    """
    wanted = wanted_labels(classes, keys)
    if column is not None and wanted and {table.columns[index] for index in free} >= wanted.keys():
        counts = count_labels(table, column, keys.separator)
        if not wanted.keys() & counts.keys():  # it only seemed to hold the labels: they are columns of their own
            column = None
    if column is None:
        return read_findings(table, free, wanted, classes, keys)
    return read_cells(table, column, wanted, classes, keys)
