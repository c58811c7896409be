"""covidnet.runs.screen."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from covidnet.evaluation.names import OVERALL, PER_CLASS


def print_scores(models: Mapping[str, Mapping[str, Any]], title: str, caption: str = "") -> None:
    """Print the scores of one or more models side by side, each with its 95 % interval."""
    table = Table(title=title, title_justify="left", caption=caption or None, caption_justify="left")
    table.add_column("test [95 % interval]")
    for name in models:
        table.add_column(name, justify="right")
    for key, label in OVERALL.items():
        table.add_row(label, *(_with_interval(scores, key) for scores in models.values()))
    if all("calibrated" in scores for scores in models.values()):
        calibrated = [scores["calibrated"] for scores in models.values()]
        table.add_section()
        table.add_row("temperature, from validation", *(_number(scores["temperature"]) for scores in calibrated))
        for key in ("loss", "brier", "ece"):
            table.add_row(f"{OVERALL[key]}, calibrated", *(_with_interval(scores, key) for scores in calibrated))
    if all("prediction_sets" in scores for scores in models.values()):
        sets = [scores["prediction_sets"] for scores in models.values()]
        table.add_section()
        table.add_row(
            f"sets of {sets[0]['stated']:.0%}: class in them", *(_with_interval(one, "coverage") for one in sets)
        )
        table.add_row("classes a set", *(_number(one["size"]) for one in sets))
        table.add_row("sets without a class", *(_with_interval(one, "empty") for one in sets))
    first = next(iter(models.values()))
    for name in first["per_class"]:
        table.add_section()
        for key, label in PER_CLASS.items():
            cells = [_with_interval(scores["per_class"][name], key) for scores in models.values()]
            table.add_row(f"{name}: {label}", *cells)
    Console().print(table)


def _with_interval(scores: Mapping[str, Any], key: str) -> str:
    limits = scores["intervals"].get(key)
    shown = _number(scores[key])
    return f"{shown} [{limits[0]:.3f}, {limits[1]:.3f}]" if limits else shown


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
