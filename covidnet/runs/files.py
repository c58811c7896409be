"""What a run leaves: results.json, predictions.csv and the table on the screen."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from covidnet.data.spelling import composed
from covidnet.errors import UserError
from covidnet.files.reading import UNREADABLE, read_rows, read_table
from covidnet.files.whole import whole, write_whole

LAST = "last.ckpt"  # of the last whole epoch
LOCK = ".lock"  # is held in a run directory while a run writes there
PARTS = {
    "inside": "At home",
    "lungs_only": "Lungs only",
    "lungs_covered": "Lungs covered",
    "swapped_at_test": "Surround swapped in the test",
    "outside": "Elsewhere",
}
CHECKPOINT = Path("checkpoints", "best.ckpt")
METRICS = "metrics.csv"
SHORTCUTS, AUDIT, EXTERNAL, COMPARISON = "shortcuts.json", "audit.json", "external.json", "comparison.json"
EXTERNAL_PREDICTIONS = "external_predictions.csv"
REPORT, CARD = "report.html", "model_card.md"
LUNGS_RUNS = "shortcuts"  # the folder of the runs that the lungs test trains and tests
LUNGS_APART = "masks_"  # begins the names of the folders in it of runs by another data.masks than the run's own
LUNGS = {"lungs_covered": "covered", "lungs_only": "only"}  # what shortcuts.json calls them -> data.lungs, and folder
LUNGS_AT_TEST = {"covered_at_test": "covered", "swapped_at_test": "swapped"}  # the same of the run's own model
LUNGS_FOLDERS = {**LUNGS, **{name: name for name in LUNGS_AT_TEST}}
SEED = "seed_"  # begins the names of the run directories in that of a repeat
FOLD = "fold_"  # the same in that of a cross-validation
REPEAT, CROSSVAL = "repeat.json", "crossval.json"  # records of series whose runs are an ensemble
WISH = "wish.json"  # what `covidnet threshold` was asked for, of an ensemble
MODELS = ("best", "final", "test")  # keys of results.json that hold scores; the first that is there is the one shown

RESULTS, PREDICTIONS, SPLIT, TESTS = "results.json", "predictions.csv", "split.csv", "test_evaluations.csv"
PREDICTED = {"test": PREDICTIONS, "val": "val_predictions.csv"}  # split -> what the model said of its images
CONFIG = "config.yaml"
SPLIT_COLUMNS = ("path", "label", "split")
FOLDS, FOLDS_COLUMNS = "folds.csv", ("path", "label", "fold")  # of a cross-validation
LABELS = "labels.csv", "labels.json"  # what `covidnet labels` leaves


def write_results(file: Path, results: Mapping[str, Any]) -> None:
    """Write ``results`` as JSON, whole or not at all."""
    text = json.dumps(results, indent=2, allow_nan=False)
    # A list of numbers on one line: a curve would take hundreds. No text of JSON holds the end of a line.
    text = re.sub(r'\[\n([^"\[\]{}]+)\]', lambda found: f"[{' '.join(found[1].split())}]", text)
    write_whole(file, f"{text}\n".encode())


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
        return read_rows(file)[1:]
    except FileNotFoundError:
        return []
    except UNREADABLE as error:
        raise UserError(
            f"{file}, which counts how often the test split was looked at, is damaged: {error}. Bring back a copy, or "
            "move it away, and the count begins anew."
        ) from error


def looks_told(times: int) -> str:
    """Return how often a test was looked at, in words."""
    return f"These test images have been evaluated {times:,} {'time' if times == 1 else 'times'}"


def unreadable(file: Path, error: Exception) -> UserError:
    """Return the refusal of a file of a run that is damaged."""
    return UserError(f"{file} is damaged and cannot be read: {reason_of(error)}. Bring back a copy, or move it away.")


def reason_of(error: Exception) -> str:
    """Return an error's message with its kind, for kinds whose message says little."""
    return f"{error} ({type(error).__name__})"


def read_rows_of(file: Path, needed: Sequence[str] = SPLIT_COLUMNS) -> list[dict[str, str]]:
    """Return the rows of a run's split.csv, or of another file of labels, the names of its classes composed.

    Raises:
        UserError: Where it cannot be read, or lacks a column or a value.
    """
    try:
        columns, rows = read_table(file)
        if not set(needed) <= set(columns) or any(row[name] is None for row in rows for name in needed):
            raise ValueError(f"it has no columns {', '.join(needed)} with a value in each row")
    except UNREADABLE as error:
        raise unreadable(file, error) from error
    return [{**row, "label": composed(row["label"])} for row in rows]
