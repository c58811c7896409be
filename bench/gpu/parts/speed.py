"""Seconds, each part alone on the machine: the cold start, an epoch, and what others take for it."""

import json
import subprocess
import sys
import time
from typing import Any

from bench.gpu.record import Record
from bench.gpu.setting import ROOT
from bench.gpu.work import EAGER, Work
from covidnet.machine.parallel import cores

TRAIN = ROOT / "train.py"
# What is asked for on one H200 with 16 cores and 2,905 PNG of 1024x1024.
COLD = 75.0  # seconds from the command to results.json, 20 epochs of InceptionV3
EPOCH = 1.9  # seconds of InceptionV3 at 256x256 in batches of 15
TIMES = 4.5  # as fast as plain Lightning
CHECKPOINTS = 0.1  # of an epoch
SMALL_EPOCH = 0.1  # seconds of ConvNet at 50x50 in batches of 250
OF_BARE = 0.9  # of a bare loop's images a second in batches of 256


def cold(work: Work) -> None:
    """`python train.py model=inception model.pretrained=false trainer.max_epochs=20` with an empty cache."""
    setting, runs, file = work.setting, work.folder("cold", work.setting.large), work.folder("records") / "cold.json"
    watching = {"class_path": "bench.gpu.watch.Steps", "init_args": {"file": str(file)}}
    words = [*setting.inception, setting.epochs(2, 20), "report=false", f"--trainer.callbacks={json.dumps([watching])}"]
    words += [f"data.cache_dir={runs / 'cache'}", "trainer.enable_progress_bar=true"]
    began = time.time()
    command = [sys.executable, str(TRAIN), "run", *setting.large.words(runs), setting.trainer, *words]
    code = subprocess.run(command, check=False).returncode
    done = next(runs.glob("*/version_0/results.json"), None)
    if code or not done:
        work.notes.training("cold start", {"error": f"exit code {code}: see the log"})
        return
    seconds = done.stat().st_mtime - began
    results, record = json.loads(done.read_text()), Record(**json.loads(file.read_text()))
    work.notes.training("cold start", {**record.told(), "seconds": seconds})
    work.only_on_a_gpu(f"cold start to results.json in at most {COLD:g} s", seconds <= COLD, round(seconds, 1))
    work.notes.figure("seconds of fit and test", results["seconds"])
    _checkpoints(work, record)


def _checkpoints(work: Work, record: Record) -> None:
    between, epoch = sorted(record.between)[len(record.between) // 2], record.steady()
    found = {"between epochs": between, "epoch": epoch}
    work.only_on_a_gpu(f"between epochs at most {CHECKPOINTS:.0%} of an epoch", between <= CHECKPOINTS * epoch, found)


def epochs(work: Work) -> None:
    """An epoch of InceptionV3 at 256x256 in batches of 15: captured, eagerly, and by plain Lightning."""
    setting = work.setting
    captured = work.train(
        "InceptionV3, captured", [*setting.inception, setting.epochs(2, 6), setting.captured], images=setting.large
    )
    if captured:
        within = captured.steady() <= EPOCH
        work.only_on_a_gpu(f"an epoch of InceptionV3 in at most {EPOCH} s", within, captured.steady())
    eager = work.train("InceptionV3, eager", [*setting.inception, setting.epochs(2, 3), EAGER], images=setting.large)
    workers = ["--workers", str(1 if setting.rehearse else max(cores() - 1, 1)), "--epochs", "3"]
    precision = ["--precision", "32-true" if setting.rehearse else "bf16-mixed"]
    plain = _peer(work, "plain Lightning", "bench.plain_lightning", 15, [*workers, *precision])
    if captured and eager and plain:
        seconds = {"captured": captured.steady(), "eager": eager.steady(), "plain Lightning": plain}
        good = plain >= TIMES * captured.steady()
        work.only_on_a_gpu(f"at least {TIMES} times as fast as plain Lightning", good, seconds)


def batch256(work: Work) -> None:
    """Seconds of an epoch in batches of 256: as it comes, eager, and a bare loop over images on the GPU."""
    setting = work.setting
    words = [*setting.inception, f"data.batch_size={16 if setting.rehearse else 256}", setting.epochs(2, 6)]
    seconds: dict[str, float] = {}
    for name, word in {"as it comes": "model.capture=auto", "eager": EAGER}.items():
        record = work.train(f"batch 256, {name}", [*words, word], images=setting.large)
        if record:
            seconds[name] = record.steady()
            work.notes.figure(f"{name}: MB that the process held", record.reserved)
    cache = ["--network", "ours", "--cache-dir", str(setting.large.cache), "--epochs", "5"]
    bare = _peer(work, "bare loop", "bench.bare_loop", 256, cache)
    if bare and "as it comes" in seconds:
        good = bare >= OF_BARE * seconds["as it comes"]
        found = {**seconds, "bare loop": bare}
        work.only_on_a_gpu(f"batch 256: at least {OF_BARE} of the bare loop's images a second", good, found)


def convnet_speed(work: Work) -> None:
    """An epoch of ConvNet at 50x50 in batches of 250, captured and eager."""
    words = ["model=convnet", work.setting.epochs(3, 15)]
    captured = work.train("ConvNet, captured", [*words, work.setting.captured], images=work.setting.large)
    work.train("ConvNet, eager", [*words, EAGER], images=work.setting.large)
    if captured:
        good = captured.steady() <= SMALL_EPOCH
        work.only_on_a_gpu(f"an epoch of ConvNet in at most {SMALL_EPOCH} s", good, captured.steady())


def waits(work: Work) -> None:
    """Where Python waits for the GPU in a step, by either recipe and with a frozen backbone; recipe=robust's epoch."""
    setting = work.setting
    recipes = {
        "tutorial": ["recipe=tutorial"],
        "robust": ["recipe=robust"],
        "frozen": ["model.freeze_backbone=true"],
    }
    for name, words in recipes.items():
        file = work.folder("waits") / f"{name}.json"
        few = [*setting.inception, *words, "trainer.max_epochs=2", "trainer.limit_train_batches=20", setting.captured]
        watching = {"bench.gpu.watch.Waits": {"file": str(file)}}
        work.train(f"{name}, few batches", few, images=setting.large, callbacks=watching)
        found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
        good = found.get("steps", 0) > 0 and not found["waits"]
        work.only_on_a_gpu(f"{name}: no step waits for the GPU", good, found)
    words = [*setting.inception, "recipe=robust", setting.epochs(2, 5), setting.captured]
    record = work.train("InceptionV3, robust", words, images=setting.large)
    if record:
        work.notes.figure("recipe=robust: seconds an epoch", record.steady())


def _peer(work: Work, key: str, module: str, batch_size: int, words: list[str]) -> float | None:
    """Run another program over the large images; return its seconds an epoch, or None where it failed."""
    setting, file = work.setting, work.folder("records") / f"{module}.json"
    model, size = ("convnet", 16) if setting.rehearse else ("inception", 256)
    sizes = ["--model", model, "--image-size", str(size), "--batch-size", str(batch_size)]
    command = [sys.executable, "-m", module, "--root", str(setting.large.root), *sizes, "--times", str(file), *words]
    done = subprocess.run(command, check=False)
    if done.returncode or not file.is_file():
        work.notes.training(key, {"error": f"exit code {done.returncode}: see the log"})
        return None
    record = Record(epochs=json.loads(file.read_text())["epochs"])
    work.notes.training(key, {"epochs": record.epochs})
    return record.steady()
