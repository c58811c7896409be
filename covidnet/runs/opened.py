"""The model that a user means, opened: a checkpoint, or the members of a series."""

from pathlib import Path
from typing import TYPE_CHECKING

from covidnet.errors import UserError
from covidnet.runs.checkpoint import Checkpoint
from covidnet.runs.foreign import Told
from covidnet.runs.members import find_model, members_of

if TYPE_CHECKING:
    from covidnet.runs.ensemble import Members


def open_model(given: Path, told: Told | None = None) -> "Checkpoint | Members":
    """Return the model that a user means: a checkpoint, a run's best one, or the members of a series.

    Args:
        given: A file, or the directory of a run or series.
        told: What the user tells of a checkpoint that a Trainer of the user's own wrote.

    Raises:
        UserError: As ``find_model``, ``Checkpoint`` and ``Members``.
    """
    found = find_model(given)
    if not found.is_dir():
        return Checkpoint(found, told)
    if told:
        raise UserError(f"{found} tells its classes and images itself: leave classes= and others out.")
    from covidnet.runs.ensemble import Members  # what fits takes a second to import; a checkpoint has been fitted

    return Members(found, members_of(found))
