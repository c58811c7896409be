"""A wish for a run's model -> the threshold that meets it on validation, kept in its checkpoint, and what it gives."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy.special import softmax

from covidnet.errors import UserError, did_you_mean, some
from covidnet.evaluation.decision import WISHES, Decision, Wish, wished_threshold
from covidnet.evaluation.metrics import logarithms
from covidnet.evaluation.scores import decision_scores
from covidnet.machine.device import find_device
from covidnet.models.outputs import outputs_of
from covidnet.runs.checkpoint import Checkpoint, finish_checkpoint
from covidnet.runs.claim import hold
from covidnet.runs.files import LOCK, PREDICTED, RESULTS, count_test, write_results
from covidnet.runs.predictions import read_predictions
from covidnet.runs.run import Run
from covidnet.runs.screen import with_interval

SIDES = {"val": "validation", "test": "test"}


def keep_wish(folder: Path, name: str, wish: Wish, wanted: float, device: str | None = None) -> dict[str, Any]:
    """Choose the threshold of a class on the validation images of a run; keep it in its best checkpoint.

    The model looks at the validation and test images anew, so that a run of any age will do; only where its last layer
    was fitted to the validation images (``rebalance``), what is kept of them counts. ``results.json`` gets
    ``decision`` among the scores of the best model, and the look at the test is counted.

    Args:
        folder: Of a finished run.
        name: The class.
        wish: What is to be reached on validation.
        wanted: How much of it, in (0, 1].
        device: As torch names it; a GPU where there is one, if None.

    Returns:
        The decision, with what it gives on the test and, under ``validation``, there.

    Raises:
        UserError: Where the run lacks what it takes, another process writes there, or no threshold meets the wish.
    """
    with _held(folder):
        run, best = _opened(folder)
        if name not in run.classes:
            known = f"{folder} has the classes {some(run.classes, between=', ')}"
            raise UserError(f"--class {name}: {known}.{did_you_mean(name, run.classes)}")
        temperature = best.calibration.get("temperature")
        if temperature is None:
            raise UserError(
                f"{run.checkpoint} keeps no temperature, and so gives no calibrated probability that a threshold could "
                "be of: nothing was fitted to it on validation images. Train with the command run."
            )
        number = run.classes.index(name)
        seen = _looked_at(run, best, find_device(device), temperature)
        probabilities, labels, _ = seen["val"]
        try:
            threshold = wished_threshold(probabilities[:, number], labels == number, wish, wanted)
        except UserError as error:
            raise UserError(f"--class {name}, {folder}: {error}") from error
        decision = Decision(name, threshold, wish, wanted)
        given = {split: decision_scores(*parts[:2], run.classes, decision, parts[2]) for split, parts in seen.items()}
        rates = {key: given["val"][key] for key in (*WISHES, "confusion_matrix", "intervals")}
        found = {**given["test"], "validation": rates}
        finish_checkpoint(run.checkpoint, calibration={**best.calibration, "decision": decision.plain})
        run.models["best"]["decision"] = found
        run.results["test_evaluations"] = count_test(folder, f"threshold of {name}, {wish} {wanted:g}")
        write_results(folder / RESULTS, run.results)
    return found


def take_back(folder: Path) -> bool:
    """Take a kept decision out of a run again; return whether there was one.

    Raises:
        UserError: As ``keep_wish``, of the run.
    """
    with _held(folder):
        run, best = _opened(folder)
        kept = {key: value for key, value in best.calibration.items() if key != "decision"}
        if there := kept != best.calibration:
            finish_checkpoint(run.checkpoint, calibration=kept)
        if run.models["best"].pop("decision", None) is not None:
            write_results(folder / RESULTS, run.results)
    return there


def print_decision(found: Mapping[str, Any], folder: Path) -> None:
    """Print what a decision says and what it gives."""
    table = Table(title=escape(f"Decision of {folder}"), title_justify="left")
    table.add_column("best model")
    for key in WISHES:
        table.add_column(key, justify="right")
    for side, scores in (("validation", found["validation"]), ("test", found)):
        cells = (with_interval(scores[key], scores["intervals"].get(key), ".3f") for key in WISHES)
        table.add_row(side, *cells)
    Console().print(table)
    print(Decision.of(found).sentence)


def _opened(folder: Path) -> tuple[Run, Checkpoint]:
    run = Run(folder)
    if run.best is None or "best" not in run.models:
        raise UserError(
            f"{folder} lacks {run.checkpoint.relative_to(folder)} or its scores: a threshold is kept in the best model "
            "of a run that has trained and tested one."
        )
    if list(run.best.recipe["classes"]) != run.classes:
        raise UserError(f"{run.checkpoint} has other classes than {folder / RESULTS}; it is of another run.")
    return run, run.best


def _looked_at(run: Run, best: Checkpoint, device: torch.device, temperature: float) -> dict[str, tuple[Any, Any, Any]]:
    """Return of validation and test calibrated probabilities (N, C), labels (N,) and patients (N,)."""
    data, model = run.open_data(), best.model().to(device)
    data.tell()
    found = {}
    for split, side in SIDES.items():
        numbers = data.numbers(split)
        if not len(numbers):
            raise UserError(f"{run.folder} has no {side} images, so that no threshold can be told.")
        if split == "val" and "rebalanced" in run.results:
            logits = _not_fitted_to(run, [data.images.paths[number] for number in numbers])
        else:
            logits, _ = outputs_of(model, data.images.gather, numbers, device, title=f"looking at {side} images")
        probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
        found[split] = (probabilities, np.array(data.images.labels)[numbers], data.patients(split))
    return found


def _not_fitted_to(run: Run, paths: Sequence[str]) -> NDArray[np.floating]:
    """Return what layers that were not fitted to them said of the validation images of a rebalanced run, as logits.

    Asked anew, the model would know these images, and a threshold would promise too much.
    """
    file = run.folder / PREDICTED["val"]
    if not file.is_file():
        raise UserError(f"{file} is not there. Rebalance anew: it holds what the model could say of unseen images.")
    return logarithms(read_predictions(file).spelt_as(paths).of(paths, run.classes).probabilities)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    lock = hold(folder, LOCK)
    if lock is None:
        raise UserError(f"Another process writes in {folder}. Wait for it or stop it, then try again.")
    try:
        yield
    finally:
        lock.release()
