"""What several models say together, each tested on sources of its own that may come again in another's test."""

import numpy as np
from numpy.typing import NDArray

from covidnet.evaluation.bootstrap import CHUNK, RESAMPLES, percentile_interval
from covidnet.evaluation.intervals import Interval, groups_of, worst_effect


def mean_balanced_accuracy(
    right: NDArray[np.bool_],
    folds: NDArray[np.integer],
    labels: NDArray[np.integer],
    sources: NDArray[np.integer],
    groups: NDArray[np.integer],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, Interval | None]:
    """Return the mean over folds of the balanced accuracy over the classes that each tests, and its limits.

    The Bayesian bootstrap, as in `resample`: a patient has one weight in all folds, so that images which several
    models were tested on are not taken for as many. Each source of a class gains the same small share of one more
    patient, all shares one patient together, who is as likely right as wrong in all folds alike.

    Args:
        right: (N,) whether an image was recognised; an image counts once in each fold that tests it.
        folds: (N,) a number for each fold.
        labels: (N,) a number for each class.
        sources: (N,) a number for each source.
        groups: (N,) a number for each patient.
        resamples: How many.
        seed: Of the random numbers.

    Returns:
        No limits where all images of a class in one fold are of one patient, who does not tell how patients differ.
    """
    patients = groups_of(groups, len(right))
    cells, cell = np.unique(np.stack([folds, labels]), axis=1, return_inverse=True)  # (2, K): classes of folds
    of_source, source = np.unique(np.stack([labels, sources]), axis=1, return_inverse=True)
    _, fold, classes = np.unique(cells[0], return_inverse=True, return_counts=True)
    shares = 1 / (len(classes) * classes[fold])  # (K,) of each cell in the mean
    shape = (int(patients.max()) + 1, cells.shape[1])
    images, hits = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)  # of each patient in each cell
    np.add.at(images, (patients, cell), 1)
    np.add.at(hits, (patients, cell), right)
    estimate = float((hits.sum(axis=0) / images.sum(axis=0)) @ shares)
    if (np.count_nonzero(images, axis=0) < 2).any():
        return estimate, None
    effects = np.array([worst_effect(column[column > 0]) for column in images.T])
    gains = np.zeros((of_source.shape[1], cells.shape[1]))
    gains[source, cell] = effects[cell]
    rng = np.random.default_rng(seed)
    parts = []
    size = max(1, CHUNK // len(images))
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        weights = rng.standard_exponential((rows, len(images)))
        found, missed = rng.standard_gamma(0.5 / len(gains), (2, rows, len(gains))) @ gains
        parts.append((weights @ hits + found) / (weights @ images + found + missed) @ shares)
    return estimate, percentile_interval(np.concatenate(parts), estimate)
