"""What a table tells of the people and machines behind the images: groups that a model may serve differently.

View, sex, age, source and machine are found by their columns; others are used only where a key names them, because a
column that nobody asked for may hold names.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from covidnet.data.division.views import view_of
from covidnet.data.located import Located
from covidnet.data.spelling import known, plain
from covidnet.data.tables.columns import NAMES
from covidnet.errors import UserError, did_you_mean, require, short

KEY, BINS_KEY = "data.subgroups", "data.age_bins"
AGES = (18, 40, 65)  # children, then three thirds of grown life
OLDEST = 120  # NIH's tables know people of 414 years: a slip of the hand
MOST = 10  # values of an attribute; more are names or measurements
REST = "all others"
MACHINES = ("machine", "maker", "manufacturer", "manufacturerdicom", "manufacturermodelname", "scanner", "device")
SEXES = {**dict.fromkeys(("f", "female", "woman"), "F"), **dict.fromkeys(("m", "male", "man"), "M")}

Rows = Mapping[str, Mapping[str, str]]  # path -> column -> value

_AGE = re.compile(r"0*(\d{1,3})(?:\.\d*)?\s*(d|w|m|y|days?|weeks?|months?|years?)?\+?", re.IGNORECASE)
_IN_A_YEAR = {"d": 365, "w": 52, "m": 12, "y": 1}


def check_bins(bins: Sequence[int] | None, key: str = BINS_KEY) -> None:
    """Refuse ages that cut nothing.

    Raises:
        UserError: Naming the key.
    """
    if bins is not None:
        rising = list(bins) == sorted(set(bins)) and 0 < len(bins) < MOST and all(0 < age <= OLDEST for age in bins)
        require(
            rising, key, list(bins), f"1 to {MOST - 1} rising ages in whole years up to {OLDEST}, such as [18,40,65]"
        )


def attributes_of(
    paths: Sequence[str],
    rows: Rows,
    bins: Sequence[int] | None = None,
    wanted: Sequence[str] | None = None,
    key: str = KEY,
) -> dict[str, list[str]]:
    """Return of each attribute that is known of any image the group of each image, "" where it is not known.

    Args:
        paths: N paths.
        rows: What a table tells.
        bins: Ages in years at which a new group begins; 18, 40 and 65 where left out.
        wanted: More columns that are asked for.
        key: What asks for them, as an error names it.

    Raises:
        UserError: Where a column that is asked for is not there, or has more than ten values.
    """
    own = [rows.get(path, {}) for path in paths]
    columns = list(dict.fromkeys(column for row in own for column in row))
    machine = next((column for name in MACHINES for column in columns if plain(column) == name), "")
    found = {
        "view": [view_of(row.get("view", "")) for row in own],
        "sex": [sex_of(row.get("sex", "")) for row in own],
        "age": [age_group(row.get("age", ""), bins or AGES) for row in own],
        "source": _few([known(row.get("source", "")) for row in own]),
        "machine": _few([known(row.get(machine, "")) for row in own]),
    }
    for name in wanted or ():
        if _role_of(name) not in found:
            found[name] = _asked(name, own, columns, key)
    return {name: groups for name, groups in found.items() if any(groups)}


def attributes_in(data: Located, paths: Sequence[str]) -> dict[str, list[str]]:
    """Return the attributes of images of a run, by their paths, as its keys ask for them; else as ``attributes_of``."""
    return attributes_of(paths, data.metadata.rows if data.metadata else {}, data.age_bins, data.wanted_subgroups)


def columns_there(paths: Sequence[str], rows: Rows, wanted: Sequence[str] | None) -> list[str]:
    """Return those of the ``wanted`` columns that the rows of these images have."""
    there = {plain(column) for path in paths for column in rows.get(path, {})}
    return [name for name in wanted or () if plain(name) in there]


def sex_of(cell: str) -> str:
    """Return F, M or, for any other word, other; "" where it is not known."""
    word = known(cell.strip()).casefold()
    return SEXES.get(word, "other") if word else ""


def age_group(cell: str, bins: Sequence[int]) -> str:
    """Return the years from which and up to which an age is counted: "18 to 39", "65 or more".

    Ages are "45", "45.5", "045Y" or "6 months", as tables and DICOM write them; others are not known.
    """
    found = _AGE.fullmatch(cell.strip())
    years = int(found[1]) // _IN_A_YEAR[(found[2] or "y")[0].lower()] if found else OLDEST + 1
    if years > OLDEST:
        return ""
    low = max((age for age in bins if age <= years), default=0)
    high = min((age for age in bins if age > years), default=None)
    return f"{low} to {high - 1}" if high else f"{low} or more"


def _few(groups: list[str]) -> list[str]:
    """Return the commonest groups as they are, the others as one: a table may know hundreds of hospitals."""
    counts = Counter(name for name in groups if name)
    if len(counts) <= MOST:
        return groups
    kept = {name for name, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[: MOST - 1]}
    return [name if name in kept or not name else REST for name in groups]


def _role_of(name: str) -> str:
    """Return which of the known attributes a column is that is called so, or else the name."""
    return next((role for role, names in NAMES.items() if plain(name) in names), name)


def _asked(name: str, rows: Sequence[Mapping[str, str]], columns: Sequence[str], key: str) -> list[str]:
    column = next((one for one in columns if plain(one) == plain(name)), None)
    if column is None:
        there = f"The tables have the columns {short(columns)}" if columns else "No table tells more of these images"
        raise UserError(f"{key} names the column {name!r}. {there}.{did_you_mean(name, columns)}")
    groups = [known(row.get(column, "").strip()) for row in rows]
    values = len({value for value in groups if value})
    if values > MOST:
        raise UserError(
            f"{key} names the column {name!r}, which has {values:,} different values, but a column of subgroups has "
            f"{MOST} or fewer. Name another one, or leave it out of {key}."
        )
    return groups
