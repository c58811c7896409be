"""What a run leaves: results.json, predictions.csv and the table on the screen."""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import softmax

POOLED = {
    "loss": "loss",
    "weighted_loss": "weighted loss",
    "accuracy": "accuracy",
    "true_positives": "true positives",
    "false_positives": "false positives",
    "true_negatives": "true negatives",
    "false_negatives": "false negatives",
    "precision": "precision",
    "recall": "recall",
}


def write_results(file: Path, results: Mapping[str, Any]) -> None:
    """Write ``results`` as JSON, whole or not at all."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    unfinished.replace(file)


def write_predictions(
    file: Path,
    paths: Sequence[str],
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
) -> None:
    """Write ``path, label, predicted, prob_<class> ...``, one row an image in the order of the data.

    Args:
        file: Where to.
        paths: N paths, POSIX, relative to the root.
        logits: (N, C).
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
    """
    probabilities = softmax(np.asarray(logits, dtype=np.float64), axis=1)
    with file.open("w", newline="", encoding="utf-8", errors="surrogatepass") as lines:
        writer = csv.writer(lines)
        writer.writerow(["path", "label", "predicted", *(f"prob_{name}" for name in classes)])
        for path, label, row in zip(paths, labels, probabilities, strict=True):
            writer.writerow([path, classes[label], classes[row.argmax()], *(f"{p:.9g}" for p in row)])


def print_scores(models: Mapping[str, Mapping[str, Any]], title: str) -> None:
    """Print the scores of one or more models side by side."""
    table = Table(title=title, title_justify="left")
    table.add_column("test")
    for name in models:
        table.add_column(name, justify="right")
    for key, label in POOLED.items():
        table.add_row(label, *(_number(scores[key]) for scores in models.values()))
    first = next(iter(models.values()))
    for name in first["per_class"]:
        table.add_section()
        for key in ("sensitivity", "specificity", "precision", "support"):
            table.add_row(f"{name}: {key}", *(_number(scores["per_class"][name][key]) for scores in models.values()))
    Console().print(table)


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
