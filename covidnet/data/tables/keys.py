"""How a table is read, as the keys of a data module say it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from covidnet.data.tables.columns import refuse_odd_roles
from covidnet.errors import UserError
from covidnet.files.store import is_url

Uncertain = Literal["unknown", "positive"]
Disagree = Literal["skip", "any", "most"]


@dataclass(frozen=True)
class TableKeys:
    """What the user says of a table.

    Attributes:
        columns: What a column says -> its name; the others go by well-known names.
        labels: Class -> its labels in the table; where there is none, each label is a class.
        separator: What stands between the labels of one cell; | and ; where it is None.
        uncertain: What -1 in the column of a finding means.
        disagree: What becomes of an image whose rows say different things.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    separator: str | None = None
    uncertain: Uncertain = "unknown"
    disagree: Disagree = "skip"


def table_keys(
    table: str | None,
    columns: Mapping[str, str] | None,
    labels: Mapping[str, str | Sequence[str]] | None,
    separator: str | None,
    uncertain: Uncertain,
    disagree: Disagree,
) -> TableKeys:
    """Return the keys of a table, checked as far as they can be before it is opened.

    Raises:
        UserError: Where one cannot be, or goes with a table that is not given.
    """
    given = {"labels": labels, "separator": separator, "uncertain": uncertain, "disagree": disagree}
    unused = {"labels": None, "separator": None, "uncertain": "unknown", "disagree": "skip"}
    if not table and (alone := next((name for name in given if given[name] != unused[name]), None)):
        raise UserError(
            f"data.{alone}={given[alone]} is for a table of labels, but none is given. Give data.table=FILE, or leave "
            f"data.{alone} out: without a table the folders are the classes."
        )
    if separator == "":
        raise UserError("data.separator is empty, but it must be what stands between two labels, such as ','.")
    refuse_odd_roles(columns or {}, "data.columns")
    return TableKeys(columns or {}, _labels_by_class(labels or {}), separator, uncertain, disagree)


def beside_table(table: str | None) -> str | None:
    """Return the folder or the store's folder of a table, where its images lie if no key says where."""
    if table and is_url(table):
        return table.rpartition("/")[0]
    return str(Path(table).expanduser().parent) if table else None


def _labels_by_class(labels: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """Return class -> labels, each label of one class.

    Raises:
        UserError: Where a class has no label, or one label is of two classes.
    """
    found = {name: [given] if isinstance(given, str) else list(given) for name, given in labels.items()}
    of: dict[str, str] = {}
    for name, given in found.items():
        if not given or not all(given):
            space = " Is a space missing after the colon?" if ":" in name else ""
            raise UserError(
                f"data.labels={{{name}: {given}}} gives the class {name!r} no label, or an empty one.{space}"
            )
        for label in given:
            if of.setdefault(label, name) != name:
                raise UserError(
                    f"data.labels gives the label {label!r} to {of[label]!r} and to {name!r}. Leave one of them out."
                )
    return found
