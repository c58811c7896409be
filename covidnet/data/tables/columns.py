"""Which column of a table says what: by the names that data sets use, or as the user says."""

from collections.abc import Mapping, Sequence

from covidnet.data.spelling import plain
from covidnet.data.tables.reading import Table
from covidnet.errors import UserError, did_you_mean, short

NO_COLUMN = "none"  # what data.columns calls a role that no column has
# What a column may say -> its usual names, as `plain` writes them, the surer ones first.
NAMES = {
    "path": (
        *("path", "imagepath", "filepath", "imgpath", "dicompath", "relativepath", "fullpath"),
        *("filename", "file", "imagefilename", "imagefile", "imagefilepath", "imgfile", "fname"),
        *("image", "imagename", "imageindex", "imageid", "img", "imgname", "imgid", "dicomid", "sopinstanceuid", "id"),
    ),
    "label": (
        *("label", "labels", "class", "classname", "classlabel", "category", "finding", "findings", "findinglabels"),
        *("findinglabel", "diagnosis", "diagnoses", "pathology", "disease", "condition", "target"),
    ),
    "patient": ("patient", "patientid", "patientnumber", "patientname", "pid", "subject", "subjectid", "subjectname"),
    "group": ("group", "groupid", "studyinstanceuid", "studyuid", "studyid"),
    "source": ("source", "datasource", "dataset", "database", "hospital", "institution", "site", "centre", "center"),
    "split": ("split", "datasplit", "datasetsplit", "subset", "partition"),
    "view": ("view", "viewposition", "projection", "viewcode", "appa", "frontallateral"),
    "age": ("age", "patientage", "ageyears", "ageatstudy"),
    "sex": ("sex", "gender", "patientsex", "patientgender"),
}
LINKED = ("patient", "group", "source")  # two values of one image contradict each other
DESCRIBED = (*LINKED, "view", "age", "sex")  # what is kept of an image under these names
OURS = ("path", *DESCRIBED)


def find_columns(table: Table, given: Mapping[str, str], roles: Sequence[str], key: str) -> tuple[dict[str, int], str]:
    """Return the number of the column that says each thing, of those that the table tells, and what was guessed.

    Args:
        table: Any.
        given: What a column says -> its name, or "none" for no column; they go before the known names.
        roles: What is looked for, of ``NAMES``.
        key: The setting that ``given`` stands in, as an error names it.

    Returns:
        The columns by role; and a clause that names those that are called otherwise, for the user to look at, or
        nothing.

    Raises:
        UserError: Where ``given`` names a column that is not there, or is there twice.
    """
    found: dict[str, int] = {}
    for role in roles:
        name = given.get(role)
        if name == NO_COLUMN and NO_COLUMN not in table.columns:
            continue
        index = _named(table, role, name, key) if name is not None else _guessed(table, role, set(found.values()))
        if index is not None:
            found[role] = index
    guessed = [f"{role} is {table.columns[i]!r}" for role, i in found.items() if table.columns[i] != role]
    return found, ", ".join(guessed)


def told_of_reading(table: Table, guessed: str) -> list[str]:
    """Return how a table was read, where anything of it was found out: what ``find_columns`` guessed, and encodings."""
    how = "; ".join(part for part in (guessed, table.told) if part)
    return [f"{table.file}: {how} (data.columns changes what a column is)."] if how else []


def refuse_odd_roles(given: Mapping[str, str], key: str) -> None:
    """Refuse what no column says, before a table is opened.

    Raises:
        UserError: With what there is.
    """
    for role in given:
        if role not in NAMES:
            raise UserError(
                f"{key} names {role!r}, but a column is one of {', '.join(NAMES)}.{did_you_mean(role, NAMES)} Give "
                f"{key}={{path: COLUMN, label: COLUMN, ...}}."
            )


def other_columns(table: Table, found: Mapping[str, int]) -> dict[str, int]:
    """Return the columns that are kept as they are, labels and splits too, by a name that none of ours has."""
    used = {index for role, index in found.items() if role in OURS}
    rest = {name: index for index, name in enumerate(table.columns) if index not in used}
    return {f"{name} (column)" if name in OURS else name: index for name, index in rest.items()}


def _named(table: Table, role: str, name: str, key: str) -> int:
    alike = [index for index, column in enumerate(table.columns) if plain(column) == plain(name)]
    index = table.columns.index(name) if name in table.columns else alike[0] if len(alike) == 1 else None
    if index is None:
        raise UserError(
            f"{key}={{{role}: {name}}}: {table.file} has no column {name!r}, only {short(table.columns)}."
            f"{did_you_mean(name, table.columns)}"
        )
    return _once(table, role, index, key)


def _guessed(table: Table, role: str, taken: set[int]) -> int | None:
    """Return the column with the surest of the role's names; of one name written twice, the first."""
    names = [plain(column) for column in table.columns]
    index = next((names.index(name) for name in NAMES[role] if name in names), None)
    return None if index is None or index in taken else _once(table, role, index, "data.columns")


def _once(table: Table, role: str, index: int, key: str) -> int:
    name = table.columns[index]
    if name in table.doubled:
        raise UserError(
            f"{table.file} has two columns {name!r}, so which of them is the {role} cannot be told. Rename one, or say "
            f"that none is: {key}={{{role}: {NO_COLUMN}}}."
        )
    return index
