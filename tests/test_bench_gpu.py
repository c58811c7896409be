"""Facts about `python -m bench.gpu` itself, which a CPU can tell: what only a GPU shows is told there."""

import json
import os
import re
import subprocess
import sys
import time
import warnings
from types import SimpleNamespace

import pytest
from helpers import ROOT, slow

from bench.gpu.notes import Notes
from bench.gpu.process import Process
from bench.gpu.record import Record, exact, gap, within
from bench.gpu.report import JSON, LOG, Report
from bench.gpu.setting import Setting
from bench.gpu.table import ALL, MACHINE, NUMBERS, SECONDS

ONE = {"metrics": [{"val_loss": 1.0}], "weights": "a", "replayed": 3}


def test_two_trainings_are_exactly_alike_only_if_steps_metrics_and_weights_are():
    first = Record(losses=[1.0, 0.5], **ONE)
    assert exact(gap(first, Record(losses=[1.0, 0.5], **ONE)))
    for other in ({"losses": [1.0, 0.25]}, {"losses": [1.0]}, {"weights": "b"}, {"metrics": [{"val_loss": 2.0}]}):
        assert not exact(gap(first, Record(**{"losses": [1.0, 0.5], **ONE, **other})))
    assert not exact(gap(Record(), Record()))


def test_a_gap_may_be_a_few_times_as_wide_as_the_noise_and_no_wider():
    first, noise = Record(losses=[1.0, 0.5]), gap(Record(losses=[1.0, 0.5]), Record(losses=[1.0, 0.51]))
    assert within(gap(first, Record(losses=[1.0, 0.53])), noise)
    assert not within(gap(first, Record(losses=[1.0, 0.56])), noise)
    assert not within(gap(first, Record(losses=[1.0])), noise)


def test_a_training_that_went_on_is_compared_with_the_end_of_one_that_did_not():
    whole = Record(losses=[4.0, 3.0, 2.0, 1.0], metrics=[{"a": 2.0}, {"a": 1.0}])
    assert exact(gap(whole.end(2, 1), Record(losses=[2.0, 1.0], metrics=[{"a": 1.0}])))


@pytest.fixture
def report(tmp_path):
    (tmp_path / "notes").mkdir()
    return Report(tmp_path, tmp_path / "notes", rehearse=False, parts={"equal": {"state": "ended"}})


def test_what_a_part_noted_becomes_lines(report):
    notes = Notes(report.notes / "equal.json")
    notes.training("eager", {"steps": 4})
    notes.check("captured v eager", True, {"unequal": 0})
    assert [line[:2] for line in report.lines()] == [
        ("PASS", "equal: trainings that ran to their end"),
        ("PASS", "equal: captured v eager"),
    ]
    assert report.good()
    notes.check("replayed", None, "no GPU")
    assert report.lines()[-1] == ("LACKS", "equal: replayed", "no GPU")
    assert not report.good()
    notes.training("captured", {"error": "RuntimeError: no"})
    assert ("FAIL", "equal: captured", "RuntimeError: no") in report.lines()
    assert ("FAIL", "equal: trainings that ran to their end", "1 of 2") in report.lines()


@pytest.mark.parametrize(("state", "level"), [("stopped after 170 s", "LACKS"), ("failed with exit code 1", "FAIL")])
def test_a_part_that_did_not_end_is_told_and_what_it_noted_counts(report, state, level):
    Notes(report.notes / "equal.json").check("captured v eager", True, {})
    report.parts = {"equal": {"state": state}}
    assert [line[:2] for line in report.lines()] == [(level, "equal"), ("PASS", "equal: captured v eager")]
    assert not report.good()


def test_a_rehearsal_is_good_though_it_lacks_what_only_a_gpu_tells(report):
    report.rehearse = True
    Notes(report.notes / "equal.json").check("replayed", None, {})
    assert report.good()


def test_waits_are_counted_by_the_lines_of_covidnet_that_wait(tmp_path, monkeypatch):
    from bench.gpu import watch

    modes = []
    monkeypatch.setattr(watch, "on_gpu", lambda module: True)
    monkeypatch.setattr("torch.cuda.set_sync_debug_mode", modes.append)
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)
    waits = watch.Waits(str(tmp_path / "waits.json"))
    for batch in range(9):
        trainer = SimpleNamespace(current_epoch=1, is_last_batch=False)
        waits.on_train_batch_end(trainer, None, None, None, batch)
        if modes[-1:] == ["warn"]:
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
            warnings.warn("called something else", stacklevel=1)
    found = json.loads((tmp_path / "waits.json").read_text())
    assert found["steps"] == sum(found["waits"].values()) == watch.LOOKED_AT
    assert all("test_bench_gpu.py" in place for place in found["waits"])
    assert modes == ["warn", "default"]


def test_a_part_is_ended_when_its_time_is_up(tmp_path):
    process = Process(MACHINE, Setting(tmp_path, tmp_path, rehearse=True), tmp_path, seconds=0.05)
    while not process.over():
        time.sleep(0.02)
    assert process.state.startswith("stopped after")
    assert process.process.returncode == -9


def test_the_readme_tells_what_each_part_finds_out():
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "bench" / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [part.name for part in (*NUMBERS, *SECONDS)]
    assert all(part.text.endswith(".") for part in ALL.values())


def test_a_part_that_is_none_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu", "equals"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no part equals; there are equal, convnet" in done.stderr


@slow
def test_without_a_gpu_only_a_rehearsal_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu", "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "torch finds no CUDA GPU here; --rehearse runs everything on the CPU." in done.stderr


@slow
def test_a_rehearsal_runs_on_a_cpu(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu", "frozen", "convnet_speed", "--rehearse", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / JSON).read_text())
    assert {part["state"] for part in report["parts"].values()} == {"ended"}
    trainings = report["parts"]["frozen"]["trainings"] | report["parts"]["convnet_speed"]["trainings"]
    assert len(trainings) == 5
    assert all(training["steps"] > 0 for training in trainings.values())
    assert "PASS    frozen: frozen: captured v eager" in done.stdout
    assert "==== convnet_speed" in (tmp_path / LOG).read_text()
