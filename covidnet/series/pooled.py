"""What the runs of all folds say together: each image once, by models that had not seen it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.evaluation.conformal import set_scores
from covidnet.evaluation.metrics import Floats, Outputs
from covidnet.evaluation.scores import calibrated_scores, threshold_scores
from covidnet.runs.predictions import write_probabilities
from covidnet.runs.run import Run
from covidnet.runs.scoring import model_use, score_model
from covidnet.training.joining import balanced_class_weights


@dataclass(frozen=True)
class Fitted:
    """What was fitted to a run on its own validation split, at each of N images that it tested.

    Attributes:
        thresholds: (N, C) from which calibrated probability on a class is called present; NaN where it is not called.
        least: (N, C) from which calibrated probability on a class is in the prediction set.
        stated: The coverage that the sets state.
    """

    thresholds: Floats
    least: Floats
    stated: float


@dataclass(frozen=True)
class OutOfFold:
    """What is said of N images, sorted by path; with several runs a fold, the mean of their probabilities.

    Attributes:
        paths: N paths.
        labels: (N,) in 0 .. C - 1.
        folds: (N,) from 1.
        probabilities: (N, C) as each run's predictions.csv has them.
        calibrated: (N, C) the same after each run's own temperature.
        fitted: What else each image's run was fitted with; None with several runs a fold, whose mean it is not for.
        classes: Names of the C classes.
    """

    paths: list[str]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    probabilities: Floats
    calibrated: Floats
    fitted: Fitted | None
    classes: list[str]

    def write(self, file: Path) -> None:
        """Write the columns of a run's predictions.csv and ``fold``, one row an image, sorted by path."""
        folds = {"fold": self.folds.tolist()}
        write_probabilities(file, self.paths, self.probabilities, self.labels, self.classes, folds)


def pool(runs: Sequence[tuple[int, Run]], known: Sequence[str]) -> OutOfFold:
    """Return what runs, each with its fold, say of the images that they tested.

    Args:
        runs: Of different folds, or several of one with the same test.
        known: The paths of all images, as they are spelt.
    """
    by_fold: dict[int, list[Run]] = {}
    for fold, run in runs:
        by_fold.setdefault(fold, []).append(run)
    folds = [_of_fold(fold, members, known) for fold, members in by_fold.items()]
    paths = [path for fold in folds for path in fold.paths]
    order = sorted(range(len(paths)), key=paths.__getitem__)

    def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(parts)[order]

    fitted = [fold.fitted for fold in folds if fold.fitted]
    return OutOfFold(
        [paths[number] for number in order],
        joined([fold.labels for fold in folds]),
        joined([fold.folds for fold in folds]),
        joined([fold.probabilities for fold in folds]),
        joined([fold.calibrated for fold in folds]),
        Fitted(joined([own.thresholds for own in fitted]), joined([own.least for own in fitted]), fitted[0].stated)
        if len(fitted) == len(folds)
        else None,
        folds[0].classes,
    )


def pooled_scores(out: OutOfFold, patients: NDArray[np.integer]) -> dict[str, Any]:
    """Return what ``results.json`` holds of a model, of all out-of-fold predictions together.

    ``weighted_loss`` weighs the classes by these images. What each run has its own of (temperature, thresholds, least
    probability in a set) is None.

    Args:
        out: Of N images.
        patients: (N,) a number that linked images share.
    """
    logits, calibrated = (_logits(each, out.labels) for each in (out.probabilities, out.calibrated))
    counts = np.bincount(out.labels, minlength=len(out.classes)).tolist()
    weights = balanced_class_weights(counts, out.classes).numpy()
    scores = score_model(logits, out.labels, out.classes, weights, patients, None)
    scores["calibrated"] = {**calibrated_scores(calibrated, out.labels, 1.0, patients), "temperature": None}
    if out.fitted:
        scores |= _fitted_scores(out, out.fitted, patients)
    return scores | model_use(calibrated, out.labels, out.classes, patients, None)


def _fitted_scores(out: OutOfFold, fitted: Fitted, patients: NDArray[np.integer]) -> dict[str, Any]:
    """Return ``thresholds`` and ``prediction_sets``, each image by what its own run was fitted with."""
    called = [np.isfinite(column).all() for column in fitted.thresholds.T]
    over = {name: 0.0 if always else None for name, always in zip(out.classes, called, strict=True)}  # its threshold
    thresholds = threshold_scores(out.calibrated - fitted.thresholds, out.labels, over, patients)
    least = {"coverage": fitted.stated, "least": dict.fromkeys(out.classes, 0.0)}
    sets = set_scores(out.calibrated - fitted.least, out.labels, least, patients)
    return {
        "thresholds": {name: {**scores, "threshold": None} for name, scores in thresholds.items()},
        "prediction_sets": {
            **sets,
            "per_class": {name: {**scores, "least": None} for name, scores in sets["per_class"].items()},
        },
    }


def _of_fold(fold: int, runs: Sequence[Run], known: Sequence[str]) -> OutOfFold:
    classes = runs[0].classes
    told = [run.predictions.spelt_as(known) for run in runs if run.predictions]
    own = [predictions.of(told[0].paths, classes) for predictions in told]
    temperatures = [run.scores.get("calibrated", {}).get("temperature", 1.0) for run in runs]
    calibrated = [
        softmax(_logits(predictions.probabilities, predictions.labels) / temperature, axis=1)
        for predictions, temperature in zip(own, temperatures, strict=True)
    ]
    labels = own[0].labels
    return OutOfFold(
        own[0].paths,
        labels,
        np.full(len(labels), fold),
        np.mean([predictions.probabilities for predictions in own], axis=0),
        np.mean(calibrated, axis=0),
        _fitted(runs[0].scores, classes, len(labels)) if len(runs) == 1 else None,
        classes,
    )


def _fitted(scores: Mapping[str, Any], classes: Sequence[str], images: int) -> Fitted | None:
    sets = scores.get("prediction_sets")
    if not sets:
        return None
    thresholds = [scores["thresholds"].get(name, {}).get("threshold", np.nan) for name in classes]
    least = [sets["per_class"][name]["least"] for name in classes]
    return Fitted(np.tile(thresholds, (images, 1)), np.tile(least, (images, 1)), sets["stated"])


def _logits(probabilities: Floats, labels: NDArray[np.int64]) -> Floats:
    return Outputs.of_probabilities(probabilities, labels).log_probabilities
