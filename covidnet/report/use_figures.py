"""Figures of the use of one class's probability: net benefit, calibration, and how the scores spread."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from covidnet.report.figures import INK, page_style, short, svg

SIZE = (3.1, 2.7)  # inches: three in a row
ROW = 0.36  # inches of one more class
BAND = 0.22  # opacity
MARGINS = {"left": 0.22, "right": 0.95, "bottom": 0.17, "top": 0.91}  # a layout that fits itself takes twice as long


def net_benefit(curve: Mapping[str, Sequence[float]], name: str, alt: str) -> Markup:
    """Draw a ``decision_curve`` with its band, and acting on all and on none."""
    with page_style():
        figure = Figure(figsize=SIZE)
        axes = figure.subplots(gridspec_kw=MARGINS)
        places = curve["threshold"]
        axes.axhline(0, color=INK, linewidth=0.8, label="on none")
        axes.plot(places, curve["all"], color=INK, linewidth=1, linestyle=(0, (2, 2)), label="on all")
        axes.fill_between(places, curve["low"], curve["high"], color="C0", alpha=BAND, linewidth=0)
        axes.plot(places, curve["model"], color="C0", label="as it says")
        most = max(*curve["model"], 0.01)
        axes.set(xlim=(0, 1), ylim=(-0.3 * most, 1.25 * most), xlabel="act from this probability on")
        axes.set(ylabel="net benefit")
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, columnspacing=1, handlelength=1.6)
        return svg(figure, name, alt)


def calibration(
    curve: Mapping[str, Sequence[float | None]], counts: Mapping[str, Sequence[int]], of: str, name: str
) -> Markup:
    """Draw a ``calibration_curve`` with its band; below it the images of the class, and downward the others."""
    with page_style():
        figure = Figure(figsize=SIZE)
        axes, below = figure.subplots(2, sharex=True, height_ratios=(3.2, 1), gridspec_kw=MARGINS)
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, linestyle=(0, (2, 2)))
        places, share, low, high = (
            np.array(curve[key], dtype=float) for key in ("probability", "share", "low", "high")
        )
        axes.fill_between(places, low, high, color="C0", alpha=BAND, linewidth=0)
        axes.plot(places, share, color="C0", marker="o", markersize=2)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), yticks=(0, 0.5, 1), ylabel="share of the class")
        others = np.sum([numbers for other, numbers in counts.items() if other != of], axis=0)
        for sign, numbers in ((1, np.array(counts[of])), (-1, others)):
            _stairs(below, sign * np.sqrt(numbers), "C0" if sign > 0 else INK)
        below.axhline(0, color=INK, linewidth=0.6)
        below.set(yticks=[], xlabel="probability")
        told = f"{sum(counts[of]):,} of it\n{int(np.sum(others)):,} not"
        below.set_ylabel(told, fontsize=7.5, rotation=0, ha="right", va="center")
        below.grid(visible=False)
        return svg(figure, name, f"Share of {of} by its probability, against the diagonal")


def score_spread(counts: Mapping[str, Sequence[int]], name: str, alt: str) -> Markup:
    """Draw how the probability of one class spreads over the images of each true class, one above the other."""
    with page_style():
        figure = Figure(figsize=(SIZE[0], max(SIZE[1], 0.9 + ROW * len(counts))), layout="constrained")
        axes = figure.subplots()
        for row, numbers in enumerate(counts.values()):
            heights = np.sqrt(np.array(numbers) / max(sum(numbers), 1))
            _stairs(axes, 0.9 * heights / max(heights.max(), 1e-9), f"C{row % 8}", -row)
            axes.axhline(-row, color=INK, linewidth=0.6)
        axes.set(xlim=(-0.02, 1.02), ylim=(0.9 - len(counts), 1.05), xlabel="probability")
        axes.set_yticks([0.3 - row for row in range(len(counts))], [short(other) for other in counts])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        return svg(figure, name, alt)


def _stairs(axes: Axes, heights: NDArray[np.float64], colour: str, base: float = 0) -> None:
    """Draw bars that touch one another over 0 .. 1."""
    edges = np.linspace(0, 1, len(heights) + 1)
    axes.stairs(base + heights, edges, baseline=base, fill=True, color=colour, alpha=0.75)
