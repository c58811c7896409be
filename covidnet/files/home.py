"""A path as a user types it -> that path, with the user's home in the place of ``~``."""

import os
from pathlib import Path

from covidnet.errors import UserError


def at_home(typed: str | os.PathLike[str]) -> Path:
    """Return a path, ``~`` being the user's home and ``~NAME`` that of another user.

    Raises:
        UserError: Where nobody has this name.
    """
    try:
        return Path(typed).expanduser()
    except RuntimeError as error:
        raise UserError(f"{typed} names the home of a user who is not here. Give another path.") from error
