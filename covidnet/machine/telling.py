"""What a user is told while work goes on: by one process of several, with Lightning and without it.

Lightning's own functions for this fail where Lightning was not imported: its import sets the number of the process and
the level and stream of its logger. This logger is set up in the same way.
"""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_utilities.core.rank_zero import rank_zero_only  # Lightning sets its rank; it imports nothing large

from covidnet.errors import printable

NAME = "covidnet"  # of the logger
LOGGERS = (NAME, "pytorch_lightning", "lightning_fabric")  # what speaks to the user while a run lasts

_logger = logging.getLogger(NAME)
_logger.setLevel(logging.INFO)
if not logging.getLogger().hasHandlers():  # a program that has its own gets our lines there
    _logger.addHandler(logging.StreamHandler(sys.stderr))
    _logger.propagate = False


def is_first() -> bool:
    """Tell whether this process is the only one, or the first of several."""
    return getattr(rank_zero_only, "rank", 0) == 0


def tell(message: str) -> None:
    """Tell what goes on, on stderr."""
    if is_first():
        _logger.info(printable(message), stacklevel=2)


def warn(message: str) -> None:
    """Warn of what the user may not have meant, as from the line that calls this."""
    if is_first():
        warnings.warn(printable(message), stacklevel=2)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep from the user what is told of a run, but not what is warned of: of one of many, a line is enough."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
