"""Report and card of a run, written anew where what the run knows has changed: ``renew(folder)``."""

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from covidnet.machine.faults import explain
from covidnet.runs.files import (
    AUDIT,
    CARD,
    COMPARISON,
    EXTERNAL,
    PREDICTIONS,
    REPORT,
    RESULTS,
    SHORTCUTS,
)
from covidnet.runs.find import finished_runs
from covidnet.runs.members import record_of

READ = (AUDIT, COMPARISON, EXTERNAL, PREDICTIONS, SHORTCUTS)  # files of a run that commands write there later


def renew(*changed: Path | None) -> None:
    """Write the report and the card of runs anew where they are there, and print their paths.

    What was found lies in the run already. So a page that cannot be written is told of, with the command that writes it
    later, and changes neither what was found nor how the command ends.

    Args:
        changed: What was written to: directories of runs, or of series, which stand for their runs and for themselves;
            or a file, which stands for the directory that it lies in where a report reads files of that name. None is
            nothing.
    """
    for run in dict.fromkeys(run for place in changed if place for run in _runs(place)):
        for name in (REPORT, CARD):
            if (run / name).is_file():
                _write(run, name)


def _runs(place: Path) -> Iterator[Path]:
    folders = [*finished_runs(place), place] if place.is_dir() else [place.parent] if place.name in READ else []
    return (folder for folder in folders if (folder / RESULTS).is_file() or record_of(folder))


def _write(run: Path, name: str) -> None:
    try:
        print(_writer(run, name)(run))
    except Exception as error:
        mistake = explain(error)
        if mistake is None:
            raise
        command = f"covidnet {'report' if name == REPORT else 'card'} {shlex.quote(str(run))}"
        print(
            f"covidnet: {run / name} could not be written anew: {mistake} {command} tries again.",
            file=sys.stderr,
        )


def _writer(run: Path, name: str) -> Callable[[Path], Path]:
    """Return what writes a file; imported now, because a run without a page needs none of it."""
    if record_of(run):
        from covidnet.report.series import write_series_report

        return write_series_report
    if name == REPORT:
        from covidnet.report.page import write_report

        return write_report
    from covidnet.report.card import write_card

    return write_card
