"""Kill training runs at random moments and compare what the resumed ones end with, bit by bit.

python -m bench.soak --kills 200 --seed 1
python -m bench.soak --command crossval --kills 50     # or short: a run on few and small images

Each run is `run data=phantom ckpt_path=auto` in a folder of its own. It is ended once or several times: by SIGKILL,
SIGTERM or SIGINT at a random moment, or by SIGKILL inside the writing of a file (half of its bytes there, all of them
but not its name, or just its name). Then it is left to end, and weights, optimizer, counters, metrics, predictions,
split and stopping epoch are compared with those of a run that nothing had ended. The processes are forked from one that
has imported torch, which saves the seconds of an import a life; each runs the command line as train.py does.

A cross-validation is ended in the same way, at any moment of its folds, between them, and while it writes what they say
together; each fold's run, the folds and what is pooled are compared.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

import covidnet.training.interface  # noqa: F401  # once, before the lives are forked: it takes seconds
from covidnet.commands.train import main
from covidnet.data.phantom import CLASSES
from covidnet.data.phantoms import write_phantoms
from covidnet.files import whole as files

RUN = Path("runs", "convnet")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
WRITES = ("half-written", "written, not named", "named")
MOST = 4  # times that one run is ended
SMALL = "data.root=../phantoms"
QUICK = (
    "data.image_size=24",
    "data.augment=mild",
    "trainer=cpu",
    "early_stopping.patience=2",
    "early_stopping.min_delta=0.1",
    "trainer.enable_progress_bar=false",
    "trainer.enable_model_summary=false",
    "report=false",
)
STATE = ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "epoch", "global_step")
FORGOTTEN = {"current_score"}  # ModelCheckpoint writes it, loads it never and uses it nowhere
UNEQUAL = ("seconds", "test_evaluations")  # what a run that was killed in its test has more of


def start(folder: Path, arguments: Sequence[str], write: tuple[int, str] | None = None) -> int:
    """Start a command in ``folder`` in a process of its own; return its number.

    Args:
        folder: Its current folder; its cache lies beside it.
        arguments: Its command line.
        write: Which writing of a file kills it, from 0, and at which moment of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder.parent / "cache")
        with Path("log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        torch.set_num_threads(1)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
        if write:
            die_in_write(*write)
        main(arguments)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def die_in_write(number: int, moment: str) -> None:
    """Have this process kill itself at a moment of the writing of its file ``number``, from 0."""
    whole, link, linked, count = files.whole, files.link_whole, os.link, iter(range(1_000_000))

    def killing(file: Path, mode: str = "w", **options: Any) -> Any:
        if next(count) != number:
            return whole(file, mode, **options)
        return Dying(whole(file, mode, **options), moment)

    def killing_link(file: Path, name: Path) -> None:
        if next(count) != number:
            link(file, name)
            return
        if moment != WRITES[2]:
            os.link = lambda *names: (linked(*names), os.kill(os.getpid(), signal.SIGKILL))
        link(file, name)
        os.kill(os.getpid(), signal.SIGKILL)

    replaced = {"whole": (whole, killing), "link_whole": (link, killing_link)}
    for module in list(sys.modules.values()):
        for name, (real, deadly) in replaced.items():
            if getattr(module, "__name__", "").startswith("covidnet") and getattr(module, name, None) is real:
                setattr(module, name, deadly)


class Dying:
    """A file that is opened whole, and the end of its process."""

    def __init__(self, opened: Any, moment: str) -> None:
        self.opened, self.moment = opened, moment

    def __enter__(self) -> Any:
        self.file = self.opened.__enter__()
        if self.moment == WRITES[1]:
            os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        return self.file

    def __exit__(self, *error: Any) -> Any:
        if self.moment == WRITES[0]:
            self.file.flush()
            os.ftruncate(self.file.fileno(), self.file.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        done = self.opened.__exit__(*error)
        os.kill(os.getpid(), signal.SIGKILL)
        return done


def wait(child: int, seconds: float | None = None) -> int | None:
    """Return the exit code of a process, a signal's as a negative number; None where it still lives after that time."""
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, 0 if until is None else os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() > until:
            return None
        time.sleep(0.01)


def finished(folder: Path) -> list[Path]:
    """Return the run directories that have results."""
    return [path.parent for path in (folder / RUN).glob("version_*/results.json")]


def record(run: Path) -> dict[str, Any]:
    """Return all that must be the same of a run that has results."""
    results = json.loads((run / "results.json").read_text())
    files = {name: (run / name).read_bytes() for name in ("metrics.csv", "predictions.csv", "split.csv")}
    checkpoints = {
        name: torch.load(run / "checkpoints" / name, weights_only=True) for name in ("best.ckpt", "last.ckpt")
    }
    kept = {  # the best of a training that has ended holds no optimizer, whether it was killed or not
        name: {key: checkpoint[key] for key in STATE if key in checkpoint} for name, checkpoint in checkpoints.items()
    }
    return {**files, **kept, "results": {key: value for key, value in results.items() if key not in UNEQUAL}}


def finished_folds(folder: Path) -> list[Path]:
    """Return the directories of cross-validations that have their table."""
    records = (folder / RUN).glob("crossval_*/crossval.json")
    return [path.parent for path in records if "pooled" in json.loads(path.read_text())]


def record_folds(folder: Path) -> dict[str, Any]:
    """Return all that must be the same of a cross-validation that has its table."""
    told = json.loads((folder / "crossval.json").read_text())
    files = {name: (folder / name).read_bytes() for name in ("folds.csv", "predictions.csv")}
    runs = {name: record(folder / name) for name in told["runs"]}
    return {**files, **runs, "told": {key: value for key, value in told.items() if key != "recipe"}}


class Work(NamedTuple):
    """A command that is ended and goes on: its words, where it is done, and what must then be the same."""

    arguments: tuple[str, ...]
    finished: Callable[[Path], list[Path]]
    record: Callable[[Path], dict[str, Any]]
    writes: int  # of files, among which one is drawn that ends it


WORK = {
    "run": Work(
        ("run", "data=phantom", "data.batch_size=64", "trainer.max_epochs=20", *QUICK, "ckpt_path=auto"),
        finished,
        record,
        40,
    ),
    "short": Work(  # the same on few and small images
        ("run", SMALL, "data.test_per_class=6", "data.batch_size=8", "trainer.max_epochs=9", *QUICK, "ckpt_path=auto"),
        finished,
        record,
        40,
    ),
    "crossval": Work(
        ("crossval", "k=2", SMALL, "data.batch_size=16", "trainer.max_epochs=4", *QUICK),
        finished_folds,
        record_folds,
        70,
    ),
}


def differences(one: Any, two: Any, where: str = "") -> list[str]:
    """Name each place in which two records are not equal to the last bit; of a path, its last name counts."""
    if isinstance(one, str) and isinstance(two, str):
        one, two = Path(one).name, Path(two).name
    if isinstance(one, dict) and isinstance(two, dict):
        one, two = ({Path(str(key)).name: value for key, value in record.items()} for record in (one, two))
        keys = sorted((one.keys() | two.keys()) - FORGOTTEN)
        return [found for key in keys for found in differences(one.get(key), two.get(key), f"{where}/{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        pairs = enumerate(zip(one, two, strict=True))
        return [found for number, pair in pairs for found in differences(*pair, f"{where}/{number}")]
    if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        return [] if torch.equal(one, two) else [where]
    return [] if one == two else [where]


def soak(
    kills: int, seed: int, tell: Callable[[str], None] = print, command: str = "run"
) -> tuple[list[str], Counter[str]]:
    """End a command ``kills`` times; return what was not equal in the end, and the kills by kind.

    Args:
        kills: How often it is ended, in all.
        seed: Of the moments and kinds.
        tell: Is told of each run.
        command: A key of ``WORK``.
    """
    draw, wrong, kinds = random.Random(seed), list[str](), Counter[str]()
    arguments, finished, record, _ = work = WORK[command]
    base = Path(tempfile.mkdtemp(prefix="soak"))
    if "data=phantom" in arguments:  # which would be drawn anew in each new cache
        arguments = [*arguments, f"data.root={base / 'phantoms'}"]
    try:
        if command != "run":  # which draws its own
            # So few images are decoded without processes of their own, each of which would load torch.
            each = 20 if command == "short" else 33
            write_phantoms(base / "phantoms", dict.fromkeys(CLASSES, each), size=64)
        wait(start(base / "first", arguments))  # draws and decodes the images, for all
        shutil.rmtree(base / "first" / "runs")
        began = time.monotonic()
        if wait(start(base / "first", arguments)):
            raise RuntimeError((base / "first" / "log").read_text()[-2000:])
        seconds = time.monotonic() - began
        expected, number = record(*finished(base / "first")), 0
        tell(f"{command} takes {seconds:.1f} s; seed {seed}")
        while kinds.total() < kills:
            folder, number = base / f"run_{number}", number + 1
            # In some runs the cache of decoded images is new, and may be what is killed.
            line = [*arguments, "data.cache_dir=decoded"] if draw.random() < 0.3 else arguments
            ended = []
            for _ in range(min(draw.randint(1, MOST), kills - kinds.total())):
                kind = end_once(folder, draw, seconds, work._replace(arguments=tuple(line)))
                if kind is None:
                    break  # it was faster
                ended.append(kind)
                kinds[kind.split(":")[0]] += 1
                if finished(folder):
                    break  # it was ended after its last file: nothing is left to do
            code = 0 if finished(folder) else wait(start(folder, line), 20 * seconds + 60)
            found = differences(expected, record(*finished(folder))) if code == 0 else [f"exit code {code}"]
            tell(f"{kinds.total():4} kills; run {number} ended by {', '.join(ended) or 'nothing'}: {found or 'equal'}")
            wrong += [f"run {number} ({', '.join(ended)}): {place}" for place in found]
            if found:
                print((folder / "log").read_text()[-3000:], file=sys.stderr)
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(base)
    return wrong, kinds


def end_once(folder: Path, draw: random.Random, seconds: float, work: Work) -> str | None:
    """Go on with a command and end it; return how, None where it ended by itself first."""
    if draw.random() < 0.4:
        write = (draw.randint(0, work.writes), draw.choice(WRITES))
        code = wait(start(folder, work.arguments, write))
        return f"SIGKILL in a write:{write[0]} {write[1]}" if code == -signal.SIGKILL else None
    number, moment = draw.choice(SIGNALS), draw.uniform(0, seconds)
    child = start(folder, work.arguments)
    if wait(child, moment) is not None:
        return None
    os.kill(child, number)
    code = wait(child, 60)
    if code is None:
        os.kill(child, signal.SIGKILL)
        wait(child)
        raise RuntimeError(f"{number.name} after {moment:.1f} s did not end the run: {(folder / 'log').read_text()}")
    return f"{number.name}:{moment:.1f} s" if code in (-number, 128 + number) else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", choices=WORK, default="run")
    options = parser.parse_args()
    wrong, kinds = soak(options.kills, options.seed, lambda text: print(text, flush=True), options.command)
    print(f"{kinds.total()} kills with seed {options.seed}: {dict(kinds)}; {len(wrong)} differences")
    print("\n".join(wrong))
    sys.exit(bool(wrong))
