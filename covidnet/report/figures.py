"""Arrays -> figures as inline SVG that takes the page's font and colours, so that they follow light and dark."""

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager

import matplotlib as mpl
import numpy as np
from cycler import cycler
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from covidnet.evaluation.calibration import reliability_bins
from covidnet.runs.run import History

SIZE = (4.2, 3.3)  # inches; the page scales it

LONGEST = 26  # letters of a class's name in a legend
DASHES: tuple[tuple[int, tuple[float, ...]], ...] = ((0, ()), (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
SERIES = 8  # colours of the page

# Colours that stand for the page's own, by name, until the SVG is written.
INK, _FAINT = "#010203", "#010204"
_COLOURS = [f"#0102{16 + number}" for number in range(SERIES)]
_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "covidnet",  # the same figure gives the same bytes
    "text.parse_math": False,  # a class may be named $x$
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": _FAINT,
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.fontsize": 8.5,
    "axes.prop_cycle": cycler(color=_COLOURS),
}


def training_curves(history: History, metric: str, best_epoch: int | None, alt: str) -> Markup | None:
    """Draw ``train_<metric>`` and ``val_<metric>`` by epoch, or nothing where neither was logged."""
    with page_style():
        figure, axes = _axes()
        shown = [name for name in ("train", "val") if history.get(f"{name}_{metric}")]
        for number, name in enumerate(shown):
            epochs, values = zip(*history[f"{name}_{metric}"], strict=True)
            label = {"train": "training", "val": "validation"}[name]
            marker = "o" if len(epochs) < 12 else ""
            axes.plot(epochs, values, label=label, linestyle=DASHES[number], marker=marker, markersize=3.5)
        if not shown:
            return None
        if best_epoch:
            axes.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), label="best epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch", ylabel=metric)
        axes.legend()
        return svg(figure, f"training-{metric}", alt)


def roc(labels: NDArray[np.int64], probabilities: NDArray[np.float64], classes: Sequence[str], alt: str) -> Markup:
    """Draw each class against the rest: sensitivity by false alarms."""
    with page_style():
        figure, axes = _axes(square=True)
        for number, name in enumerate(classes):
            truth = labels == number
            if truth.any() and not truth.all():
                false_alarms, sensitivity, _ = roc_curve(truth, probabilities[:, number])
                area = auc(false_alarms, sensitivity)
                axes.plot(false_alarms, sensitivity, label=f"{short(name)}  {area:.3f}", linestyle=_dash(number))
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, linestyle=(0, (2, 2)))
        axes.set(xlabel="false alarms (1 - specificity)", ylabel="sensitivity")
        _legend_below(axes, "area under the curve")
        return svg(figure, "roc", alt)


def precision_recall(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], classes: Sequence[str], alt: str
) -> Markup:
    """Draw each class against the rest: positive predictive value by sensitivity."""
    with page_style():
        figure, axes = _axes(square=True)
        for number, name in enumerate(classes):
            truth = labels == number
            if truth.any():
                precision, recall, _ = precision_recall_curve(truth, probabilities[:, number])
                area = average_precision_score(truth, probabilities[:, number])
                label = f"{short(name)}  {area:.3f}"
                axes.plot(recall, precision, label=label, linestyle=_dash(number), drawstyle="steps-post")
        axes.set(xlabel="sensitivity (recall)", ylabel="positive predictive value (precision)")
        _legend_below(axes, "average precision")
        return svg(figure, "precision-recall", alt)


def reliability(labels: NDArray[np.int64], outputs: dict[str, NDArray[np.float64]], alt: str) -> Markup:
    """Draw how often the most probable class is right, by its probability; ``outputs`` maps names to (N, C).

    Bins hold equal widths of probability; the bars are Wilson's 95 % intervals of their cases.
    """
    with page_style():
        figure, axes = _axes(square=True)
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, linestyle=(0, (2, 2)), label="ideal")
        for number, (name, probabilities) in enumerate(outputs.items()):
            bins = reliability_bins(probabilities, labels)
            centre, share = (np.array([entry[key] for entry in bins]) for key in ("confidence", "accuracy"))
            low, high = np.array([entry["interval"] for entry in bins]).T
            bars = np.maximum([share - low, high - share], 0)  # a limit may pass a share of 1 by rounding
            shift = 0.008 * number  # keeps the bars of two lines apart
            axes.errorbar(
                centre + shift, share, bars, label=name, linestyle=DASHES[number], marker="os"[number % 2],
                markersize=3.5, elinewidth=0.8,
            )  # fmt: skip
        axes.set(xlabel="probability given to the chosen class", ylabel="share of right answers")
        _legend_below(axes, None)
        return svg(figure, "reliability", alt)


def page_style() -> AbstractContextManager[None]:
    """Return the style under which a figure is drawn whose colours `svg` makes those of the page."""
    return mpl.rc_context(_STYLE)  # type: ignore[arg-type]  # each key by a type of its own


def _axes(*, square: bool = False) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(SIZE[0], SIZE[0]) if square else SIZE, layout="constrained")
    axes = figure.add_subplot()
    if square:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    return figure, axes


def _dash(number: int) -> tuple[int, tuple[float, ...]]:
    return DASHES[number % len(DASHES)]


def _legend_below(axes: Axes, title: str | None) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), title=title, ncols=2, columnspacing=1.4)


def short(name: str) -> str:
    """Return a class's name, cut where it is too long for a figure."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def svg(figure: Figure, name: str, alt: str) -> Markup:
    """Write a figure as an SVG element whose colours are the page's variables and whose ids are its own."""
    content = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(content, format="svg", transparent=True, metadata=nothing)
    text = content.getvalue()
    box = re.search(r'viewBox="([^"]+)"', text)
    assert box is not None
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = body.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    body = re.sub(r"font-family: [^;]+; ", "", body)  # the page's own font
    body = body.replace(INK, "currentColor").replace(_FAINT, "var(--line)")
    for number, colour in enumerate(_COLOURS):
        body = body.replace(colour, f"var(--series-{number})")
    return Markup(f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(alt)}">{body}')
