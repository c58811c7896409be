"""comparison.json -> what the page shows of it: the parts, and each source and class."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from covidnet.runs.documents import read_json
from covidnet.runs.files import COMPARISON, PARTS, SEED
from covidnet.runs.run import Run

MEANINGS = {
    "inside": "test images of their own collection",
    "lungs_only": "trained and tested on lungs alone",
    "lungs_covered": "trained and tested without lungs",
    "swapped_at_test": "tested with another image around the lungs",
    "outside": "images from elsewhere",
}
SURVIVES = "Skill that survives without lungs"


class Line(NamedTuple):
    """A value of both recipes and how it differs; each a text and what stands below it."""

    name: str
    meaning: str
    first: tuple[str, str]
    second: tuple[str, str]
    difference: tuple[str, str]


class Against(NamedTuple):
    """A comparison as it is shown."""

    first: str
    second: str
    runs: list[int]
    sentence: str
    parts: list[Line]
    groups: list[Line]
    sources: list[Line]
    notes: list[str]


def read_comparison(run: Run) -> Against | None:
    """Return the comparison that a run or the repeat above it holds, None where there is none.

    Raises:
        UserError: Where it cannot be read.
    """
    found = run.read_json(COMPARISON) or read_json(_repeat(run.folder) / COMPARISON)
    if found is None:
        return None
    parts = [_line(PARTS[name], _meaning(name, part), _of(part)) for name, part in found["parts"].items()]
    if found["survives"]:
        parts.append(_line(SURVIVES, "balanced accuracy above chance, lungs covered against whole", found["survives"]))
    outside = found["parts"].get("outside", {})
    return Against(
        found["first"],
        found["second"],
        found["runs"],
        found["sentence"],
        parts,
        [
            _line(f"{one['attribute']}: {one['group']}", f"{one['images']:,} images", one)
            for one in found["parts"].get("inside", {}).get("groups", [])
        ],
        [_line(f"{cell['source']}: {cell['class']}", _seen(cell), cell) for cell in outside.get("cells", [])],
        found["notes"],
    )


def command(run: Path) -> str:
    """Return the command that compares a run, or the repeat that it is of, with another."""
    return f"covidnet compare OTHER {shlex.quote(str(_repeat(run)))}"


def _repeat(run: Path) -> Path:
    """Return the directory of the repeat that a run is of, else its own."""
    return run.parent if run.name.startswith(SEED) else run


def _of(part: Mapping[str, Any]) -> Mapping[str, Any]:
    metric: Mapping[str, Any] = part["metrics"]["balanced_accuracy"]
    return metric


def _meaning(name: str, part: Mapping[str, Any]) -> str:
    over = f", of {', '.join(part['over'])}" if "over" in part else ""
    return f"{MEANINGS[name]}: {part['images']:,}{over}"


def _seen(cell: Mapping[str, Any]) -> str:
    known = {True: "its source was in the training", False: "unseen source", None: ""}
    return "; ".join(filter(None, (f"{cell['images']:,} images", known[cell["in_training"]])))


def _line(name: str, meaning: str, metric: Mapping[str, Any]) -> Line:
    told = (("", metric["interval"]), ("seeds ", metric.get("seed_interval")))  # an older comparison has the first
    interval = "; ".join(f"{name}{100 * pair[0]:+.1f} to {100 * pair[1]:+.1f}" for name, pair in told if pair)
    first, second = (_mean(metric[side], metric[f"{side}_runs"]) for side in ("first", "second"))
    return Line(name, meaning, first, second, (f"{100 * metric['difference']:+.1f}\u00a0points", interval))


def _mean(value: float, runs: Sequence[float]) -> tuple[str, str]:
    spread = f"{100 * min(runs):.1f} to {100 * max(runs):.1f}" if len(runs) > 1 else ""
    return f"{100 * value:.1f}\u00a0%", spread
