"""Draws so many cases of a target and does them: what fails is collected with its case, not raised."""

import resource
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from covidnet.errors import UserError

SECONDS = 60  # that a case may take
MEMORY = 2**29  # bytes that it may take of a machine
SHOWN = 4_000  # characters of a failure
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of what the system says of memory


@dataclass(frozen=True)
class Target:
    """A kind of case.

    Attributes:
        strategy: What is drawn.
        act: What is done with it: returns, or raises a UserError.
        share: Of all cases.
        seconds: That one may take.
        prepare: Makes what all cases need, before the first of them.
    """

    strategy: st.SearchStrategy[Any]
    act: Callable[[Any], None]
    share: float
    seconds: int = SECONDS
    prepare: Callable[[], object] = lambda: None


@dataclass
class Found:
    """What a target's cases gave."""

    cases: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # by exception and place
    examples: dict[str, str] = field(default_factory=dict)


class TooMuchError(Exception):
    """A case took too long, or too much memory."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise an AssertionError that says what is wrong, where something is."""
    assert holds, otherwise


def holds(act: Callable[[Any], None], case: Any, seconds: int = SECONDS) -> None:
    """Do what a target does with a case; a user's mistake is as good as success.

    Raises:
        Exception: Any other, which would have reached the user.
    """

    def too_slow(*_: Any) -> None:
        raise TooMuchError(f"more than {seconds} seconds")

    before, peak = signal.signal(signal.SIGALRM, too_slow), _peak()
    signal.alarm(seconds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            act(case)
    except UserError as error:
        expect(bool(str(error)), "no message")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if _peak() - peak > MEMORY:
        raise TooMuchError(f"{(_peak() - peak) / 1e6:,.0f} MB")


def fuzz(target: Target, cases: int, number: int) -> Found:
    """Do so many cases of a target, those of seed ``number``; failures are collected, not raised."""
    target.prepare()
    found = Found()

    @seed(number)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.strategy)
    def one(case: Any) -> None:
        found.cases += 1
        try:
            holds(target.act, case, target.seconds)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            _collect(found, error, f"seed {number}, case {found.cases}: {case!r}")

    one()
    return found


def _collect(found: Found, error: BaseException, case: str) -> None:
    where = traceback.extract_tb(error.__traceback__)[-1]
    key = f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}"
    if isinstance(error, AssertionError | TooMuchError):  # what is wrong is the kind, not where it was noticed
        key += f": {str(error)[:60]}"
    found.failures[key] += 1
    if key not in found.examples:
        trace = "".join(traceback.format_exception(error)[-8:])[-SHOWN:]
        found.examples[key] = f"{key}: {str(error)[:SHOWN]}\n{trace}\n{case[:SHOWN]}"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT
