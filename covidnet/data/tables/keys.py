"""How a table is read, as the keys of a data module say it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from covidnet.data.spelling import composed
from covidnet.data.tables.columns import refuse_odd_roles
from covidnet.errors import UserError

Uncertain = Literal["unknown", "positive"]
Disagree = Literal["skip", "any", "most"]


@dataclass(frozen=True)
class TableKeys:
    """What the user says of a table.

    Attributes:
        header: What the columns are called, where no line of the table says it.
        columns: What a column says -> its name; the others go by well-known names.
        path_suffix: What stands behind the name of an image in the table and not on the disk.
        labels: Class -> its labels in the table; where there is none, each label is a class.
        separator: What stands between the labels of one cell; | and ; where it is None.
        uncertain: What -1 in the column of a finding means.
        disagree: What becomes of an image whose rows say different things.
    """

    header: Sequence[str] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    path_suffix: str = ""
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    separator: str | None = None
    uncertain: Uncertain = "unknown"
    disagree: Disagree = "skip"


def table_keys(
    table: object,
    columns: Mapping[str, str] | None,
    labels: Mapping[str, str | Sequence[str]] | None,
    separator: str | None,
    uncertain: Uncertain,
    disagree: Disagree,
    header: Sequence[str] | None = None,
    path_suffix: str | None = None,
) -> TableKeys:
    """Return the keys of a table, checked as far as they can be before it is opened.

    Args:
        table: What names it, or nothing.
        columns: As in ``TableKeys``, and so are the others.
        labels: Class -> its label, or a list of them.
        separator: None for | and ;.
        uncertain: What -1 means.
        disagree: What becomes of rows that differ.
        header: None where the table has one.
        path_suffix: None for none.

    Raises:
        UserError: Where one cannot be, or goes with a table that is not given.
    """
    given: dict[str, object] = {"labels": labels, "separator": separator, "uncertain": uncertain, "disagree": disagree}
    given |= {"header": header, "path_suffix": path_suffix}
    unused = {"labels": None, "separator": None, "uncertain": "unknown", "disagree": "skip"}
    unused |= {"header": None, "path_suffix": None}
    if not table and (alone := next((name for name in given if given[name] != unused[name]), None)):
        raise UserError(
            f"data.{alone}={given[alone]} is for a table of labels, but none is given. Give data.table=FILE, or leave "
            f"data.{alone} out: without a table the folders are the classes."
        )
    if separator == "":
        raise UserError("data.separator is empty, but it must be what stands between two labels, such as ','.")
    if header is not None and (not all(header) or len(set(header)) != len(header) or not header):
        raise UserError(
            f"data.header={list(header)} must name each column of the table once, from left to right, such as "
            "[patient, path, label, source]."
        )
    refuse_odd_roles(columns or {}, "data.columns")
    named = {role: composed(name) for role, name in (columns or {}).items()}
    by_class = _labels_by_class(labels or {})
    names = [*map(composed, header)] if header else header
    return TableKeys(names, named, composed(path_suffix or ""), by_class, separator, uncertain, disagree)


def _labels_by_class(labels: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """Return class -> labels, each label of one class, composed.

    Raises:
        UserError: Where a class has no label, or one label is of two classes.
    """
    found: dict[str, list[str]] = {}
    for name, given in labels.items():
        found.setdefault(composed(name), []).extend(map(composed, [given] if isinstance(given, str) else given))
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
