"""Stratified bootstrap by patient, as weights of images."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from covidnet.evaluation.intervals import LEVEL, Interval, worst_effect
from covidnet.evaluation.metrics import BINS, Floats, Outputs, bin_of

RESAMPLES = 2000
CHUNK = 2_000_000  # weights held at a time
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


def resamplable(labels: NDArray[np.integer], groups: NDArray[np.intp]) -> bool:
    """Return whether each class that has images has them of two patients, so that their difference can be seen."""
    return all(len(np.unique(groups[labels == label])) > 1 for label in np.unique(labels))


def resample(
    measure: Callable[[Floats, list[Floats]], dict[str, Floats]],
    labels: NDArray[np.integer],
    groups: NDArray[np.intp],
    num_classes: int,
    models: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Floats]:
    """Return metrics under random weights of the images, each (resamples,).

    The Bayesian bootstrap (Rubin 1981, Annals of Statistics 9:130-134): all images of a patient get one random weight,
    and the weights of each class are scaled to its number of images. Counts drawn with replacement would find no error
    where the split holds none, and call a perfect score certain. So each class gains the smallest share of one more
    patient, as likely right as wrong: over all classes that have images Jeffreys' prior of a proportion (Brown et al.
    2001). What each model says of that patient is drawn by itself, its weight once.

    Args:
        measure: Metrics, each (B,), of weights (B, N), those of a class summing to its number of images, and of what is
            added to the confusion matrix of each model, (B, C, C).
        labels: (N,) in 0 .. num_classes - 1.
        groups: (N,) numbers of patients from 0.
        num_classes: C, at least 2.
        models: Models that are compared on the same images.
        resamples: How many in all.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels, minlength=num_classes)
    of_class = np.eye(num_classes)[labels]  # (N, C)
    effects = np.zeros(num_classes)
    for label in np.flatnonzero(counts):
        effects[label] = worst_effect(np.unique(groups[labels == label], return_counts=True)[1])
    chance = np.full((num_classes, num_classes), 0.5 / (num_classes - 1))
    np.fill_diagonal(chance, 0.5)
    shapes = chance / np.count_nonzero(counts)  # true class, then what a model says
    tiny = np.finfo(float).tiny
    parts = []
    size = max(1, CHUNK // len(labels))
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        weights = rng.standard_exponential((rows, int(groups.max()) + 1))[:, groups]
        scales = counts / np.maximum(weights @ of_class, tiny)  # (B, C)
        patient = rng.standard_gamma(shapes, (models, rows, *shapes.shape))
        weight = patient.sum(axis=3, keepdims=True)
        patient *= weight[0] / np.maximum(weight, tiny)  # one patient's weight is the same in every model
        cells = patient * (effects * scales)[:, :, None]
        parts.append(measure(weights * scales[:, labels], list(cells)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile_interval(values: Floats, estimate: float) -> Interval:
    """Return the limits of an estimate from its resampled values (B,), some of which may be infinite."""
    with np.errstate(invalid="ignore"):  # between two infinite values there is nothing
        low, high = np.quantile(values, TAILS)
    return min(float(low), estimate), max(float(high), estimate)


def mirrored_interval(values: Floats, estimate: float) -> Interval:
    """Return the limits of an estimate that resampling shifts, as an expected calibration error.

    Chance in each bin can only raise that error, and resampling raises it once more: so the percentiles of the
    resampled values (B,) are mirrored at the estimate (the basic bootstrap).
    """
    low, high = np.quantile(values, TAILS)
    return min(2 * estimate - float(high), estimate), max(2 * estimate - float(low), estimate)


def calibration_error_interval(
    values: Floats, estimate: float, outputs: Outputs, groups: NDArray[np.intp], seed: int = 0
) -> Interval:
    """Return the limits of an expected calibration error from its resampled values (B,).

    The lower limit is 0 where confidences that hold exactly would give as large an error by chance (consistency
    resampling, Broecker and Smith 2007).

    Args:
        values: (B,).
        estimate: On the images themselves.
        outputs: Of the N images.
        groups: (N,) numbers of patients from 0; images of one share their luck.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    confidence = np.exp(outputs.log_probabilities.max(axis=1))
    in_bin = np.eye(BINS)[bin_of(confidence)]
    size = max(1, CHUNK // len(confidence))
    by_chance = []
    for start in range(0, len(values), size):
        luck = rng.random((min(size, len(values) - start), int(groups.max()) + 1))[:, groups]
        by_chance.append(np.abs((confidence - (luck < confidence)) @ in_bin).sum(axis=1) / len(confidence))
    calibrated = estimate <= np.quantile(np.concatenate(by_chance), TAILS[1])
    low, high = mirrored_interval(values, estimate)
    return 0.0 if calibrated else max(0.0, low), high
