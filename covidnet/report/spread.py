"""How far the runs of a series lie apart: a row each, and a figure of dots."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from covidnet.evaluation.names import BY_KEY
from covidnet.report.cells import Cell, cell, drawn
from covidnet.report.figures import page_style, short, svg
from covidnet.runs.files import FOLD, REPORT, SEED
from covidnet.runs.run import Run

KEYS = ("accuracy", "balanced_accuracy", "mcc", "loss")  # in the table
SHARES = ("accuracy", "balanced_accuracy")  # in the figure, and each class's sensitivity
WIDTH, ROW, AROUND = 5.6, 0.32, 0.95  # inches: of the figure, of a row in it, and of what stands around them


class Member(NamedTuple):
    """A run of a series, as a row shows it."""

    name: str
    link: str | None  # to its own report
    images: int  # of its test
    epoch: int | None  # the best one
    cells: list[Cell]


def members_shown(runs: Sequence[Run]) -> list[Member]:
    """Return a row for each run."""
    return [
        Member(
            run_name(run.folder),
            f"{run.folder.name}/{REPORT}" if (run.folder / REPORT).is_file() else None,
            sum(scores["support"] for scores in run.scores["per_class"].values()),
            run.results.get("best_epoch"),
            shown_scores(run.scores),
        )
        for run in runs
    ]


def shown_scores(scores: Mapping[str, Any]) -> list[Cell]:
    """Return what a row shows of scores."""
    return [drawn(key, cell(scores, key)) for key in KEYS]


def run_name(run: Path) -> str:
    """Return how a run of a series is called: "fold 1, seed 0"."""
    return run.name.replace(FOLD, "fold ").replace(f"_{SEED}", ", seed ").replace(SEED, "seed ")


def spread(runs: Sequence[Run], together: Mapping[str, Any] | None, whole: str) -> Markup | None:
    """Draw the shares of each run as dots, and those of ``together`` with their intervals, which the legend calls so.

    None where no run has one.
    """
    rows = [
        *((BY_KEY[key].title, [run.scores.get(key) for run in runs], cell(together or {}, key)) for key in SHARES),
        *(
            (f"{short(name)}: sensitivity", [_of_class(run, name) for run in runs], _whole(together, name))
            for name in runs[0].classes
        ),
    ]
    shown = [row for row in rows if any(value is not None for value in row[1])]
    if not shown:
        return None
    with page_style():
        figure = Figure(figsize=(WIDTH, AROUND + ROW * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        for row, (_, values, at) in enumerate(shown):
            known = [value for value in values if value is not None]
            label = f"each of {len(runs)} runs" if row == 0 else None
            axes.plot(known, [-row - 0.14] * len(known), "o", color="C0", markersize=5, alpha=0.75, label=label)
            if at.value is None:
                continue
            if at.low is not None and at.high is not None:
                axes.plot([at.low, at.high], [-row + 0.14] * 2, color="C1", linewidth=1.6)
            label = whole if row == 0 else None
            axes.plot(at.value, -row + 0.14, "D", color="C1", markersize=5, label=label)
        axes.set_yticks([-row for row in range(len(shown))], [name for name, _, _ in shown])
        axes.set(ylim=(0.6 - len(shown), 0.6))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, ncols=2, columnspacing=1.4)
        return svg(figure, "spread", f"Accuracy and sensitivities of {len(runs)} runs, and of all together")


def _of_class(run: Run, name: str) -> float | None:
    value: float | None = run.scores["per_class"].get(name, {}).get("sensitivity")
    return value


def _whole(together: Mapping[str, Any] | None, name: str) -> Cell:
    return cell(((together or {}).get("per_class") or {}).get(name, {}), "sensitivity")
