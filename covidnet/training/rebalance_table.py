"""What a rebalanced run gained and lost, as a table on the screen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from covidnet.errors import printable
from covidnet.runs.screen import in_brackets, result_told


def print_rebalanced(results: Mapping[str, Any], folder: Path) -> None:
    """Print the recall of each class and source on the test, before and after, and what was done."""
    found = results["rebalanced"]
    title = f"Recall on the test: {found['run']}, then {folder}"
    table = Table(title=escape(title), title_justify="left")
    for name in ("class", "source"):
        table.add_column(name)
    for name in ("images", "before", "after", "points gained"):
        table.add_column(name, justify="right")
    for row in found["cells"]:
        interval = row["interval"]
        limits = f" {in_brackets([100 * limit for limit in interval], '.1f')}" if interval else ""
        shares = [f"{100 * row[side]:.1f} %" for side in ("first", "second")]
        gained = f"{100 * row['difference']:+.1f}{limits}"
        table.add_row(escape(row["class"]), escape(row["source"]), f"{row['images']:,}", *shares, gained)
    if worst := found["worst"]:
        shares = [f"{100 * worst[side]['recall']:.1f} %" for side in ("first", "second")]
        gained = f"{100 * (worst['second']['recall'] - worst['first']['recall']):+.1f}"
        table.add_section()
        table.add_row("worst group", "", "", *shares, gained)
    Console().print(table)
    print(printable(found["sentence"]))
    print(result_told({key: value for key, value in results.items() if key != "best_epoch"}))
