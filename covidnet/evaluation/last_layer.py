"""The last layer of a network, fitted anew to what the layers before it make of images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from covidnet.evaluation.logistic import of_all_classes

Floats = NDArray[np.float64]
STEPS = 3000  # of the solver; a weak penalty takes some hundreds


@dataclass(frozen=True)
class LastLayer:
    """Features (N, F) -> logits (N, C).

    Attributes:
        weight: (C, F).
        bias: (C,).
    """

    weight: Floats
    bias: Floats

    def logits(self, features: NDArray[np.floating]) -> Floats:
        """Return the logits (N, C) of features (N, F)."""
        return features.astype(np.float64) @ self.weight.T + self.bias

    def tempered(self, temperature: float) -> "LastLayer":
        """Return the layer whose logits are these, divided by ``temperature``."""
        return LastLayer(self.weight / temperature, self.bias / temperature)


def fit_last_layer(
    features: NDArray[np.floating], labels: NDArray[np.integer], weights: Floats, strength: float
) -> LastLayer:
    """Return the multinomial logistic regression with an L2 penalty.

    It minimises the weighted mean of the log loss and ``strength`` / 2 times the squared length of the weights, of
    features that are centred and divided by their common spread: one number for all, so that a feature which hardly
    ever speaks is not made loud.

    Args:
        features: (N, F).
        labels: (N,) in 0 .. C - 1, each of them there.
        weights: (N,) how much each image counts.
        strength: Of the penalty, above 0.
    """
    features, shares = features.astype(np.float64), weights / weights.sum()
    middle = shares @ features
    spread = float(np.sqrt(shares @ ((features - middle) ** 2).sum(axis=1))) or 1.0
    fitted = LogisticRegression(C=1 / strength, max_iter=STEPS).fit((features - middle) / spread, labels, shares)
    weight, bias = of_all_classes(fitted)
    return LastLayer(weight / spread, bias - weight / spread @ middle)
