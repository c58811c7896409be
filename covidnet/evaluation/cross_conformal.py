"""Prediction sets of models each of which was tested on other images: no image is kept aside for them alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.evaluation.conformal import COVERAGE, ROUNDING


@dataclass(frozen=True)
class CrossConformal:
    """Cross-conformal sets (CV+; Romano et al. 2020, arXiv:2006.02544; Barber et al. 2021, arXiv:1905.02928).

    An image that a model has not seen has a score: its calibrated probability of the image's own class. A class is in
    the set of a new image where its score, each time by the model that did not see the image compared with, is reached
    by enough of the images of that class. That is within each class, as the sets of one model are. In exchange for all
    images, the guarantee is weaker: of each class 2 * coverage - 1 or more. In practice it is about ``coverage``, and
    more where the models disagree much: a new image has the mean of their ranks, each known image the rank of one.

    Attributes:
        coverage: Share of the images of each class whose set is to hold it.
        temperatures: (M,) that calibrate each model.
        folds: (M,) in 0 .. K - 1, which images each model did not see; models of one fold count as one, by their mean.
        scores: Of each fold and class, those of its images, in ascending order.
    """

    coverage: float
    temperatures: NDArray[np.float64]
    folds: NDArray[np.int64]
    scores: list[list[NDArray[np.float64]]]

    @classmethod
    def fit(
        cls,
        logits: Sequence[NDArray[np.floating]],
        labels: Sequence[NDArray[np.integer]],
        temperatures: Sequence[float],
        folds: Sequence[int],
        coverage: float = COVERAGE,
    ) -> "CrossConformal":
        """Return the sets of models.

        Args:
            logits: Of each of M models, (N, C) of the images that it did not see; models of one fold have the same.
            labels: Of each model, (N,) of these images, in 0 .. C - 1.
            temperatures: Of each model, by which its logits are divided.
            folds: Of each model, in 0 .. K - 1.
            coverage: In (0, 1).
        """
        scores = []
        for fold in range(max(folds) + 1):
            own = [number for number, of in enumerate(folds) if of == fold]
            said = np.mean([_calibrated(logits[number], temperatures[number]) for number in own], axis=0)
            truth = labels[own[0]]
            scores.append([np.sort(said[truth == label, label]) for label in range(said.shape[1])])
        return cls(coverage, np.array(temperatures), np.array(folds), scores)

    @property
    def support(self) -> list[int]:
        """How many images of each class there are."""
        return [sum(map(len, of_class)) for of_class in zip(*self.scores, strict=True)]

    def sets(self, logits: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return which classes are in the set of each image, (N, C).

        Args:
            logits: (M, N, C) of the models.
        """
        said = np.stack([_calibrated(*pair) for pair in zip(logits, self.temperatures, strict=True)])
        above = np.zeros(said.shape[1:], dtype=np.int64)  # images of the class with a higher score
        for fold, of_fold in enumerate(self.scores):
            mean = said[self.folds == fold].mean(axis=0)
            for label, own in enumerate(of_fold):
                above[:, label] += len(own) - np.searchsorted(own, mean[:, label], side="right")
        enough = [math.ceil((count + 1) * self.coverage - ROUNDING) for count in self.support]
        within: NDArray[np.bool_] = above < np.array(enough)
        return within


def _calibrated(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    calibrated: NDArray[np.float64] = softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
    return calibrated
