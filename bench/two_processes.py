"""Train with two processes again and again: each run must end with exit code 0 and the same numbers.

python -m bench.two_processes --runs 50
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

TRAIN = Path(__file__).parent.parent / "train.py"
DATA = ("data=phantom",)
ARGUMENTS = (
    "data.image_size=24",
    "trainer=ddp",
    "trainer.accelerator=cpu",
    "trainer.devices=2",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
    "trainer.enable_model_summary=false",
    "report=false",
)


def repeat(runs: int, folder: Path, data: Sequence[str] = DATA) -> tuple[list[str], list[float]]:
    """Do ``runs`` runs below ``folder`` on some data; return what went wrong, and the seconds of each."""
    wrong, seconds = list[str](), list[float]()
    first = b""
    for number in range(runs):
        place, began = folder / str(number), time.monotonic()
        place.mkdir()
        done = subprocess.run(
            [sys.executable, TRAIN, *data, *ARGUMENTS],
            cwd=place,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        seconds.append(time.monotonic() - began)
        predictions = place / "runs" / "convnet" / "version_0" / "predictions.csv"
        content = predictions.read_bytes() if predictions.is_file() else b""
        first = first or content
        if done.returncode or content != first:
            same = "the same predictions" if content == first else "other predictions"
            wrong.append(f"run {number}: exit code {done.returncode}, {same}\n{done.stderr[-2000:]}")
        print(f"run {number}: exit code {done.returncode}, {seconds[-1]:.1f} s", flush=True)
    return wrong, seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        wrong, seconds = repeat(options.runs, Path(scratch))
    print("\n".join(wrong))
    right = options.runs - len(wrong)
    print(f"{right} of {options.runs} runs of two processes ended with exit code 0 and the same numbers")
    print(f"{min(seconds):.1f} to {max(seconds):.1f} s a run")
    sys.exit(bool(wrong))
