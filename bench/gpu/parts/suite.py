"""The project's own tests, with this machine's torch."""

import importlib.util
import os
import subprocess
import sys

from bench.gpu.setting import ROOT
from bench.gpu.work import Work

QUICK = ("tests/models/parts/test_schedule.py",)
WITHOUT = (
    "tests/models",
    "tests/data",
    "tests/evaluation",
    "tests/inference",
    "tests/training/test_fitted.py",
    "tests/training/test_joining.py",
)
TOLD = 25  # lines of what a suite says at its end


def tests(work: Work) -> None:
    """The tests that need a GPU, then many others on the CPU."""
    if not work.setting.rehearse:
        _run(work, "tests on the GPU", ["-k", "on_a_gpu", "tests/models", "tests/training", "tests/data"], {})
    paths = QUICK if work.setting.rehearse else WITHOUT
    _run(work, "tests on the CPU", list(paths), {"CUDA_VISIBLE_DEVICES": ""})


def _run(work: Work, key: str, words: list[str], environment: dict[str, str]) -> None:
    several = ["-n", "4"] if importlib.util.find_spec("xdist") and environment and len(words) > 1 else []
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *several, *words]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()[-TOLD:]
    print("\n".join(lines), done.stderr[-2000:], flush=True)
    work.notes.check(key, done.returncode == 0, lines[-1:] or done.stderr[-300:])
