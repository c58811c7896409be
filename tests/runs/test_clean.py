"""Room on the disk: what goes is told, no result goes with it, and nothing of a run in which a process writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from helpers import call, mistake, read_json
from made_run import write_run

from covidnet.commands import runs
from covidnet.commands.main import main
from covidnet.runs.checkpoint import Checkpoint
from covidnet.runs.claim import hold
from covidnet.runs.clean import BROKEN, CUT_OFF, HALF, LUNGS, OPTIMIZERS, clean, remains_in

OPTIMIZER = [{"state": {0: {"exp_avg": torch.zeros(1000)}}, "param_groups": []}]


def begin(folder: Path, command: str = "run", *files: str) -> Path:
    """Leave what a run leaves that ended before it had results."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        yaml.safe_dump({"seed_everything": 1} | ({"report": True} if command == "run" else {}))
    )
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("0")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run of an older version with its lungs test, and what was cut off."""
    run = write_run(tmp_path)
    best = run / "checkpoints" / "best.ckpt"
    whole = {**torch.load(best, weights_only=True), "optimizer_states": OPTIMIZER}
    lungs = run / "shortcuts" / "covered" / "convnet" / "version_0"
    for one in (run, lungs):
        (one / "checkpoints").mkdir(parents=True, exist_ok=True)
        for name in ("best.ckpt", "last.ckpt"):
            torch.save(whole, one / "checkpoints" / name)
    (lungs / "results.json").write_text("{}")
    (run / "results.json.12.part").write_text("half")
    last = "checkpoints/last.ckpt"
    begin(run.with_name("version_1"), "run", "split.csv")
    begin(run.with_name("version_2"), "run", last)
    begin(run.with_name("version_3"), "fit", last)
    begin(run.with_name("version_4"), "run", "notes.txt")
    return tmp_path / "runs"


def kinds(folder: Path, **options: bool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in remains_in(folder, **options):
        found.setdefault(one.kind, []).append(one.place.relative_to(folder / "convnet").as_posix())
    return found


def test_what_nobody_needs_goes_and_every_result_stays(folder):
    run = folder / "convnet" / "version_0"
    lungs = "version_0/shortcuts/covered/convnet/version_0/checkpoints"
    assert kinds(folder) == {
        HALF: ["version_0/results.json.12.part"],
        OPTIMIZERS: ["version_0/checkpoints/best.ckpt", f"{lungs}/best.ckpt"],
        LUNGS: [f"{lungs}/last.ckpt"],
        BROKEN: ["version_1"],
    }
    weights = Checkpoint(run / "checkpoints" / "best.ckpt").model().state_dict()
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.suffix in (".json", ".csv", ".txt")}
    assert clean(remains_in(folder)) > 8000  # the moments of two checkpoints
    assert kinds(folder) == {}
    gone = {file for file in before if not file.is_file()}
    assert gone == {folder / "convnet" / "version_1" / "split.csv"}
    assert {file: file.read_bytes() for file in before if file not in gone}.items() <= before.items()
    best = Checkpoint(run / "checkpoints" / "best.ckpt")
    assert not best.goes_on
    assert Checkpoint(run / "checkpoints" / "last.ckpt").goes_on
    torch.testing.assert_close(best.model().state_dict(), weights)


def test_a_run_that_could_go_on_goes_only_where_that_is_asked_for(folder):
    assert kinds(folder, cut_off=True)[CUT_OFF] == ["version_2"]  # fit leaves no results, so it may be finished
    clean(remains_in(folder, cut_off=True))
    left = sorted(one.name for one in (folder / "convnet").iterdir())
    assert left == ["version_0", "version_3", "version_4"]


def test_nothing_goes_of_a_run_in_which_a_process_writes(folder):
    found = remains_in(folder)
    lock = hold(folder / "convnet" / "version_1", ".lock")
    assert BROKEN not in kinds(folder)
    clean(found)  # was found before the process began
    assert (folder / "convnet" / "version_1").is_dir()
    lock.release()


def test_clean_tells_what_goes_and_asks(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert "--yes" in mistake(lambda: main(["runs", "clean", str(folder)]), capsys)
    assert (folder / "convnet" / "version_1").is_dir()
    call(runs, "clean", folder, "--yes")
    assert "MB are free again" in capsys.readouterr().out
    call(runs, "clean", folder, "--yes")
    assert "Nothing in" in capsys.readouterr().out


def test_the_table_names_each_run_with_its_numbers_and_verdict(folder, capsys):
    run = folder / "convnet" / "version_0"
    scores = read_json(run / "results.json")
    scores["best"]["intervals"] = {"accuracy": [0.39, 0.89], "balanced_accuracy": [0.4, 0.9]}
    (run / "results.json").write_text(json.dumps(scores))
    told = {"verdict": "FAIL", "sentence": "Most survives.", "skill_survives": 0.93, "interval": [0.8, 1.0]}
    (run / "shortcuts.json").write_text(json.dumps(told))
    call(runs, folder)
    printed = capsys.readouterr().out
    for text in ("xrays", "70.0", "[39, 89]", "93.0", "FAIL", "convnet/version_2", "convnet/version_1"):
        assert text in printed
    call(runs, "ls", folder, "--json")
    rows = {row["run"]: row for row in json.loads(capsys.readouterr().out)["runs"]}
    found = rows[str(run)]
    assert found["accuracy"] == {"value": 0.7, "interval": [0.39, 0.89]}
    assert (found["state"], found["data"], found["outside"], found["verdict"]) == ("finished", "xrays", None, "FAIL")
    assert rows[str(run.with_name("version_2"))]["state"] == "can go on"


def test_the_table_needs_no_torch(folder):
    code = "import sys; from covidnet.commands.main import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "runs", str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
