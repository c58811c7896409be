"""external.json -> what the page shows of images from elsewhere: inside against outside, each source, each class."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from covidnet.evaluation.names import OVERALL
from covidnet.report.cells import OF_CLASS, Cell, Row, cell, drawn, fallen, flat, rows
from covidnet.report.figures import DASHES, INK, page_style, short, svg
from covidnet.report.use import ClassUse, use_of

DRAWN = "balanced_accuracy"
WIDTH, ROW, AROUND = 4.4, 0.3, 0.85  # inches: of the figure, of a source in it, and of what stands around them


class Source(NamedTuple):
    """A source of images from elsewhere."""

    name: str
    seen: bool  # other images of it were in the training
    images: int
    counts: list[str]  # images by class
    cells: list[Cell]
    drawn: Cell


class Outside(NamedTuple):
    """What is shown of an evaluation elsewhere."""

    sides: list[tuple[Row, Cell]]  # a metric inside and outside, and how far it falls
    titles: list[str]  # of the metrics of a source
    sources: list[Source]
    figure: Markup | None  # None for a single source
    uses: list[ClassUse]
    classes: dict[str, list[Row]]


def outside(external: Mapping[str, Any], counts: Mapping[str, Any]) -> Outside:
    """Return what ``external.json`` tells; ``counts`` are the images of the run by split and class."""
    inside, found = flat(external.get("inside") or {}), flat(external)
    drop = external.get("drop") or {}
    per_source = {name: flat(scores) for name, scores in (external.get("per_source") or {}).items()}
    shown = [
        metric
        for metric in OVERALL.values()
        if any(scores.get(metric.key) is not None for scores in per_source.values())
    ]
    sources = [
        Source(
            name,
            bool(scores.get("in_training")),
            scores.get("images") or 0,
            _by_class(scores.get("per_class") or {}),
            [drawn(metric.key, cell(scores, metric.key)) for metric in shown],
            cell(scores, DRAWN),
        )
        for name, scores in per_source.items()
    ]
    return Outside(
        [
            (row, fallen(metric.key, drop.get(metric.key)))
            for metric in OVERALL.values()
            for row in rows([metric], [inside, found])
        ],
        [metric.title for metric in shown],
        sources,
        _dots(sources, cell(inside, DRAWN)) if len(sources) > 1 else None,
        use_of(external, counts, "outside"),
        {
            name: rows(OF_CLASS, [inside.get("per_class", {}).get(name, {}), scores])
            for name, scores in (external.get("per_class") or {}).items()
        },
    )


def _by_class(per_class: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return how many images of each class a source has, without the classes that it lacks."""
    return [f"{scores['support']:,} {name}" for name, scores in per_class.items() if scores.get("support")]


def _dots(sources: list[Source], inside: Cell) -> Markup:
    """Draw a value of each source with its interval, beside that of the run's own test."""
    with page_style():
        figure = Figure(figsize=(WIDTH, AROUND + ROW * len(sources)), layout="constrained")
        axes = figure.subplots()
        if inside.value is not None:
            axes.axvline(inside.value, color=INK, linewidth=0.9, linestyle=DASHES[2], label="own test")
        for row, source in enumerate(sources):
            at = source.drawn
            colour, marker, size = ("C1", "*", 9) if source.seen else ("C0", "o", 5)
            if at.value is None:
                continue
            if at.low is not None and at.high is not None:
                axes.plot([at.low, at.high], [-row, -row], color=colour, linewidth=1.6)
            axes.plot(at.value, -row, color=colour, marker=marker, markersize=size)
        names = [f"{short(source.name)}{' *' * source.seen}  ({source.images:,})" for source in sources]
        axes.set_yticks([-row for row in range(len(sources))], names)
        axes.set(xlim=(-0.01, 1.01), ylim=(0.6 - len(sources), 0.6), xlabel="balanced accuracy")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        if inside.value is not None:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
        return svg(figure, "outside-sources", f"Balanced accuracy of {len(sources)} sources, with 95 % intervals")
