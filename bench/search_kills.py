"""Processes that share a study, killed with SIGKILL at random moments: is each trial done, and once?

The trials train nothing, so that the kills often hit the moments in which a trial is taken and told.

python -m bench.search_kills --seconds 120
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from covidnet.series.study import DATABASE, LOCAL, SharedStudy

SPACE = {"model.dropout": FloatDistribution(0.0, 0.6), "data.augment": CategoricalDistribution(["none", "mild"])}
EPOCHS, EPOCH = 3, 0.01  # of a trial, and the seconds of each
LONGEST = 0.6  # seconds that a process lives, at most, after a trial that it has begun


def work(folder: Path, trials: int) -> None:
    """Do trials until there are as many as asked for."""
    study = SharedStudy(folder, None, "", SPACE, "min", seed=28, prune=True)
    while len(study.finished()) < trials:
        trial = study.claim(trials)
        if trial is None:
            time.sleep(0.1)
            continue
        print(trial.number, flush=True)
        for epoch in range(EPOCHS):
            trial.report(trial.params["model.dropout"], epoch)
            time.sleep(EPOCH)
        study.finish(trial, trial.params["model.dropout"], {"epochs": EPOCHS})
    study.close()


def kill_at_random(folder: Path, trials: int, seconds: float, seed: int) -> int:
    """Keep two processes at work, kill one now and then for so many seconds; return how many were killed."""
    rng, kills, over = random.Random(seed), 0, time.monotonic() + seconds
    working = [_start(folder, trials) for _ in range(2)]
    while any(process.poll() is None for process in working):
        process = rng.choice([process for process in working if process.poll() is None])
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, LONGEST))
        if time.monotonic() < over and process.poll() is None:
            process.kill()
            process.wait()
            kills += 1
            working.remove(process)
            working.append(_start(folder, trials))
    if any(process.returncode for process in working):
        sys.exit(f"WRONG: exit codes {[process.returncode for process in working]}")
    return kills


def main() -> None:
    """Kill, then count; end with 1 where a trial is missing, doubled or lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=120.0, help="for which processes are killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="be one of the processes")
    args = parser.parse_args()
    if args.work:
        work(args.work, args.trials)
        return
    with tempfile.TemporaryDirectory() as scratch:
        kills = kill_at_random(Path(scratch), args.trials, args.seconds, args.seed)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.load_study(study_name=LOCAL, storage=f"sqlite:///{Path(scratch, DATABASE)}")
        trials = study.get_trials()
    finished = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    distinct = {json.dumps(trial.params, sort_keys=True) for trial in finished}
    killed = [trial for trial in trials if trial.state == TrialState.FAIL and set(trial.params) == set(SPACE)]
    lost = [trial.number for trial in killed if json.dumps(trial.params, sort_keys=True) not in distinct]
    unfinished = [trial.number for trial in trials if trial.state == TrialState.RUNNING]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; seed {args.seed}")
    print(f"{kills} processes killed, {len(killed)} of them with a trial whose parameters were drawn")
    print(f"{len(finished)} finished, {len(distinct)} distinct, lost: {lost}, unfinished: {unfinished}")
    if len(finished) != args.trials or len(distinct) != args.trials or lost or unfinished:
        sys.exit("WRONG")


def _start(folder: Path, trials: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.search_kills", "--work", str(folder), "--trials", str(trials)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    main()
