"""Doubtful labels on the screen."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_labels(found: Mapping[str, Any], title: str) -> None:
    """Print what ``DoubtedLabels.plain`` returned: the counts, the most doubtful images, what it means."""
    classes, console = found["classes"], Console()
    counts = Table(title=escape(f"{title}: labels, by what they count as"), title_justify="left", box=SIMPLE_HEAD)
    counts.add_column("label", overflow="fold")
    for name in classes:
        counts.add_column(escape(name), justify="right", overflow="fold")
    for name, row in zip(classes, found["joint"], strict=True):
        counts.add_row(escape(name), *(f"{count:,}" for count in row))
    console.print(counts)
    rows = Table(title="The most doubtful labels", title_justify="left", box=SIMPLE_HEAD)
    for column in ("doubt", "image", "label", "suggested"):
        rows.add_column(column, justify="right" if column == "doubt" else "left", overflow="fold")
    for row in found["most_doubtful"]:
        name = row["path"].encode("utf-8", "replace").decode()
        rows.add_row(f"{row['doubt']:.3f}", *map(escape, (name, row["label"], row["suggested"])))
    console.print(rows)
    wrong, images = found["estimated_wrong"], found["images"]
    told = f"{found['suspects']:,} of {images:,} images count as another class than their label."
    estimate = f"Were the models right of all these, about {wrong:,.0f} labels would be wrong ({wrong / images:.1%})."
    lines = [f"{told} {estimate}", found["told"], found["meaning"], *found["notes"]]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
