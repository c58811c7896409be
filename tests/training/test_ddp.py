"""Two processes on the CPU give the numbers of one. Lightning or torchrun starts them; a fork where it is no matter."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from forked import run_forked
from helpers import CLASSES, LAST, TRAIN, paint, slow

from bench.two_processes import repeat
from covidnet.commands.train import main
from covidnet.runs.checkpoint import Checkpoint

QUICK = ["trainer.enable_progress_bar=false", "trainer.enable_model_summary=false"]
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]


def launch(*args: str, script: Path = TRAIN) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(script), *args, *QUICK],
        capture_output=True,
        text=True,
        env=environ,
        timeout=120,
        check=False,
    )


@pytest.fixture
def args(xray_root) -> list[str]:
    """Nine test and nine validation images: neither divides by two."""
    return [
        f"data.root={xray_root}",
        "data.test_per_class=3",
        "data.val_fraction=0.34",
        "data.image_size=12",
        "data.batch_size=4",
        "trainer.max_epochs=12",
    ]


@pytest.fixture
def best(args) -> str:
    """The best checkpoint of a run of one process, as a key."""
    main(["fit", *args, "trainer=cpu", *QUICK])
    return "ckpt_path=runs/convnet/version_0/checkpoints/best.ckpt"


def by_one_and_by(number: int, command: str, checkpoint: str) -> list[Path]:
    """Return the runs of ``command`` by one process and by ``number``."""
    main([command, checkpoint, "trainer=cpu", *QUICK])
    done = run_forked(command, checkpoint, *TWO[:-1], f"trainer.devices={number}", *QUICK, processes=number)
    assert done.returncode == 0, done.stderr
    return [Path("runs", "convnet", f"version_{version}") for version in (1, 2)]


@slow
@pytest.mark.parametrize("number", [2, 3])
def test_more_processes_test_as_one_does(number, best):
    runs = by_one_and_by(number, "test", best)
    assert _close(*(json.loads((run / "results.json").read_text())["test"] for run in runs))
    one, more = (_rows(run / "predictions.csv") for run in runs)
    assert [row["path"] for row in one] == [row["path"] for row in more]
    assert all(_close(float(a["prob_NORMAL"]), float(b["prob_NORMAL"])) for a, b in zip(one, more, strict=True))


@slow
@pytest.mark.parametrize("number", [2, 3])
def test_more_processes_validate_as_one_does(number, best):
    assert _close(*(_rows(run / "metrics.csv")[0] for run in by_one_and_by(number, "validate", best)))


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _close(one, two) -> bool:
    """Tell whether two results, whatever their nesting, agree to 1e-6."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_close(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(_close, one, two))
    if not one or not two:  # an undefined ratio, an empty cell, a zero
        return one == two
    return float(one) == pytest.approx(float(two), abs=1e-6)


@slow
def test_a_run_of_two_processes_leaves_one_record_and_stops_together(args):
    done = launch("run", *args, *TWO, "early_stopping.min_delta=1e6", "early_stopping.patience=2")
    assert done.returncode == 0, done.stderr
    runs = list(Path("runs", "convnet").iterdir())
    assert [run.name for run in runs] == ["version_0"]
    results = json.loads((runs[0] / "results.json").read_text())
    assert results["epochs"] == 3
    assert results["best"]["true_positives"] + results["best"]["false_negatives"] == 9
    assert done.stdout.count("balanced accuracy") == 1  # one process tells
    [journal] = Path(os.environ["XDG_CACHE_HOME"]).rglob("journal.jsonl")
    decoded = [line for line in journal.read_text().splitlines()[1:] if line]
    assert len(decoded) == 36  # each image once on this machine, not once a process
    recipe = Checkpoint(runs[0] / "checkpoints" / "best.ckpt").recipe
    assert len(recipe["novelty"]["looks"]) == 18  # all training images, whichever process they trained in
    assert recipe["calibration"]["conformal"]["least"].keys() == results["best"]["per_class"].keys()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[int, Path]:
    """Runs of 1, 2 and 3 processes with the same global batch and no dropout.

    19 images train: in steps of 6, the last of which holds one image, so that some processes have none.
    """
    folder = tmp_path_factory.mktemp("trained")
    root = paint(folder / "xrays")
    for name in CLASSES[1:]:
        next((root / name).iterdir()).unlink()
    images = [f"data.root={root}", "data.test_per_class=3", "data.val_fraction=0.25", "data.image_size=12"]
    recipe = ["model.dropout=0", "trainer.max_epochs=5", f"data.cache_dir={folder}", "report=false"]
    runs = {}
    for number in (1, 2, 3):
        several = [*TWO[:-1], f"trainer.devices={number}"] if number > 1 else ["trainer=cpu"]
        place = [f"data.batch_size={6 // number}", f"trainer.default_root_dir={folder / str(number)}"]
        done = run_forked("run", *images, *recipe, *place, *several, *QUICK, processes=number)
        assert done.returncode == 0, done.stderr
        runs[number] = folder / str(number) / "convnet" / "version_0"
    return runs


@slow
def test_more_processes_with_the_same_global_batch_train_the_same_model(trained):
    for number in (2, 3):
        one, more = (_rows(trained[processes] / "metrics.csv") for processes in (1, number))
        assert len(one) == len(more) > 10
        for name in (
            "train_loss",
            "train_loss_unweighted",
            "train_accuracy",
            "val_loss",
            "val_accuracy",
            "epoch",
            "step",
        ):
            values = [[float(row[name]) for row in rows if row[name]] for rows in (one, more)]
            assert values[0] == pytest.approx(values[1], abs=1e-4), name
        one, more = (_rows(trained[processes] / "predictions.csv") for processes in (1, number))
        assert [row["path"] for row in one] == [row["path"] for row in more]
        for a, b in zip(one, more, strict=True):
            assert float(a["prob_NORMAL"]) == pytest.approx(float(b["prob_NORMAL"]), abs=1e-4)


FAILING = """
import os, sys
from covidnet.commands.train import main
from covidnet.models.classifier import Classifier

step = Classifier.validation_step

def fail_on_rank_1(self, batch, batch_idx):
    if self.global_rank == 1:
        raise RuntimeError("rank 1 fails")
    return step(self, batch, batch_idx)

Classifier.validation_step = fail_on_rank_1
if __name__ == "__main__":
    main(sys.argv[1:])
"""


@slow
def test_a_failing_rank_ends_the_job(args, tmp_path):
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    done = launch("run", *args, *TWO, script=script)  # which would time out if rank 0 waited for ever
    assert done.returncode != 0
    assert "rank 1 fails" in done.stderr


@contextmanager
def endless(args: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Train with two processes in a session of their own, until the first epoch has its checkpoint and beyond."""
    line = [sys.executable, str(TRAIN), "run", *args, *TWO, *QUICK, "ckpt_path=auto"]
    forever = ["trainer.max_epochs=100000", "early_stopping.patience=100000"]
    options = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*line, *forever], **options, start_new_session=True) as job:
        try:
            until = time.monotonic() + 60
            while not LAST.is_file() and time.monotonic() < until:
                time.sleep(0.1)
            yield job
        finally:
            with suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)


def goes_on(args: list[str]) -> bool:
    """Tell whether the run ends well one epoch after its last checkpoint."""
    epochs = torch.load(LAST, weights_only=True)["epoch"] + 1
    again = [*args, *TWO, *QUICK, "ckpt_path=auto", f"trainer.max_epochs={epochs + 1}"]
    done = run_forked("run", *again, processes=2)
    results = json.loads((LAST.parent.parent / "results.json").read_text())
    return done.returncode == 0 and results["epochs"] == epochs + 1


@slow
def test_sigterm_to_all_processes_ends_them_together_and_the_run_goes_on(args):
    with endless(args) as job:
        os.killpg(job.pid, signal.SIGTERM)
        _, errors = job.communicate(timeout=60)
    assert job.returncode == 143, errors
    assert "ckpt_path=auto goes on" in errors
    assert goes_on(args)


@slow
def test_a_killed_rank_ends_the_job_with_a_message_and_the_run_goes_on(args):
    with endless(args) as job:
        [child] = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        _, errors = job.communicate(timeout=60)
    assert job.returncode not in (0, 2)
    assert "another process of this training has ended" in errors
    assert "Traceback" not in errors
    assert goes_on(args)


@slow
def test_no_rank_outlives_a_killed_rank_0(args):
    with endless(args) as job:
        [child] = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        job.kill()
        _, errors = job.communicate(timeout=60)  # until the child has closed its end too
        until = time.monotonic() + 10
        while Path(f"/proc/{child}/cmdline").exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert not Path(f"/proc/{child}/cmdline").exists()
    assert goes_on(args)
    assert "another process of this training has ended" in errors or "is gone: ending too" in errors


@slow
def test_two_runs_of_two_processes_end_well_with_the_same_numbers(tmp_path, xray_root):
    wrong, _ = repeat(2, tmp_path, [f"data.root={xray_root}", "data.test_per_class=3", "data.batch_size=4"])
    assert wrong == []


@slow
def test_two_nodes_under_torchrun_train_one_model(args, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=7", "--local-addr=127.0.0.1"]
    nodes = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2"]
    line = [*torchrun, *meeting, str(TRAIN), "run", *args, *nodes, *QUICK, "trainer.max_epochs=2"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    jobs = [subprocess.Popen(line, env={**os.environ, "OMP_NUM_THREADS": "1"}, **options) for _ in range(2)]
    try:
        outputs = [job.communicate(timeout=120)[0] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    assert [job.returncode for job in jobs] == [0, 0], outputs
    [run] = Path("runs", "convnet").iterdir()
    results = json.loads((run / "results.json").read_text())
    assert results["epochs"] == 2
    assert results["best"]["true_positives"] + results["best"]["false_negatives"] == 9
    assert sum(" on 9 test images" in text for text in outputs) == 1  # one of both tells, for both
