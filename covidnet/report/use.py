"""What a run recorded of the use of its probabilities -> a table, and three figures of each class."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from covidnet.evaluation.names import BY_KEY
from covidnet.evaluation.net_benefit import helps
from covidnet.report import use_figures
from covidnet.report.cells import Cell, cell

SHOWN = ("calibration_slope", "calibration_intercept")
TITLES = [(BY_KEY[key].title, BY_KEY[key].meaning) for key in ("auroc", *SHOWN)]


class ClassUse(NamedTuple):
    """The use of one class's probability, as it is shown."""

    name: str
    share: str  # of the class in the test, and in the training where that is known
    cells: list[Cell]  # AUROC, slope, intercept
    helps: str  # at which thresholds acting on it is better than acting on all or none
    figures: list[tuple[Markup, str]]  # with their captions


def use_of(scores: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]], place: str) -> list[ClassUse]:
    """Return what ``use`` of scores says of each class; nothing where a run recorded none.

    Args:
        scores: Of one model on one test.
        counts: Images by split and class, for the training's share.
        place: Which test this is, as the ids of its figures begin.
    """
    found = scores.get("use") or {}
    per_class = scores.get("per_class") or {}
    images = {name: values.get("support") or 0 for name, values in per_class.items()}
    uses = []
    for number, (name, use) in enumerate(found.items()):
        ids = f"{place}-{number}"
        cells = [cell(per_class.get(name, {}), "auroc"), *(cell(use, key) for key in SHOWN)]
        uses.append(
            ClassUse(
                name,
                _shares(name, {"of the test": images, "of the training": counts.get("train", {})}),
                [shown._replace(low=None, high=None) for shown in cells],
                _ranges(use["net_benefit"]),
                [
                    (
                        use_figures.net_benefit(use["net_benefit"], f"{ids}-net-benefit", f"Net benefit of {name}"),
                        "Net benefit of acting on an image from this probability on, with its 95 % band.",
                    ),
                    (
                        use_figures.calibration(
                            use["calibration_curve"], use["score_counts"], name, f"{ids}-calibration"
                        ),
                        "How often such images are of the class, with its 95 % band; below, how many images there are.",
                    ),
                    (
                        use_figures.score_spread(use["score_counts"], f"{ids}-scores", f"Probabilities of {name}"),
                        "The probability by true class. Heights are square roots, so that single images show.",
                    ),
                ],
            )
        )
    return uses


def _shares(name: str, sides: Mapping[str, Mapping[str, int]]) -> str:
    totals = {side: (images.get(name, 0), sum(images.values())) for side, images in sides.items()}
    return ", ".join(f"{100 * part / whole:.0f}\u00a0% {side}" for side, (part, whole) in totals.items() if whole)


def _ranges(curve: Mapping[str, Any]) -> str:
    ranges = [f"{100 * low:.0f} to {100 * high:.0f}\u00a0%" for low, high in helps(curve)]
    return ", ".join(ranges) or "not shown at any"
