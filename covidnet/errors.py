"""What means that the user can mend it, and how to word it."""

import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

LONGEST = 300  # characters of a path that a message shows
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # the last turn what follows
WIDEST = 3_000  # characters of a line of a message
LISTED = 10  # so many names stand in a message, the rest counted


class UserError(ValueError):
    """A user's mistake: what was found, where, what was expected and which key to change.

    The command line prints it as one short message and ends with its exit code; anything else is our bug and keeps its
    traceback.
    """

    exit_code = 2


class MachineError(UserError):
    """What the machine lacks: room on a disk, memory, a worker that answers. The same command may work elsewhere."""

    exit_code = 4


class DivergedError(UserError):
    """Losses or outputs that are not finite: the training cannot go on, or has spoilt the model."""


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the candidate nearest to ``word``, large letters or small, or nothing."""
    known = {one.casefold(): one for one in candidates}
    near = difflib.get_close_matches(word.casefold(), known, n=1)
    return f" Did you mean '{known[near[0]]}'?" if near else ""


def short(path: object) -> str:
    """Return a path for a message; of one that fills a screen, its beginning."""
    text = str(path)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} characters)"


def some(names: Sequence[str], most: int = LISTED, between: str = "; ") -> str:
    """Return names for a message; of many, the first and how many there are more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def require(holds: bool, key: str, value: object, expected: str) -> None:
    """Refuse the value of a key that does not hold what is expected.

    Raises:
        UserError: Naming the key, its value and what was expected.
    """
    if not holds:
        raise UserError(f"{key}={value} must be {expected}.")


def exit_with(error: object) -> NoReturn:
    """Print ``error`` on stderr and exit with its code; 2, a user's mistake, where it has none."""
    print(f"error: {printable(str(error))}", file=sys.stderr)
    sys.exit(getattr(error, "exit_code", 2))


def printable(text: str) -> str:
    """Return a text for the screen, which a name of a stranger may neither control nor fill."""
    lines = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text).split("\n")
    cut = (f"{line[:WIDEST]}... ({len(line):,} characters)" if len(line) > WIDEST else line for line in lines)
    return "\n".join(cut)


def user_error(error: BaseException | None) -> UserError | None:
    """Return the user's mistake behind an error, if there is one; libraries wrap what a constructor raises."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error
