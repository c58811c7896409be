"""What can go from a folder of runs without a result being lost, and how it goes.

What a report, a prediction or a comparison reads is never among it, nor what a run needs to go on, unless that is asked
for; and no file that this program did not write.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from covidnet.errors import UserError
from covidnet.files.reading import UNREADABLE, read_yaml
from covidnet.files.tensors import read_tensors
from covidnet.files.whole import UNFINISHED
from covidnet.runs.checkpoint import OPTIMIZER, finish_checkpoint
from covidnet.runs.claim import hold
from covidnet.runs.files import CHECKPOINT, CONFIG, LAST, LOCK, LUNGS_RUNS, METRICS, RESULTS, SPLIT
from covidnet.runs.states import at_work, runs_below, state_of

HALF = "half-written files of processes that were killed"
BROKEN = "runs that ended before their first epoch was whole"
OPTIMIZERS = "what optimizers remember, in the best checkpoints of finished runs (last.ckpt keeps it)"
LUNGS = "last checkpoints of finished runs of the lungs test, with which nobody goes on"
CUT_OFF = "runs that were cut off, with the epochs that they have trained"
BEGUN = {CONFIG, METRICS, SPLIT, LOCK}  # all that a run leaves before its first epoch is whole
EVENTS = "events.out.tfevents."  # begin the names of TensorBoard's files


class Remains(NamedTuple):
    """Something that can go."""

    kind: str
    place: Path  # a file, or the directory of a run
    size: int  # bytes that come free
    run: Path  # whose lock is held while it goes


def remains_in(folder: Path, *, cut_off: bool = False) -> list[Remains]:
    """Return what can go from the runs below a folder; nothing of a run in which a process writes now.

    Args:
        folder: Of runs, or of one.
        cut_off: Whole directories of runs without results too, though they could go on. Those of the command ``fit``,
            which leaves none, and the trials of a search are never among them.

    Raises:
        UserError: Where it is no folder.
    """
    return [remains for run in runs_below(folder) for remains in _of_run(run, cut_off=cut_off)]


def _of_run(run: Path, *, cut_off: bool) -> Iterator[Remains]:
    state = state_of(run)
    if state == "broken" and _only_begun(run):
        yield Remains(BROKEN, run, _size(run), run)
    elif state == "can go on" and cut_off and _was_to_test(run):
        yield Remains(CUT_OFF, run, _size(run), run)
    elif state != "at work":
        for file in sorted(run.rglob(f"*{UNFINISHED}")):
            if file.is_file() and not file.is_symlink():
                yield Remains(HALF, file, file.stat().st_size, run)
        inner = [file.parent for file in sorted(run.glob(f"{LUNGS_RUNS}/**/{RESULTS}"))]
        for own in [*([run] if state == "finished" else []), *(one for one in inner if not at_work(one))]:
            yield from _of_finished(own, lungs=own != run)


def _of_finished(run: Path, *, lungs: bool) -> Iterator[Remains]:
    best, last = run / CHECKPOINT, run / CHECKPOINT.with_name(LAST)
    if best.is_file() and not best.is_symlink() and (last.is_file() or lungs):
        freed = 0 if last.is_file() and best.samefile(last) else _optimizer_bytes(best)
        if freed:
            yield Remains(OPTIMIZERS, best, freed, run)
    if lungs and best.is_file() and last.is_file():
        yield Remains(LUNGS, last, 0 if best.samefile(last) else last.stat().st_size, run)


def clean(remains: Sequence[Remains]) -> int:
    """Remove what ``remains_in`` found, but for what a process has begun to write in since; return the bytes freed."""
    freed = 0
    for one in remains:
        lock = hold(one.run, LOCK)
        if lock is None:
            continue
        try:
            if one.kind == OPTIMIZERS:
                finish_checkpoint(one.place)
            elif one.place == one.run:
                shutil.rmtree(one.place)
            else:
                one.place.unlink(missing_ok=True)
            freed += one.size
        finally:
            lock.release()
    return freed


def _only_begun(run: Path) -> bool:
    """Tell whether a run directory holds what a run leaves before its first epoch is whole, and nothing else."""
    files = [path for path in run.rglob("*") if not path.is_dir() or path.is_symlink()]
    return not run.is_symlink() and all(
        (file.parent == run and file.name in BEGUN) or file.name.startswith(EVENTS) or file.suffix == UNFINISHED
        for file in files
    )


def _was_to_test(run: Path) -> bool:
    """Tell a run of the command ``run`` or of a series, which would have left results, by a key of theirs alone."""
    try:
        settings: Any = read_yaml(run / CONFIG)
    except (*UNREADABLE, yaml.YAMLError):
        return False
    return not run.is_symlink() and isinstance(settings, dict) and "report" in settings


def _optimizer_bytes(checkpoint: Path) -> int:
    """Return how many bytes of a checkpoint its optimizer takes; 0 where it cannot be read."""
    try:
        held = read_tensors(checkpoint, mmap=True).get(OPTIMIZER)
    except (UserError, OSError, ValueError, RuntimeError, AttributeError):
        return 0
    return sum(one.numel() * one.element_size() for one in _tensors(held))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _tensors(one)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
