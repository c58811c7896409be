"""What loggers beside our own ``metrics.csv`` are told: how a run was made and what its test found, once each."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.loggers import Logger

from covidnet.evaluation.names import BY_KEY
from covidnet.machine.telling import warn
from covidnet.runs.files import RESULTS


class Introduced(Callback):
    """Tell other loggers how a run is made when its training begins; each epoch Lightning tells them.

    Args:
        recipe: What decides the result, as plain types.
    """

    def __init__(self, recipe: Mapping[str, Any]) -> None:
        self.recipe = recipe

    def on_fit_start(self, trainer: pl.Trainer, pl_module: LightningModule) -> None:
        told = {**self.recipe, "run_directory": trainer.log_dir}
        for logger in others(trainer):
            _try(logger, partial(logger.log_hyperparams, told))


def others(trainer: pl.Trainer) -> list[Logger]:
    """Return the loggers of a trainer but for the first, which writes ``metrics.csv``."""
    return trainer.loggers[1:]


@contextmanager
def alone(trainer: pl.Trainer) -> Iterator[None]:
    """Have the first logger alone hear of tests: of two models, Lightning would tell both under one name."""
    kept = trainer.loggers
    trainer.loggers = kept[:1]
    try:
        yield
    finally:
        trainer.loggers = kept


def tell_results(trainer: pl.Trainer, models: Mapping[str, Mapping[str, Any]]) -> None:
    """Tell other loggers what the test of each model found; one that fails changes nothing of the run."""
    values = {name: value for model, scores in models.items() for name, value in named_scores(model, scores)}

    def told(logger: Logger) -> None:
        logger.log_metrics(values, step=trainer.global_step)
        logger.finalize("success")  # again: what is still in memory is written

    for logger in others(trainer):
        _try(logger, partial(told, logger))


def named_scores(model: str, scores: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the name and value of each metric of a model, with the limits of its 95 % interval.

    ``test_best/recall`` and ``test_best/recall_low`` are of all images, ``test_best/NORMAL/sensitivity`` of a class.
    """
    begin = "test" if model == "test" else f"test_{model}"
    parts = {begin: scores, **{f"{begin}/{_plain(name)}": found for name, found in scores["per_class"].items()}}
    for place, part in parts.items():
        intervals = part.get("intervals") or {}
        for key in BY_KEY:
            if part.get(key) is not None:
                yield f"{place}/{key}", float(part[key])
                ends = zip(("low", "high"), intervals.get(key) or (), strict=False)
                yield from ((f"{place}/{key}_{end}", float(value)) for end, value in ends)


def _plain(name: str) -> str:
    """Return the name of a class in letters that services take."""
    return re.sub(r"[^\w.-]+", " ", name).strip() or "class"


def _try(logger: Logger, call: Callable[[], object]) -> None:
    try:
        call()
    # Whatever a service raises where it is gone or full: the run has its own files.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        warn(f"{type(logger).__name__} of trainer.logger was not told all: {reason}. {RESULTS} holds the results.")
