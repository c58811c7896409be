"""What a run leaves: results.json, predictions.csv and the table on the screen."""

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import softmax

from covidnet.errors import UserError
from covidnet.files import whole, write_whole

RESULTS, PREDICTIONS, SPLIT, TESTS = "results.json", "predictions.csv", "split.csv", "test_evaluations.csv"
CONFIG = "config.yaml"
PROBABILITY = "prob_"  # begins the columns of predictions.csv that hold one, and a class's name ends them
POOLED = {  # as Keras counts them
    "true_positives": "true positives",
    "false_positives": "false positives",
    "true_negatives": "true negatives",
    "false_negatives": "false negatives",
    "precision": "precision",
    "recall": "recall",
}
OVERALL = {
    "loss": "loss",
    "weighted_loss": "weighted loss",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "Matthews correlation",
    "macro_f1": "macro F1",
    "brier": "Brier score",
    "ece": "calibration error",
    **POOLED,
}
PER_CLASS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV (precision)",
    "ppv_at_prevalence_0.01": "PPV if 1 % have it",
    "ppv_at_prevalence_0.1": "PPV if 10 % have it",
    "npv": "NPV",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "support": "images",
}


def write_results(file: Path, results: Mapping[str, Any]) -> None:
    """Write ``results`` as JSON, whole or not at all."""
    write_whole(file, (json.dumps(results, indent=2, allow_nan=False) + "\n").encode())


def write_predictions(
    file: Path,
    paths: Sequence[str],
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    more: Mapping[str, Sequence[str | int]] | None = None,
) -> None:
    """Write ``path, label, predicted, prob_<class> ...``, one row an image in the order of the data.

    The file is written whole or not at all.

    Args:
        file: Where to.
        paths: N paths, POSIX, relative to the root.
        logits: (N, C).
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        more: What else is known of the images: columns of N values, by name.
    """
    probabilities = softmax(np.asarray(logits, dtype=np.float64), axis=1)
    more = more or {}
    rest = zip(*more.values(), strict=True) if more else [()] * len(paths)
    with whole(file, newline="", encoding="utf-8", errors="surrogatepass") as lines:
        writer = csv.writer(lines)
        writer.writerow(["path", "label", "predicted", *(f"{PROBABILITY}{name}" for name in classes), *more])
        for path, label, row, known in zip(paths, labels, probabilities, rest, strict=True):
            writer.writerow([path, classes[label], classes[row.argmax()], *(f"{p:.9g}" for p in row), *known])


def count_test(folder: Path, what: str) -> int:
    """Note in the run directory ``folder`` that its test split was evaluated; return how often it has been.

    Each look at a test split lets it choose a little: its numbers can be believed while the count is low.
    """
    file = folder / TESTS
    rows = counted_tests(folder)
    rows.append([datetime.now(UTC).isoformat(timespec="seconds"), what])
    with whole(file, newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([["time", "what"], *rows])
    return len(rows)


def counted_tests(folder: Path) -> list[list[str]]:
    """Return when and what was evaluated on the test split of a run directory, a row each.

    Raises:
        UserError: Where the file cannot be read.
    """
    file = folder / TESTS
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            return list(csv.reader(lines))[1:]
    except FileNotFoundError:
        return []
    except (OSError, csv.Error, ValueError) as error:
        raise UserError(
            f"{file}, which counts how often the test split was looked at, is damaged: {error}. Bring back a copy, or "
            "remove it, and the count begins anew."
        ) from error


def recorded_recipe(file: Path) -> Any:
    """Return the recipe in the record of several runs, None where it is missing or cannot be read."""
    try:
        return json.loads(file.read_text("utf-8")).get("recipe")
    except (OSError, ValueError, AttributeError):
        return None


def print_scores(models: Mapping[str, Mapping[str, Any]], title: str, caption: str = "") -> None:
    """Print the scores of one or more models side by side, each with its 95 % interval."""
    table = Table(title=title, title_justify="left", caption=caption or None, caption_justify="left")
    table.add_column("test [95 % interval]")
    for name in models:
        table.add_column(name, justify="right")
    for key, label in OVERALL.items():
        table.add_row(label, *(_with_interval(scores, key) for scores in models.values()))
    if all("calibrated" in scores for scores in models.values()):
        calibrated = [scores["calibrated"] for scores in models.values()]
        table.add_section()
        table.add_row("temperature, from validation", *(_number(scores["temperature"]) for scores in calibrated))
        for key in ("loss", "brier", "ece"):
            table.add_row(f"{OVERALL[key]}, calibrated", *(_with_interval(scores, key) for scores in calibrated))
    if all("prediction_sets" in scores for scores in models.values()):
        sets = [scores["prediction_sets"] for scores in models.values()]
        table.add_section()
        table.add_row(
            f"sets of {sets[0]['stated']:.0%}: class in them", *(_with_interval(one, "coverage") for one in sets)
        )
        table.add_row("classes a set", *(_number(one["size"]) for one in sets))
        table.add_row("sets without a class", *(_with_interval(one, "empty") for one in sets))
    first = next(iter(models.values()))
    for name in first["per_class"]:
        table.add_section()
        for key, label in PER_CLASS.items():
            cells = [_with_interval(scores["per_class"][name], key) for scores in models.values()]
            table.add_row(f"{name}: {label}", *cells)
    Console().print(table)


def _with_interval(scores: Mapping[str, Any], key: str) -> str:
    limits = scores["intervals"].get(key)
    shown = _number(scores[key])
    return f"{shown} [{limits[0]:.3f}, {limits[1]:.3f}]" if limits else shown


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
