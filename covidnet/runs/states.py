"""Which run directories lie below a folder, and what state each is in: by names and locks alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from covidnet.errors import UserError
from covidnet.runs.claim import hold
from covidnet.runs.files import CONFIG, LAST, LOCK, RESULTS

DEEPEST = 4  # folders between the one that is asked for and a run: runs/<model>/repeat_0/seed_0
State = Literal["finished", "at work", "can go on", "broken"]


def runs_below(folder: Path) -> list[Path]:
    """Return the run directories below a folder, or itself where it is one, without those that lie in a run.

    Raises:
        UserError: Where it is no folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder. Give the one that holds the runs: runs, or trainer.default_root_dir.")
    return list(_below(folder, DEEPEST))


def _below(folder: Path, deeper: int) -> Iterator[Path]:
    if any((folder / name).is_file() for name in (CONFIG, RESULTS)):
        yield folder
    elif deeper:
        for inner in sorted(folder.iterdir(), key=_by_number):
            if inner.is_dir() and not inner.is_symlink() and not inner.name.startswith("."):
                yield from _below(inner, deeper - 1)


def _by_number(path: Path) -> tuple[str, int]:
    """Order version_10 after version_9."""
    name, _, number = path.name.rpartition("_")
    return (name, int(number)) if number.isdecimal() else (path.name, -1)


def state_of(run: Path) -> State:
    """Return whether a run has results, is under way, was cut off with a whole epoch kept, or left nothing to go on."""
    if at_work(run):
        return "at work"
    if (run / RESULTS).is_file():
        return "finished"
    return "can go on" if (run / "checkpoints" / LAST).is_file() else "broken"


def at_work(run: Path) -> bool:
    """Tell whether a process writes in a run directory now."""
    if not (run / LOCK).is_file():
        return False
    lock = hold(run, LOCK)
    if lock:
        lock.release()
    return lock is None
