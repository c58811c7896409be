"""A made-up cross-validation: two folds that are the made-up run, and what they say together."""

import csv
import json
import shutil
from pathlib import Path

from helpers import read_json, read_rows
from made_run import CLASSES, write_run, write_table


def write_crossval(tmp_path: Path) -> Path:
    """Write one that has ended, its images in ``tmp_path / "xrays"`` with a table of patients; return its directory."""
    run = write_run(tmp_path)
    folder = run.parent / "crossval_0"
    folder.mkdir()
    rows = read_rows(run / "predictions.csv")
    for number in (1, 2):
        shutil.copytree(run, folder / f"fold_{number}")
    (folder / "fold_1" / "report.html").write_text("its own")
    folds = [[row["path"], row["label"], 1 + number % 2] for number, row in enumerate(rows)]
    write_table(folder / "folds.csv", ["path", "label", "fold"], folds)
    told = [[*row.values(), fold] for row, (_, _, fold) in zip(rows, folds, strict=True)]
    write_table(folder / "predictions.csv", [*rows[0], "fold"], told)
    pooled = {**read_json(run / "results.json")["best"], "calibrated": {"temperature": None, "nll": 0.6, "brier": 0.3}}
    pooled["intervals"] = {"accuracy": [0.4, 0.9]}
    record = {"runs": ["fold_1", "fold_2"], "pooled": pooled, "meaning": "Each image once.", "notes": ["A note."]}
    (folder / "crossval.json").write_text(json.dumps(record))
    with (tmp_path / "xrays" / "metadata.csv").open("w", newline="") as lines:
        patients = [[row["path"], f"P{number // 2}", "secret"] for number, row in enumerate(rows)]
        csv.writer(lines).writerows([["path", "patient", "remark"], *patients])
    assert len(CLASSES) == 2
    return folder
