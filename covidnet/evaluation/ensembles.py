"""What several models say of the same images -> what they say together, and how far they disagree."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, softmax

from covidnet.evaluation.metrics import logarithms


def joined(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logits (N, C) of models together, of the probabilities (M, N, C) that each gives.

    Logarithms of probabilities are a model's logits but for one number an image. That changes no softmax, neither of
    the mean nor at any temperature.
    """
    together: NDArray[np.float64] = logarithms(probabilities).mean(axis=0)
    return together


def disagreement(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how far models disagree on each image (N,): 0 where all give one answer, at most log(min(M, C)).

    It is the entropy of the mean of their probabilities less the mean of their entropies, in nats: the mean divergence
    of a member from the mean (Lakshminarayanan et al. 2017, arXiv:1612.01474), also called mutual information, which
    leaves out what all members are unsure of alike (Gal et al. 2017, arXiv:1703.02910).

    Args:
        logits: (M, N, C) of M models.
    """
    probabilities = softmax(np.asarray(logits, dtype=np.float64), axis=2)
    together = entr(probabilities.mean(axis=0)).sum(axis=1)
    alone = entr(probabilities).sum(axis=2).mean(axis=0)
    apart: NDArray[np.float64] = np.maximum(together - alone, 0)  # which rounding may miss
    return apart
