"""A search by two processes at once: both killed with SIGKILL in the middle, then gone on with by two others.

python -m bench.search --trials 20
"""

import argparse
import csv
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from covidnet.series.outcome import BEST, RECORD
from covidnet.series.study import DATABASE, LOCAL, TRIAL_LOCK

TRAIN = Path(__file__).parent.parent / "train.py"
PHANTOMS = ("data=phantom", "data.image_size=24", "data.batch_size=64", "trainer.max_epochs=4")
SEARCH, RUN = Path("convnet", "search_0"), Path("convnet", "version_0")
PROCESSES = 2
Found = dict[str, Any]


def kill_and_go_on(runs: Path, keys: Sequence[str], trials: int, kill_after: int) -> Found:
    """Search from two processes, kill both, go on from two others; return what is found.

    Args:
        runs: Folder of the runs, new.
        keys: What the command line of ``search`` holds besides.
        trials: How many there are to be.
        kill_after: So many finished trials, at least, there are when the two are killed, each in the middle of another.
    """
    command = ["search", f"trials={trials}", f"trainer.default_root_dir={runs}", *keys]
    began = time.perf_counter()
    first = [_start(command, runs.with_name(f"first_{number}.txt")) for number in range(PROCESSES)]
    folder = runs / SEARCH
    while _finished(folder) < kill_after or len(list(folder.glob(f"trial_*/{TRIAL_LOCK}"))) < PROCESSES:
        if any(process.poll() is not None for process in first):
            sys.exit(f"A process ended before it was killed; see {runs.with_name('first_0.txt')}")
        time.sleep(0.02)
    for process in first:
        process.send_signal(signal.SIGKILL)
        process.wait()
    study = _study(folder)
    killed = [trial.params for trial in study.get_trials() if trial.state == TrialState.RUNNING]
    before = _numbers(study)
    second = [_start(command, runs.with_name(f"second_{number}.txt")) for number in range(PROCESSES)]
    codes = [process.wait() for process in second]
    seconds = time.perf_counter() - began
    study = _study(folder)
    finished = [trial for trial in study.get_trials() if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    best = json.loads((folder / RECORD).read_text("utf-8"))["best"]
    return {
        "exit codes after the kill": codes,
        "finished before the kill": len(before),
        "of them still there": len(before & _numbers(study)),
        "killed in the middle": len(killed),
        "of them done again": sum(params in [trial.params for trial in finished] for params in killed),
        "finished": len(finished),
        "distinct": len({json.dumps(trial.params, sort_keys=True) for trial in finished}),
        "whole": sum(trial.state == TrialState.COMPLETE for trial in finished),
        "unfinished": sum(trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in study.get_trials()),
        "test evaluations": len(list(folder.rglob("test_evaluations.csv"))),
        "folders with checkpoints": len(list(folder.rglob("checkpoints"))),
        "best trial": best["trial"],
        "its val_loss": val_losses(folder / f"trial_{best['trial']}"),
        "seconds": round(seconds, 1),
    }


def reproduce(runs: Path) -> tuple[int, list[str]]:
    """Run the best configuration by its file; return the exit code and the val_loss of each epoch, as written."""
    code = _start(["--config", str(runs / SEARCH / BEST), "report=false"], runs.with_name("best.txt")).wait()
    return code, val_losses(runs / RUN)


def val_losses(run: Path) -> list[str]:
    """Return the val_loss of each epoch of a run, as metrics.csv has it."""
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as lines:
        return [row["val_loss"] for row in csv.DictReader(lines) if row["val_loss"]]


def wrong(found: Found, trials: int) -> list[str]:
    """Return what is not as it must be."""
    expected = {
        "exit codes after the kill": [0] * PROCESSES,
        "of them still there": found["finished before the kill"],
        "of them done again": found["killed in the middle"],
        "finished": trials,
        "distinct": trials,
        "unfinished": 0,
        "test evaluations": 0,
        "folders with checkpoints": 1,
    }
    return [f"{key}: {found[key]}, not {value}" for key, value in expected.items() if found[key] != value]


def main() -> None:
    """Search, kill, go on, reproduce the best; print what was found and end with 1 where it is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kill-after", type=int, help="finished trials at the kill; half of them, if left out")
    parser.add_argument("keys", nargs="*", default=PHANTOMS, help=f"of the search; {' '.join(PHANTOMS)} if left out")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(scratch, "runs")
        found = kill_and_go_on(runs, args.keys, args.trials, args.kill_after or args.trials // 2)
        code, again = reproduce(runs)
    mistakes = wrong(found, args.trials)
    if code or again != found["its val_loss"]:
        mistakes.append(f"the best configuration gave {again} (exit code {code})")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {' '.join(args.keys)}")
    for key, value in found.items():
        print(f"{key}: {value}")
    print(f"val_loss by train.py --config {BEST}: {again}")
    sys.exit("WRONG: " + "; ".join(mistakes) if mistakes else 0)


def _start(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("w") as output:
        return subprocess.Popen([sys.executable, str(TRAIN), *words], stdout=output, stderr=subprocess.STDOUT)


def _finished(folder: Path) -> int:
    try:
        return int(json.loads((folder / RECORD).read_text("utf-8")).get("finished", 0))
    except FileNotFoundError:
        return 0


def _study(folder: Path) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.load_study(study_name=LOCAL, storage=f"sqlite:///{folder / DATABASE}")


def _numbers(study: optuna.Study) -> set[int]:
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return {trial.number for trial in study.get_trials() if trial.state in states}


if __name__ == "__main__":
    main()
