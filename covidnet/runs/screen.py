"""Tables on the screen: how a value is written with its interval, and the scores that a run prints when it ends."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from covidnet.evaluation.names import BY_KEY, OVERALL, PER_CLASS, POOLED, Metric
from covidnet.evaluation.subgroups import gap_sentences

FIRST = ("loss", "weighted_loss", "accuracy", "balanced_accuracy", "mcc")  # in this order; all others follow
CALIBRATED = ("loss", "brier", "ece")


def print_scores(models: Mapping[str, Mapping[str, Any]], title: str, caption: str = "") -> None:
    """Print the scores of one or more models side by side, each with its 95 % interval."""
    table = Table(title=title, title_justify="left", caption=caption or None, caption_justify="left")
    table.add_column("test [95 % interval]")
    for name in models:
        table.add_column(name, justify="right")
    first = [OVERALL[key] for key in FIRST]
    _add_rows(table, [*first, *(metric for key, metric in OVERALL.items() if key not in FIRST)], models.values())
    _add_rows(table, POOLED.values(), models.values())
    if all("calibrated" in scores for scores in models.values()):
        calibrated = [scores["calibrated"] for scores in models.values()]
        table.add_section()
        _add_rows(table, [BY_KEY["temperature"]], calibrated)
        for key in CALIBRATED:
            table.add_row(f"{OVERALL[key].label}, calibrated", *(_cell(scores, key) for scores in calibrated))
    if all("prediction_sets" in scores for scores in models.values()):
        sets = [scores["prediction_sets"] for scores in models.values()]
        table.add_section()
        _add_rows(table, [BY_KEY["coverage"]], sets, before=f"sets of {sets[0]['stated']:.0%}: ")
        _add_rows(table, [BY_KEY["size"], BY_KEY["empty"]], sets)
    for name in next(iter(models.values()))["per_class"]:
        table.add_section()
        of_class = [scores["per_class"][name] for scores in models.values()]
        _add_rows(table, PER_CLASS.values(), of_class, before=f"{name}: ")
    Console().print(table)


def print_gaps(subgroups: Mapping[str, Any]) -> None:
    """Print the gaps between groups that chance alone would not make, where a table tells groups."""
    told = gap_sentences(subgroups)
    for line in told:
        print(f"Gap in the {line}.")
    if subgroups and not told:
        print(f"No gap between the groups by {', '.join(subgroups)} is more than chance would make.")


def with_interval(
    value: float | None,
    interval: Sequence[float] | None,
    form: str,
    *,
    ends: str | None = None,
    between: str = " ",
) -> str:
    """Write ``value [low, high]``, a dash where there is no value; counts are written whole.

    Args:
        value: What was measured.
        interval: Its limits; None where there are none.
        form: How the value is written, such as ``.3f``.
        ends: How its limits are written; as the value where left out.
        between: Stands between value and interval.
    """
    if value is None:
        return "-"
    whole = isinstance(value, int)
    shown = f"{value:,}" if whole else f"{value:{form}}"
    return f"{shown}{between}{in_brackets(interval, ',' if whole else ends or form)}" if interval else shown


def in_brackets(interval: Sequence[float], form: str) -> str:
    """Write ``[low, high]``."""
    low, high = interval
    return f"[{low:{form}}, {high:{form}}]"


def _add_rows(
    table: Table, metrics: Iterable[Metric], columns: Iterable[Mapping[str, Any]], *, before: str = ""
) -> None:
    known = list(columns)
    for metric in metrics:
        table.add_row(f"{before}{metric.label}", *(_cell(scores, metric.key) for scores in known))


def _cell(scores: Mapping[str, Any], key: str) -> str:
    return with_interval(scores[key], scores["intervals"].get(key), ".4f", ends=".3f")
