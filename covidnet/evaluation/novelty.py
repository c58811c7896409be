"""Whether an image looks like those that a model was trained on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

KNOWN = 0.98  # share of validation images that are to look like training images


def fit_novelty(train_features: NDArray[np.floating], val_features: NDArray[np.floating]) -> dict[str, Any]:
    """Return what `novelty_scores` needs, as plain types and tensors.

    Args:
        train_features: (N, F) of training images, as the model gives them in evaluation.
        val_features: (M, F) of validation images, M at least 1.
    """
    train = np.asarray(train_features, dtype=np.float64)
    mean, deviation = train.mean(axis=0), train.std(axis=0) + 1e-3
    covariance, _ = ledoit_wolf((train - mean) / deviation, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    state = {
        "mean": torch.from_numpy(mean).float(),
        "whiten": torch.from_numpy(vectors / np.sqrt(values) / deviation[:, None]).float(),
        "threshold": 1.0,
    }
    state["threshold"] = float(np.quantile(novelty_scores(state, val_features), KNOWN, method="higher"))
    return state


def novelty_scores(state: Mapping[str, Any], features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how unlike the training images each image is, (N,); above 1 it does not look like one of them.

    Args:
        state: As `fit_novelty` returns it.
        features: (N, F), as the model gives them in evaluation.
    """
    centred = np.asarray(features, dtype=np.float64) - state["mean"].numpy()
    distances = np.sqrt(((centred @ state["whiten"].numpy()) ** 2).mean(axis=1))
    scores: NDArray[np.float64] = distances / state["threshold"]
    return scores
