"""How much an attribute of the images, such as view or source, tells of their class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2, chi2_contingency, ncx2

from covidnet.errors import some
from covidnet.evaluation.bootstrap import TAILS
from covidnet.evaluation.intervals import Interval, groups_of
from covidnet.evaluation.probes import cramers_v

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
RELATED, BOUND = 0.1, 0.5  # Cramér's V from which on an attribute is a warning, a failure
NEEDED = "source"  # the attribute that every image should have
FEW = 3  # classes named in a sentence


def class_by(
    names: Sequence[str],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Return how an attribute and the class go together, as plain types.

    ``cramers_v`` is Cramér's V, corrected for bias (Bergsma 2013, J. Korean Stat. Soc. 42:323), None where
    no image has a name; ``interval`` its 95 % limits; ``table`` class -> name -> images; ``unknown`` how many images
    have no name.

    Args:
        names: N names, "" where not known.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        groups: (N,) a number for each patient; every image is its own where left out.
    """
    own = np.array(names, dtype=object)
    told = own != ""
    present = sorted(set(own[told]))
    table = np.array([[np.count_nonzero(told & (labels == label) & (own == name)) for name in present]
                      for label in range(len(classes))], dtype=np.int64)  # fmt: skip
    patients = len(np.unique(groups_of(groups, len(labels))[told])) if told.any() else 0
    return {
        "cramers_v": cramers_v(table) if present else None,
        "interval": _limits(table, patients) if present else None,
        "table": {
            name: dict(zip(present, row, strict=True)) for name, row in zip(classes, table.tolist(), strict=True)
        },
        "unknown": int(np.count_nonzero(~told)),
    }


def judge(attribute: str, found: Mapping[str, Any]) -> tuple[str, str]:
    """Return PASS, WARN or FAIL and a sentence on what ``class_by`` found, the same in an audit and in a report."""
    strength, table = found["cramers_v"], found["table"]
    if strength is None:
        return WARN, (
            f"No {attribute} is known: whether the classes come from different hospitals cannot be said from a table "
            f"(metadata.csv, column {attribute})."
        )
    apart = _apart(table)
    sentence = f"Cramér's V of class and {attribute} is {strength:.2f}{_in_brackets(found['interval'])}"
    aside = f" No {attribute} of {some(apart, FEW, ', ')} gave images of another class." if apart else ""
    rest = f" {found['unknown']:,} images have no {attribute}." if found["unknown"] else ""
    if strength >= BOUND:
        return FAIL, f"{sentence}: who knows the {attribute} knows much of the class.{aside}{rest}"
    if strength >= RELATED:
        return WARN, f"{sentence}: who knows the {attribute} knows something of the class.{aside}{rest}"
    if found["unknown"] and attribute == NEEDED:
        return WARN, f"{sentence}.{rest}"
    return PASS, f"{sentence}: the {attribute} does not tell the class.{rest}"


def _apart(table: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the classes none of whose names any other class has."""
    held = {name: {one for one, count in row.items() if count} for name, row in table.items()}
    several = len(set().union(*held.values())) > 1
    return [
        name
        for name, own in held.items()
        if several and own and not any(own & other for one, other in held.items() if one != name)
    ]


def _limits(table: NDArray[np.int64], patients: int) -> list[float] | None:
    """Return the 95 % limits of Cramér's V from those of a noncentral chi-square (Smithson 2003, Confidence Intervals).

    Images of one patient count as one: chi-square is taken as of so many cases as there are patients. A table that is
    more even than chance makes it has the upper limit of one that is as even as expected.
    """
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    least, freedom = min(table.shape) - 1, (table.shape[0] - 1) * (table.shape[1] - 1)
    if least < 1:
        return None
    statistic = chi2_contingency(table, correction=False).statistic * patients / table.sum()
    largest = patients * least  # of chi-square, where one follows from the other
    low, high = (
        _noncentrality(value, freedom, tail, 4.0 * largest + 100)
        for value, tail in zip((statistic, max(statistic, freedom)), reversed(TAILS), strict=True)
    )
    strength = cramers_v(table)
    limits: Interval = (float(np.sqrt(low / largest)), float(np.sqrt(min(high, largest) / largest)))
    return [min(limits[0], strength), max(limits[1], strength)]


def _noncentrality(statistic: float, freedom: int, tail: float, most: float) -> float:
    """Return the noncentrality under which so large a share of chi-squares lies below ``statistic``."""
    if chi2.cdf(statistic, freedom) <= tail:
        return 0.0
    return float(brentq(lambda noncentral: ncx2.cdf(statistic, freedom, noncentral) - tail, 1e-9, most))


def _in_brackets(interval: Sequence[float] | None) -> str:
    return f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
