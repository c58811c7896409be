"""What an audit found, as tables on the screen."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from covidnet.evaluation.confounding import FAIL, PASS, WARN

COLOURS = {PASS: "green", WARN: "yellow", FAIL: "red"}


def print_audit(report: dict[str, Any], told: str) -> None:
    """Print the checks as a table, and where the classes come from as another."""
    console = Console(soft_wrap=False)
    for line in report["told"]:
        console.print(escape(line))
    checks = Table("check", "verdict", title=report["root"], box=SIMPLE_HEAD, title_justify="left")
    checks.add_column("what was found", overflow="fold")  # a pattern is one long word, to be copied whole
    for check in report["checks"]:
        checks.add_row(check["name"].replace("_", " "), _coloured(check["verdict"]), escape(check["sentence"]))
    console.print(checks)
    sources = next(check["details"]["table"] for check in report["checks"] if check["name"] == "sources")
    names = list(next(iter(sources.values())))
    if names:
        table = Table("source", *(escape(name) for name in sources), box=SIMPLE_HEAD)
        for name in names:
            table.add_row(escape(name), *(f"{numbers[name]:,}" for numbers in sources.values()))
        console.print(table)
    console.print(f"Verdict: {_coloured(report['verdict'])}. {escape(told)}")


def _coloured(verdict: str) -> str:
    return f"[bold {COLOURS[verdict]}]{verdict}[/]"
