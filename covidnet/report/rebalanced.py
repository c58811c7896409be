"""What a report shows of a run whose last layer was fitted anew: to what, and what each class and source gained."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from covidnet.report.cells import Cell, cell, fallen
from covidnet.runs.run import Run

RECALL = "sensitivity"


class Changed(NamedTuple):
    """The recall of a class and source on the test, before and after."""

    name: str
    source: str
    fitted: int | None  # images that the layer was fitted to; None where the source is one of the merged small ones
    images: int
    cells: list[Cell]


class Rebalanced(NamedTuple):
    """What was done, in words, and what came of it."""

    sentence: str
    rows: list[Changed]


def rebalanced(run: Run) -> Rebalanced | None:
    """Return what the results of a run say of its last layer; None of one that was trained as a whole."""
    found: Mapping[str, Any] | None = run.results.get("rebalanced")
    if not found:
        return None
    fitted = {(group["class"], group["source"]): group["images"] for group in found["groups"]}
    return Rebalanced(
        found["sentence"],
        [
            Changed(
                row["class"],
                row["source"],
                fitted.get((row["class"], row["source"])),
                row["images"],
                [
                    *(cell({RECALL: row[side]}, RECALL) for side in ("first", "second")),
                    fallen(RECALL, {"value": row["difference"], "interval": row["interval"]}),
                ],
            )
            for row in found["cells"]
        ],
    )
