"""Metrics as page and card show them: a value as text, its interval, and the rows of a table of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from covidnet.evaluation.names import BY_KEY, PER_CLASS, Metric, Scale

# The table by class has a column of images already.
OF_CLASS = [metric for metric in PER_CLASS.values() if metric.scale is not Scale.COUNT]


class Cell(NamedTuple):
    """A metric as it is shown; ``low`` and ``high`` are None where no interval is known."""

    text: str
    interval: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


class Row(NamedTuple):
    """A line of a table of metrics."""

    name: str
    meaning: str
    cells: list[Cell]


def cell(scores: Mapping[str, Any], key: str) -> Cell:
    """Return the metric ``key`` of scores, with its interval where they hold one."""
    value = scores.get(key)
    if value is None:
        return Cell("-", "")
    ends = (scores.get("intervals") or {}).get(key)
    if not ends:
        return Cell(number(key, value), "", value)
    low, high = ends
    return Cell(number(key, value), f"{_bare(key, low)} to {_bare(key, high)}", value, low, high)


def number(key: str, value: float) -> str:
    """Write a metric: shares in per cent, counts whole, the rest with three decimals."""
    return f"{_bare(key, value)}\u00a0%" if BY_KEY[key].scale is Scale.SHARE else _bare(key, value)


def rows(metrics: Iterable[Metric], columns: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return a line for each of ``metrics`` that a column knows."""
    known = [metric for metric in metrics if any(column.get(metric.key) is not None for column in columns)]
    return [
        Row(metric.title, metric.meaning, [drawn(metric.key, cell(column, metric.key)) for column in columns])
        for metric in known
    ]


def known_of_class(per_class: Mapping[str, Mapping[str, Any]]) -> list[Metric]:
    """Return the metrics of a class that are known of any."""
    return [metric for metric in OF_CLASS if any(metric.key in scores for scores in per_class.values())]


def drawn(key: str, shown: Cell) -> Cell:
    """Keep the ends of an interval only where a bar from 0 to 1 can show them."""
    return shown if BY_KEY[key].scale in (Scale.SHARE, Scale.UNIT) else shown._replace(low=None, high=None)


def fallen(key: str, drop: Mapping[str, Any] | None) -> Cell:
    """Return how far a metric falls; that of a share in points of per cent."""
    if not drop:
        return Cell("-", "")
    shown = cell({key: drop.get("value"), "intervals": {key: drop.get("interval")}}, key)
    return Cell(shown.text.replace("%", "points"), shown.interval)


def flat(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores with their ``overall`` metrics beside their ``intervals``."""
    return {**scores, **(scores.get("overall") or {})}


def _bare(key: str, value: float) -> str:
    if BY_KEY[key].scale is Scale.SHARE:
        return f"{100 * value:.1f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
