"""A solved head is the optimum of its loss, at the strength that the held-out images choose."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from covidnet.evaluation.logistic import STRENGTHS, Labelled, fit_logistic


def drawn(count, classes, seed, spread=1.0):
    """Return images whose class shows in two of six features, on scales and places of their own."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = random.normal(size=(count, 6)) * spread
    features[:, 0] += labels
    features[:, 1] -= labels == 1
    weights = np.where(labels == 0, 3.0, 0.5)
    return Labelled((features * [1, 50, 1e-3, 1, 1, 1] + [0, 9, 0, 5, 0, 0]).astype(np.float32), labels, weights)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_layer_minimises_its_loss_over_standardised_features(classes):
    train = drawn(90, classes, 0)
    strength = 0.03
    found = fit_logistic(train, drawn(60, classes, 1), classes, [strength])
    features = train.features.astype(float)
    scaled = (features - features.mean(0)) / features.std(0)

    def loss(flat):
        weights, bias = flat[: classes * 6].reshape(classes, 6), flat[classes * 6 :]
        own = log_softmax(scaled @ weights.T + bias, axis=1)[np.arange(len(features)), train.labels]
        # Two classes are one row in scikit-learn, whose square is twice that of two halves.
        shrink = strength / 2 * (weights**2).sum() * (2 if classes == 2 else 1)
        return -(train.weights * own).sum() / train.weights.sum() + shrink

    best = minimize(loss, np.zeros(classes * 7), method="BFGS", options={"gtol": 1e-7}).x
    expected = scaled @ best[: classes * 6].reshape(classes, 6).T + best[classes * 6 :]
    logits = features @ found.weights.T + found.bias
    np.testing.assert_allclose(log_softmax(logits, axis=1), log_softmax(expected, axis=1), atol=1e-3)


def test_held_out_images_choose_the_strength():
    train, held = drawn(30, 3, 0, spread=3.0), drawn(300, 3, 1, spread=3.0)
    found = fit_logistic(train, held, 3)
    assert found.losses[found.strength] == min(found.losses.values())
    assert found.strength not in (STRENGTHS[0], STRENGTHS[-1])
    tried = list(found.losses)
    assert tried == list(STRENGTHS[: len(tried)])
    assert tried.index(found.strength) == len(tried) - 3  # two worse ones end it


def test_a_feature_that_is_the_same_in_all_images_tells_nothing():
    train, held = drawn(60, 3, 0), drawn(60, 3, 1)
    train.features[:, 4] = 7
    found = fit_logistic(train, held, 3)
    assert np.isfinite(found.weights).all()
    np.testing.assert_allclose(found.weights[:, 4], 0)
