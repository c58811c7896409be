"""What an evaluation on images from elsewhere found, as a table on the screen and as a sentence."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from covidnet.evaluation.decision import WISHES
from covidnet.evaluation.names import BY_KEY, USE
from covidnet.runs.screen import in_brackets, print_gaps, with_interval

OVERALL = ("accuracy", "balanced_accuracy", "mcc", "nll", "brier", "ece", "macro_f1")
PER_CLASS = ("sensitivity", "specificity", "ppv", "auroc")
OF_SOURCE = ("accuracy", "balanced_accuracy")


def print_report(report: Mapping[str, Any]) -> None:
    """Print home and elsewhere side by side, each source, and the sentence."""
    console = Console()
    inside, drops, present = report.get("inside"), report.get("drop", {}), report["classes_present"]
    table = _table(f"{report['notice']}\n{report['root']} (in brackets: 95 % intervals)")
    table.add_column("")
    if inside:
        table.add_column("at home", justify="right", no_wrap=True)
    table.add_column("elsewhere", justify="right", no_wrap=True)
    if inside:
        table.add_column("drop", justify="right", no_wrap=True)
    sides = [_flat(side) for side in _sides(report)]
    table.add_row("images", *(f"{side['images']:,}" for side in _sides(report)))
    for key in OVERALL:
        table.add_row(BY_KEY[key].short, *(_cell(side, key) for side in sides), _drop_cell(drops.get(key)))
    for name in report["classes"]:
        of_class = [side["per_class"][name] for side in _sides(report)]
        table.add_section()
        table.add_row(escape(name), *(f"{scores['support']:,}" for scores in of_class))
        for key in PER_CLASS:
            cells = [_cell(scores, key) for scores in of_class]
            table.add_row(f"  {BY_KEY[key].short}", *cells, _drop_cell(drops.get(f"{key}_{name}")))
        uses = [
            {"intervals": {}, **side.get("use", {}).get(name, {})} for side in _sides(report)
        ]  # an older run has none
        for metric in USE.values():
            table.add_row(f"  {metric.short}", *(_cell(use, metric.key, ".1f") for use in uses))
    if "decision" in report:
        _add_decision(table, report)
    console.print(table)
    if inside and len(present) < len(report["classes"]):
        console.print(f"Balanced accuracy is over the classes found elsewhere: {', '.join(present)}.", markup=False)
    if len(report["per_source"]) > 1:
        console.print()
        console.print(_source_table(report))
        if any(scores["in_training"] for scores in report["per_source"].values()):
            console.print("* other images of this source were in the training")
    print_gaps(report["subgroups"])
    console.print()
    console.print(report["sentence"], markup=False, highlight=False)


def _add_decision(table: Table, report: Mapping[str, Any]) -> None:
    """Add what a kept threshold gives on each side."""
    table.add_section()
    table.add_row(f"{escape(report['decision']['class'])}, by the threshold")
    for key in WISHES:
        table.add_row(f"  {BY_KEY[key].short}", *(_cell(side.get("decision", {}), key) for side in _sides(report)))


def _source_table(report: Mapping[str, Any]) -> Table:
    table = _table("elsewhere, by source: per cent right, of all and of each class")
    table.add_column("source", min_width=11, overflow="fold")
    for column in ("images", *(BY_KEY[key].short for key in OF_SOURCE), *report["classes"]):
        table.add_column(escape(column.replace(" ", "\n")), justify="right", no_wrap=True)
    for name, scores in report["per_source"].items():
        cells = [_percent_cell(_flat(scores), key) for key in OF_SOURCE]
        cells += [_percent_cell(scores["per_class"][label], "sensitivity") for label in report["classes"]]
        table.add_row(f"{escape(name)}{' *' * bool(scores['in_training'])}", f"{scores['images']:,}", *cells)
    return table


def _table(title: str) -> Table:
    """Return a table whose frame leaves room for the numbers in 80 columns."""
    return Table(title=escape(title), title_justify="left", show_edge=False, pad_edge=False)


def _sides(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [report["inside"], report] if "inside" in report else [report]


def _flat(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {**scores["overall"], "intervals": scores["intervals"]}


def _cell(scores: Mapping[str, Any], key: str, form: str = ".2f") -> str:
    return with_interval(scores.get(key), scores["intervals"].get(key), form)


def _drop_cell(drop: Mapping[str, Any] | None) -> str:
    return with_interval(drop["value"], drop["interval"], ".2f") if drop else ""


def _percent_cell(scores: Mapping[str, Any], key: str) -> str:
    value, limits = scores.get(key), scores["intervals"].get(key)
    percent = 100 * value if value is not None else None
    return with_interval(percent, [100 * end for end in limits or ()], ".1f", ends=".0f", between="\n")


def sentence(report: Mapping[str, Any]) -> str:
    """Say in plain words what an evaluation found: what its report holds, but for this sentence."""
    return f"{_fall(report)}{_against_members(report)}"


def _against_members(report: Mapping[str, Any]) -> str:
    """Say how an ensemble compares with its members, nothing of a single model."""
    known = [one["balanced_accuracy"] for one in report.get("members", ())]
    if not known:
        return ""
    mean = sum(known) / len(known)
    span = in_brackets((100 * min(known), 100 * max(known)), ".1f")
    gain = 100 * (_flat(report)["balanced_accuracy"] - mean)
    return (
        f" That is the ensemble; its {len(known)} members alone have {100 * mean:.1f} % on average (lowest and "
        f"highest: {span}), so that together they are {abs(gain):.1f} points {'better' if gain >= 0 else 'worse'}."
    )


def _fall(report: Mapping[str, Any]) -> str:
    external = _words(_flat(report))
    many = f"the {report['images']:,} images from elsewhere"
    drop = report.get("drop", {}).get("balanced_accuracy")
    if not drop:
        return f"Balanced accuracy is {external} on {many}; the run's own test is not there to compare it with."
    lacking = len(report["classes_present"]) < len(report["classes"])
    over = f" over {', '.join(report['classes_present'])}" if lacking else ""
    own = _words(_flat(report["inside"]))
    test = (
        "what its members say of images that they had not seen" if report.get("out_of_fold") else "the model's own test"
    )
    told = f"Balanced accuracy{over} is {own} on {test} and {external} on {many}: "
    change = f"{'a drop' if drop['value'] >= 0 else 'a rise'} of {100 * abs(drop['value']):.1f} points"
    if not drop["interval"]:
        return f"{told}{change}; how sure that is cannot be told from so few patients."
    low, high = sorted(100 * limit if drop["value"] >= 0 else -100 * limit for limit in drop["interval"])
    change += f" {in_brackets((low, high), '.1f')}"
    if low <= 0 <= high:
        return f"{told}{change}, which may be chance."
    kept = "does not keep" if drop["value"] > 0 else "keeps"
    return f"{told}{change}. The model {kept} elsewhere what its own test promises."


def _words(scores: Mapping[str, Any]) -> str:
    limits = scores["intervals"].get("balanced_accuracy")
    interval = f" {in_brackets([100 * end for end in limits], '.1f')}" if limits else ""
    return f"{100 * scores['balanced_accuracy']:.1f} %{interval}"
