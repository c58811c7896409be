"""covidnet.report.cells."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.runs.run import Run

MODEL_NAMES = {"best": "best epoch", "final": "last epoch", "test": "this checkpoint"}
# Metric -> (name, what it says). Those in PROPORTIONS are shown in per cent.
OVERALL = {
    "accuracy": ("Accuracy", "share of images whose most probable class is the right one"),
    "balanced_accuracy": ("Balanced accuracy", "mean of the classes' sensitivities; guessing gives 1 / classes"),
    "macro_f1": ("Macro F1", "mean of the classes' F1 scores"),
    "mcc": ("Matthews correlation", "1 is faultless, 0 is guessing"),
    "brier": ("Brier score", "squared error of the probabilities; lower is better"),
    "ece": ("Calibration error (ECE)", "mean gap between probability and share of right answers; lower is better"),
    "loss": ("Cross-entropy", "negative log-likelihood; lower is better"),
    "weighted_loss": ("Weighted cross-entropy", "classes weighted as in training; lower is better"),
}
PER_CLASS = {
    "sensitivity": ("Sensitivity", "found among those that have it"),
    "specificity": ("Specificity", "ruled out among those that do not"),
    "ppv": ("PPV", "right among those called so"),
    "ppv_at_prevalence_0.01": ("PPV at 1 %", "if 1 % of the images were of this class"),
    "ppv_at_prevalence_0.1": ("PPV at 10 %", "if 10 % were"),
    "npv": ("NPV", "right among those not called so"),
    "auroc": ("AUROC", "this class against the rest, over all thresholds"),
    "average_precision": ("Average precision", "PPV over all sensitivities"),
}
PROPORTIONS = {"accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "npv", "precision", "recall"}
UNIT_SCALE = PROPORTIONS | {"macro_f1", "auroc", "average_precision"}  # from 0 to 1, higher is better: drawn as bars


class Cell(NamedTuple):
    """A metric as it is shown; ``low`` and ``high`` are None where no interval is known."""

    text: str
    interval: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


class Row(NamedTuple):
    """A line of a table of metrics."""

    name: str
    meaning: str
    cells: list[Cell]


def cell(scores: Mapping[str, Any], key: str) -> Cell:
    """Return the metric ``key`` of scores, with its interval where they hold one."""
    value = scores.get(key)
    if value is None:
        return Cell("-", "")
    ends = (scores.get("intervals") or {}).get(key)
    if not ends:
        return Cell(number(key, value), "", value)
    low, high = ends
    return Cell(number(key, value), f"{_bare(key, low)} to {_bare(key, high)}", value, low, high)


def number(key: str, value: float) -> str:
    """Write a metric: proportions in per cent, counts whole, the rest with three decimals."""
    return f"{_bare(key, value)}\u00a0%" if key in PROPORTIONS else _bare(key, value)


def rows(metrics: Mapping[str, tuple[str, str]], columns: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return a line for each of ``metrics`` that a column knows."""
    known = [key for key in metrics if any(column.get(key) is not None for column in columns)]
    return [Row(*metrics[key], [_drawn(key, cell(column, key)) for column in columns]) for key in known]


def _drawn(key: str, shown: Cell) -> Cell:
    """Keep the ends of an interval only where a bar from 0 to 1 can show them."""
    return shown if key in UNIT_SCALE else shown._replace(low=None, high=None)


def _bare(key: str, value: float) -> str:
    if key in PROPORTIONS:
        return f"{100 * value:.1f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def data_of(run: Run) -> tuple[Radiographs | None, str | None]:
    """Return the radiographs of a run, or why there are none."""
    if run.recipe is None:
        return None, f"{run.checkpoint} is not there, so the model cannot be asked."
    try:
        return run.open_data(), None
    except (ImportError, AttributeError, UserError) as error:
        return None, f"The data of the run cannot be opened: {error}"


def flat(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores with their ``overall`` metrics beside their ``intervals``."""
    return {**scores, **(scores.get("overall") or {})}


def settings_of(run: Run) -> dict[str, Any]:
    """Return the settings that people look for, by their key."""
    if run.config is None:
        return {}
    config = yaml.safe_load(run.config)
    shown: dict[str, Any] = {"seed_everything": config.get("seed_everything")}
    for section in ("model", "data"):
        chosen = config.get(section) or {}
        shown[section] = chosen.get("class_path")
        shown.update({f"{section}.{key}": value for key, value in (chosen.get("init_args") or {}).items()})
    for section, keys in {
        "trainer": ("max_epochs", "accelerator", "devices", "precision"),
        "early_stopping": ("monitor", "patience", "min_delta"),
    }.items():
        shown.update({f"{section}.{key}": (config.get(section) or {}).get(key) for key in keys})
    return {key: value for key, value in shown.items() if value is not None}


def versions_of(run: Run) -> dict[str, str]:
    """Return the versions that the run recorded; of covidnet at least where there is a checkpoint."""
    versions = dict(run.results.get("versions") or {})
    if run.recipe and "version" in run.recipe:
        versions.setdefault("covidnet", run.recipe["version"])
    return versions
