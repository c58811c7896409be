"""A logistic regression on features: its strength of regularisation chosen by what it says of held-out images."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from covidnet.machine.parallel import one_thread

# Of the squared weights against the mean loss, the strongest first: half powers of ten.
STRENGTHS = tuple(float(f"{10 ** (power / 2):.2g}") for power in range(2, -13, -1))
WORSE = 2  # strengths in a row after which weaker ones are not tried: the loss of held-out images has one valley
MOST_STEPS = 10_000
TOLERANCE = 1e-5  # of the gradient of the mean loss


class Labelled(NamedTuple):
    """Images as features (N, F), their labels (N,) and what each weighs in the loss (N,)."""

    features: NDArray[np.floating]
    labels: NDArray[np.int64]
    weights: NDArray[np.floating]


class Logistic(NamedTuple):
    """A linear layer, and how it was found.

    Attributes:
        weights: (C, F), for features as they are.
        bias: (C,).
        strength: Of the regularisation that was chosen.
        losses: Mean weighted loss of the held-out images at each strength that was tried.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    strength: float
    losses: dict[float, float]


def fit_logistic(train: Labelled, held: Labelled, num_classes: int, strengths: Sequence[float] = STRENGTHS) -> Logistic:
    """Minimise mean(w_i * l_i) + strength / 2 * |W|^2 over standardised features, for the strength best on ``held``.

    By scikit-learn, on one core, so that the same features give the same bits on any number of them.

    Args:
        train: Images of every class.
        held: Images that choose the strength, by the mean of their weighted losses.
        num_classes: C.
        strengths: From strong to weak.
    """
    features = train.features.astype(np.float64)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation[deviation < 1e-12] = 1.0  # what is the same in all images tells nothing
    features = (features - mean) / deviation
    best, losses = None, dict[float, float]()
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # such a strength is not the best one
        model = LogisticRegression(warm_start=True, max_iter=MOST_STEPS, tol=TOLERANCE)
        for strength in strengths:
            model.set_params(C=1 / (strength * train.weights.sum()))
            model.fit(features, train.labels, sample_weight=train.weights)
            weights, bias = of_all_classes(model)
            weights = weights / deviation
            bias = bias - weights @ mean
            losses[strength] = _loss(held, weights, bias)
            if best is None or losses[strength] < losses[best.strength]:
                best = Logistic(weights, bias, strength, losses)
            elif list(losses).index(strength) - list(losses).index(best.strength) >= WORSE:
                break
    assert best is not None
    return best


def of_all_classes(model: LogisticRegression) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights (C, F) and biases (C,), of two classes too, for which scikit-learn has one row: of the second."""
    weights, bias = np.asarray(model.coef_, np.float64), np.asarray(model.intercept_, np.float64)
    if len(weights) == 1:
        return np.concatenate([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    return weights, bias


def _loss(images: Labelled, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> float:
    logits = images.features.astype(np.float64) @ weights.T + bias
    own = log_softmax(logits, axis=1)[np.arange(len(logits)), images.labels]
    return float(-(images.weights * own).sum() / images.weights.sum())
