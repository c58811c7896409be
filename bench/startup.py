"""What commands cost before they work: CPU seconds beside those of the bare import that they cannot do without.

python -m bench.startup
python -m bench.startup --before FOLDER --train     # another checkout in turns with this one; a whole training too

Everything takes turns on this machine, each time in a fresh process, so that what else runs there slows all alike.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parents[1]
TORCH, LIGHTNING = "import torch", "import pytorch_lightning"
MISTAKE = 2  # the exit code of a wrong path
# Ends the process after the first step of a training; a module of its own, as another checkout has no such bench.
FIRST_STEP = """
import os
from pytorch_lightning import Callback

class FirstStep(Callback):
    def on_train_batch_end(self, *args):
        os._exit(0)
"""
CALLBACK = "trainer.callbacks=[{class_path: first_step.FirstStep}]"
PHANTOM = ["train.py", "data=phantom"]
RUN = "runs/convnet/version_0"


class Task(NamedTuple):
    """What is timed."""

    words: list[str]  # for Python; a script is looked for in the checkout
    over: str = ""  # the bare import whose seconds are taken off
    code: int = 0


class Took(NamedTuple):
    """What a process took, in seconds."""

    cpu: float
    wall: float
    first: float  # until it said something; until its end where it said nothing


TASKS = {
    TORCH: Task(["-c", "import torch"]),
    LIGHTNING: Task(["-c", "import pytorch_lightning"]),
    "predict /nope": Task(["-m", "covidnet", "predict", "/nope"], code=MISTAKE),
    "audit /nope": Task(["-m", "covidnet", "audit", "/nope"], code=MISTAKE),
    "train.py without data": Task(["train.py"], code=MISTAKE),
    "train.py run --help": Task(["train.py", "run", "--help"]),
    "predict RUN IMAGE": Task(["-m", "covidnet", "predict", RUN, "image.png", "--device=cpu"], TORCH),
    "covidnet.load(RUN)": Task(["-c", f"import covidnet; covidnet.load({RUN!r}, 'cpu')"], TORCH),
    "the first step": Task([*PHANTOM, "fit", "trainer.default_root_dir=begun", CALLBACK], LIGHTNING),
}
TRAIN = {"train.py data=phantom": Task([*PHANTOM, "trainer.default_root_dir=trained"])}


def main() -> None:
    """Let all take turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another checkout to compare with")
    text = "where each checkout has its phantoms and runs; made anew where left out"
    parser.add_argument("--work", type=Path, metavar="FOLDER", help=text)
    parser.add_argument("--train", action="store_true", help="a whole training too, with its report")
    options = parser.parse_args()
    tasks = {**TASKS, **(TRAIN if options.train else {})}
    checkouts = [*([options.before.resolve()] if options.before else []), HERE]
    with tempfile.TemporaryDirectory() as place:
        work = (options.work or Path(place)).resolve()
        folders = [_prepared(work / str(number), checkout) for number, checkout in enumerate(checkouts)]
        took: dict[tuple[Path, str], list[Took]] = {}
        for turn in range(options.rounds + 1):
            for name, task in tasks.items():
                for checkout, folder in zip(checkouts, folders, strict=True):
                    one = measured(task, checkout, folder)
                    if turn or name in TRAIN:  # the first round fills what caches there are, as the preparation did
                        took.setdefault((checkout, name), []).append(one)
        for checkout in checkouts:
            print(f"\n{checkout}")
            print_medians(tasks, {name: took[checkout, name] for name in tasks})


def measured(task: Task, checkout: Path, folder: Path) -> Took:
    """Return what a process took, with those that it started.

    Raises:
        RuntimeError: Where it ended otherwise than the task says.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *(str(checkout / word) if word == PHANTOM[0] else word for word in task.words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{checkout}:{folder}", "XDG_CACHE_HOME": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout
        said = process.stdout.read(1)
        first = time.perf_counter() - began
        said += process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != task.code:
        raise RuntimeError(f"{task.words} in {checkout} ended with {process.returncode}:\n{said.decode()}")
    return Took(usage.ru_utime + usage.ru_stime, time.perf_counter() - began, first)


def _prepared(folder: Path, checkout: Path) -> Path:
    """Make a folder with a run, an image and decoded phantoms, as somebody has who used the tool before."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "first_step.py").write_text(FIRST_STEP)
    if not (folder / RUN).exists():
        measured(Task([*PHANTOM, "trainer.max_epochs=1"]), checkout, folder)
    image = next((folder / "cache").rglob("*.png"))
    (folder / "image.png").write_bytes(image.read_bytes())
    return folder


def print_medians(tasks: dict[str, Task], took: dict[str, list[Took]]) -> None:
    """Print a line for each task: the medians of its seconds, and of what is over the bare import."""
    print(f"{'':26}{'CPU s':>9}{'over the import':>17}{'wall s':>9}{'first word s':>14}")
    cpu = {name: statistics.median(one.cpu for one in found) for name, found in took.items()}
    for name, task in tasks.items():
        over = f"{cpu[name] - cpu[task.over]:.2f}" if task.over else ""
        wall, first = (statistics.median(getattr(one, what) for one in took[name]) for what in ("wall", "first"))
        print(f"{name:26}{cpu[name]:9.2f}{over:>17}{wall:9.2f}{first:14.2f}")


if __name__ == "__main__":
    main()
