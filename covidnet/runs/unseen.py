"""What a run or a series of runs says of images that its models had not seen: ``unseen(folder)``."""

from pathlib import Path
from typing import NamedTuple

from covidnet.errors import UserError
from covidnet.runs.files import CROSSVAL, FOLDS, FOLDS_COLUMNS, PREDICTED, PREDICTIONS, REPEAT, read_rows_of
from covidnet.runs.find import finished_runs
from covidnet.runs.predictions import Predictions, read_predictions, together
from covidnet.runs.run import Run


class Unseen(NamedTuple):
    """Images that a model was asked about which it had not seen, and all those that there are beside them."""

    said: Predictions
    folds: list[int] | None  # (N,) of a cross-validation, which fold each image is in
    labels: dict[str, str]  # path -> label of all images that were divided
    told: str  # whose predictions these are, as the end of a sentence
    runs: list[Path]  # that said it


def unseen(folder: Path) -> Unseen:
    """Return the out-of-fold predictions of a cross-validation, or those of the test of a run or of a repeat's seeds.

    Raises:
        UserError: Where the folder is none of them, has not ended, or lacks a file.
    """
    runs = finished_runs(folder)
    if (folder / CROSSVAL).is_file():
        return _out_of_fold(folder, runs)
    opened = [Run(run) for run in runs]
    labels = {row["path"]: row["label"] for row in opened[0].split}
    if len(opened) == 1 and not (folder / REPEAT).is_file():
        return Unseen(_test_of(opened[0]), None, labels, "by the run's best model, of its test images alone", runs)
    told = f"by the mean of {len(opened)} seeds, of their common test images alone"
    return Unseen(together([_test_of(run) for run in opened]), None, labels, told, runs)


def _out_of_fold(folder: Path, runs: list[Path]) -> Unseen:
    if not (folder / PREDICTIONS).is_file():
        raise UserError(f"{folder} holds no {PREDICTIONS}: its folds have not all ended. The same crossval goes on.")
    said = read_predictions(folder / PREDICTIONS)
    rows = read_rows_of(folder / FOLDS, FOLDS_COLUMNS)
    fold_of = {row["path"]: row["fold"] for row in rows}
    known = said.spelt_as(fold_of)
    try:
        folds = [int(fold_of[path]) for path in known.paths]
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{folder / FOLDS} does not name the fold of each image in {PREDICTIONS}: {error}. Bring back both."
        ) from error
    labels = {row["path"]: row["label"] for row in rows}
    return Unseen(known, folds, labels, "by a model that had seen no image of its patient", runs)


def _test_of(run: Run) -> Predictions:
    if run.predictions is None:
        raise UserError(f"{run.folder} holds no {PREDICTED['test']}: test its model first.")
    return run.predictions
