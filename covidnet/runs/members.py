"""Which runs are the members of a directory that stands for several: those of a repeat or of a cross-validation."""

from pathlib import Path

from covidnet.errors import UserError, some
from covidnet.files import reading
from covidnet.files.reading import UNREADABLE
from covidnet.runs.files import CHECKPOINT, CROSSVAL, REPEAT, RESULTS, unreadable
from covidnet.runs.find import find_best, finished_runs


def record_of(folder: Path) -> Path | None:
    """Return the file that tells of the runs of a series, None where the folder is no series that makes an ensemble."""
    return next((file for name in (REPEAT, CROSSVAL) if (file := folder / name).is_file()), None)


def find_model(given: Path) -> Path:
    """Return what a user means by a model: the directory of a series, else as ``find_best``.

    Raises:
        UserError: Where it is none, or a series whose runs are not all there.
    """
    if record_of(given) is None:
        return find_best(given)
    members_of(given)
    return given


def members_of(folder: Path) -> list[Path]:
    """Return the runs that a series ended with, as its record names them.

    Raises:
        UserError: Where it has not ended, or a run has lost its results or its best model since.
    """
    record = record_of(folder)
    assert record is not None, "no series"
    try:
        content = reading.read_json(record)
        named = content.get("runs", []) if isinstance(content, dict) else None
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise ValueError("its runs are no names")
    except UNREADABLE as error:
        raise unreadable(record, error) from error
    there = {run.name: run for run in finished_runs(folder) if (run / CHECKPOINT).is_file()}
    if not named:
        raise UserError(
            f"{folder} is no model yet: {len(there)} of its runs are finished. The same {record.stem} command goes on."
        )
    if lost := [name for name in named if name not in there]:
        raise UserError(
            f"{folder} lacks {some(lost, between=', ')}, with {RESULTS} and {CHECKPOINT}, of its {len(named)} runs: "
            f"bring them back, or give one of those that are there."
        )
    return [there[name] for name in named]
