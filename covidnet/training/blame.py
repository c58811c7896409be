"""An error of somebody else's code in a training -> one sentence that says whose it is."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import Profiler

from covidnet.errors import UserError

KINDS = {Callback: "trainer.callbacks", Logger: "trainer.logger", Profiler: "trainer.profiler"}
LIGHTNING = ("pytorch_lightning", "lightning_fabric")
OWN = "covidnet"


def blame(error: BaseException, go_on: str = "") -> UserError | None:
    """Return what to tell of an error that arose in a callback, logger or profiler, or in Lightning's own checks.

    None for an error of ours or of the model's, which keeps its traceback.

    Args:
        error: What ended the training.
        go_on: How to go on with what is kept.
    """
    frames = list(_frames(error))
    if not isinstance(error, Exception) or not frames or _room(frames[-1]) == OWN:
        return None
    where = traceback.extract_tb(error.__traceback__)[-1]
    told = (
        f"{' '.join(str(error).split())} ({type(error).__name__} in {Path(where.filename).name}, line {where.lineno})"
    )
    for frame in frames:
        culprit, hook = frame.f_locals.get("self"), frame.f_code.co_name
        key = next((key for kind, key in KINDS.items() if isinstance(culprit, kind)), None)
        if key and not type(culprit).__module__.startswith(f"{OWN}."):
            return UserError(
                f"{type(culprit).__name__} of {key} failed in {hook}: {told}. Mend it or leave it out; what was "
                f"finished is kept.{go_on}"
            )
    if _room(frames[-1]) in LIGHTNING:
        return UserError(f"The keys do not go together: {told}.{go_on}")
    return None


def _frames(error: BaseException) -> Iterator[FrameType]:
    link = error.__traceback__
    while link is not None:
        yield link.tb_frame
        link = link.tb_next


def _room(frame: FrameType) -> str:
    """Return the package whose code a frame runs."""
    name: Any = frame.f_globals.get("__name__", "")
    return str(name).partition(".")[0]
