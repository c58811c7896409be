"""The JSON files and tables of a stranger's run: each value is of the kind that is read there, or is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import mistake, read_json, slow
from made_run import CLASSES, write_run

from bench.fuzz.trained import trained
from covidnet.commands.main import main as tools
from covidnet.errors import UserError
from covidnet.runs.documents import KINDS
from covidnet.runs.documents import read_json as gate
from covidnet.runs.files import CROSSVAL, REPEAT, WISH
from covidnet.runs.predictions import read_predictions
from covidnet.runs.run import Run

FIRST, SECOND = CLASSES
SOUND = {
    "shortcuts.json": {"verdict": "FAIL", "sentence": "90 % survives.", "whole": {"accuracy": 0.5}},
    "external.json": {"checkpoint": "best.ckpt", "sentence": "A drop.", "per_source": {"x": {"overall": {}}}},
    "audit.json": {"verdict": "WARN", "checks": [{"name": "files", "verdict": "WARN", "sentence": "One is odd."}]},
}


@slow
@pytest.mark.xdist_group("fuzz")  # whose run it reads
def test_what_this_program_writes_passes():
    written = [file for name in KINDS if (file := trained() / "run" / name).is_file()]
    assert {*KINDS} - {file.name for file in written} == {REPEAT, CROSSVAL, WISH}  # which a series has
    assert all(map(gate, written))


def changed(way: str, value: Any):
    """Return the change of the value that lies at a way of keys, with dots between them."""

    def change(content: dict[str, Any]) -> None:
        *above, last = way.split("/")
        for key in above:
            content = content[key]
        content[last] = value

    return change


CURVE = {key: [0.1] for key in ("threshold", "model", "low", "high", "all")}
USE = {
    "net_benefit": CURVE,
    "calibration_curve": {key: [None] for key in ("probability", "share", "low", "high")},
    "score_counts": {FIRST: [1], SECOND: [0]},
}

GAP = {"class": FIRST, "lowest": "AP", "highest": "PA", "value": 0.1, "interval": [0, 1]}
HOSTILE = {
    "results.json": [
        ("best/accuracy", "0.9"),
        ("best/accuracy", True),
        ("best/intervals", {"accuracy": [0.1]}),
        ("best/intervals", {"accuracy": ["a", "b"]}),
        ("best/intervals", [1]),
        ("best/notice", 5),
        ("best/per_class", {}),
        ("best/per_class", {FIRST: {"support": 1}, "other": {"support": 1}}),
        (f"best/per_class/{FIRST}/support", -1),
        (f"best/per_class/{FIRST}/support", 1.5),
        (f"best/per_class/{FIRST}/support", 10**30),
        ("best/confusion_matrix", [[1]]),
        ("best/confusion_matrix", "ab"),
        ("best/calibrated", {"temperature": 0}),
        ("best/calibrated", {"ece": 0.1}),
        ("best/thresholds", {FIRST: {}}),
        ("best/prediction_sets", {"per_class": {FIRST: {"support": 1}}}),
        ("best/use", {FIRST: {"net_benefit": {}}}),
        ("best/use", {FIRST: USE | {"calibration_slope": "1"}}),
        ("best/use", {FIRST: USE | {"net_benefit": CURVE | {"low": [0.1, 0.2]}}}),
        ("best/use", {FIRST: USE | {"calibration_curve": {key: [0.1] for key in CURVE}}}),
        ("best/use", {FIRST: USE | {"score_counts": {SECOND: [1]}}}),
        ("best/use", {FIRST: USE | {"score_counts": {FIRST: [1], SECOND: [1, 2]}}}),
        ("classes", [FIRST, 5]),
        ("classes", [FIRST, FIRST]),
        ("classes", "ab"),
        ("counts", {"train": {FIRST: 1}}),
        ("counts", {"train": {FIRST: "1", SECOND: 1}}),
        ("epochs", "many"),
        ("best_epoch", [1]),
        ("seconds", {"test": 1}),
        ("versions", {"torch": 2}),
        ("best", [1]),
        ("class_by", {"source": {"cramers_v": "x", "interval": None, "table": {}, "unknown": 0}}),
        ("class_by", {"source": {"cramers_v": 0.1, "interval": None, "table": {"A": {"x": -1}}, "unknown": 0}}),
        ("source_probe", {FIRST: {"auroc": 0.5}}),
        ("rebalanced", {"sentence": "x"}),
        ("subgroups", {"view": {"groups": {"AP": {"images": 40, "per_class": {FIRST: {"support": 1}}}}, "gaps": {}}}),
        ("subgroups", {"view": {"groups": {"AP": {"images": 40}}, "gaps": {"auroc": GAP}}}),
    ],
    "shortcuts.json": [("verdict", "OK"), ("sentence", 1), ("whole", [1]), ("whole", {"accuracy": "x"})],
    "external.json": [
        ("checkpoint", 5),
        ("root", ["x"]),
        ("sentence", {}),
        ("drop", {"balanced_accuracy": [1]}),
        ("drop", {"balanced_accuracy": {"value": "x"}}),
        ("per_source", [1]),
        ("per_source", {"x": {"overall": {"accuracy": "x"}}}),
        ("inside", {"per_class": [1]}),
        ("seen", [1]),
    ],
    "audit.json": [("verdict", "OK"), ("checks", {}), ("checks", [{"name": "x"}]), ("checks", [5])],
}
CASES = [(name, way, value) for name, cases in HOSTILE.items() for way, value in cases]


@pytest.mark.parametrize(("name", "way", "value"), CASES)
def test_a_value_of_another_kind_is_one_sentence(tmp_path, capsys, name, way, value):
    run = write_run(tmp_path)
    content = read_json(run / name) if name == "results.json" else json.loads(json.dumps(SOUND[name]))
    if name != "results.json":
        (run / name).write_text(json.dumps(content))
        tools(["card", str(run)])  # sound as it is
    changed(way, value)(content)
    (run / name).write_text(json.dumps(content))
    message = mistake(lambda: tools(["card", str(run)]), capsys)
    assert name in message
    assert len([line for line in message.splitlines() if "error: " in line]) == 1


PREDICTIONS = "path,label,predicted,prob_A,prob_B\nx.png,A,A,{},{}\n"


@pytest.mark.parametrize(
    "text",
    [
        PREDICTIONS.format("nan", "0.5"),
        PREDICTIONS.format("inf", "0.5"),
        PREDICTIONS.format("-0.1", "0.5"),
        PREDICTIONS.format("1e300", "0.5"),
        PREDICTIONS.format("0.5", "0.5").replace("prob_B", "prob_A"),
        PREDICTIONS.format("0.5", "0.5") + "y.png,B\n",
        PREDICTIONS.format("0.5", "0.5,extra"),
        "path,label,predicted,prob_A,prob_B\n",
    ],
)
def test_odd_predictions_are_refused(tmp_path, text):
    (tmp_path / "predictions.csv").write_text(text)
    with pytest.raises(UserError, match="cannot be read as predictions"):
        read_predictions(tmp_path / "predictions.csv")


def test_predictions_of_other_classes_are_one_sentence(tmp_path):
    run = write_run(tmp_path)
    (run / "predictions.csv").write_text(PREDICTIONS.format("0.5", "0.5"))
    with pytest.raises(UserError, match=r"predictions\.csv is damaged"):
        _ = Run(run).predictions


@pytest.mark.parametrize("text", ["path,label\nx,A\n", "path,label,split\nx\n", "a\n"])
def test_a_split_that_is_none_is_one_sentence(tmp_path, capsys, text):
    run = write_run(tmp_path)
    (run / "split.csv").write_text(text)
    assert "split.csv is damaged" in mistake(lambda: tools(["card", str(run)]), capsys)


def test_a_terminal_obeys_no_name_in_a_message(tmp_path, capsys):
    run = write_run(tmp_path)
    content = read_json(run / "results.json")
    content["counts"] = {"\x1b[2J": {"\u202e": -1}}
    Path(run, "results.json").write_text(json.dumps(content))
    message = mistake(lambda: tools(["card", str(run)]), capsys)
    assert "\\x1b[2J.\\u202e" in message
