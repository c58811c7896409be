"""What a comparison of two recipes found, as tables on the screen and as a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from covidnet.runs.files import PARTS
from covidnet.runs.screen import in_brackets, with_interval


def print_comparison(found: Mapping[str, Any]) -> None:
    """Print a comparison: each metric of both sides in each part, each source and class, and what limits it."""
    console = Console(highlight=False, markup=False)
    title = f"A: {found['first']} ({found['called'][0]})\nB: {found['second']} ({found['called'][1]})"
    console.print(_metrics_table(found, title))
    external = found["parts"].get("outside")
    if external:
        console.print(_cells_table(external["cells"]))
    if found["parts"]["inside"]["groups"]:
        console.print(_groups_table(found["parts"]["inside"]["groups"]))
    if max(found["runs"]) > 1:
        console.print("Means over the seeds; below them the lowest and the highest seed.", soft_wrap=True)
    if min(found["runs"]) > 1:
        console.print(
            "Limits tell what other patients might give, those below them what other seeds might.", soft_wrap=True
        )
    for note in found["notes"]:
        console.print(note, soft_wrap=True)
    inside = found["parts"]["inside"]
    if "mcnemar" in inside:
        test = inside["mcnemar"]
        units = "images" if inside["patients"] is None else "patients"
        console.print(
            f"Exact McNemar: the first is better on {test['first_better']} {units}, the second on "
            f"{test['second_better']}, p = {test['p_value']:.2g}.",
            soft_wrap=True,
        )
        console.print(inside["sentence"], soft_wrap=True)
    console.print(found["sentence"], soft_wrap=True)


def sentence(found: Mapping[str, Any]) -> str:
    """Say in plain words how much better B is, elsewhere and at home: ``found`` is what ``compare_runs`` returns."""
    parts, (first, second) = found["parts"], found["called"]
    seeds = f"{first} each" if first == second else f"A of {first}, B of {second}"
    balanced = {part: scores["metrics"]["balanced_accuracy"] for part, scores in parts.items()}
    if "outside" not in parts:
        return f"At home, B is {_better(balanced['inside'], ' than A')} (balanced accuracy; {seeds})."
    over = ", ".join(parts["outside"]["over"])
    external, inside = _better(balanced["outside"], " than A"), _better(balanced["inside"])
    return f"Elsewhere, B is {external} (balanced accuracy over {over}; {seeds}); at home it is {inside}."


def _better(metric: Mapping[str, Any], than: str = "") -> str:
    difference, limits = metric["difference"], metric["interval"]
    sign = 1 if difference >= 0 else -1
    told = f"{100 * abs(difference):.1f} points {'better' if sign > 0 else 'worse'}{than}"
    if not limits:
        return f"{told}, and how sure that is cannot be told from so few patients"
    shown = [sorted(100 * sign * limit for limit in pair) for pair in (limits, metric["seed_interval"]) if pair]
    texts = [in_brackets(pair, ".1f") for pair in shown]
    chance = ", which may be chance" if any(low <= 0 <= high for low, high in shown) else ""
    return f"{told} {' by patients, '.join(texts)}{' by seeds' if len(texts) > 1 else ''}{chance}"


def _metrics_table(found: Mapping[str, Any], title: str) -> Table:
    table = _table(title)
    for part, scores in found["parts"].items():
        over = f"\nof {', '.join(scores['over'])}" if "over" in scores else ""
        table.add_section()
        table.add_row(f"{PARTS[part]}: {scores['images']:,} images{escape(over)}")
        for name, metric in scores["metrics"].items():
            table.add_row(f"  {name.replace('_', ' ')}", *_cells(metric))
    if found["survives"]:
        table.add_section()
        table.add_row("Skill that survives\nwithout lungs", *_cells(found["survives"]))
    return table


def _cells_table(cells: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Elsewhere, recall by source and class (* other images of the source were in the training)")
    for cell in cells:
        source = f"{escape(cell['source'])}{' *' * bool(cell['in_training'])}"
        table.add_row(f"{source}\n  {escape(cell['class'])} ({cell['images']:,})", *_cells(cell))
    return table


def _groups_table(groups: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("At home, balanced accuracy by group")
    for one in groups:
        table.add_row(f"{escape(one['attribute'])}: {escape(one['group'])} ({one['images']:,})", *_cells(one))
    return table


def _table(title: str) -> Table:
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("", overflow="fold")
    for column in ("A", "B", "B - A [95 %]"):
        table.add_column(escape(column), justify="right", no_wrap=True)
    return table


def _cells(metric: Mapping[str, Any]) -> list[str]:
    limits, seeds = metric["interval"], metric["seed_interval"]
    by_seeds = f"\nseeds {in_brackets(seeds, '+.3f')}" if seeds else ""
    sides = [_mean(metric[side], metric[f"{side}_runs"]) for side in ("first", "second")]
    return [*sides, escape(with_interval(metric["difference"], limits, "+.3f") + by_seeds)]


def _mean(value: float, runs: Sequence[float]) -> str:
    return f"{value:.3f}" + (f"\n{min(runs):.3f}-{max(runs):.3f}" if len(runs) > 1 else "")
