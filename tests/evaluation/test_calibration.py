import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from covidnet.evaluation.calibration import fit_temperature, reliability_bins


def drawn(images, temperature, seed=0):
    """Return logits (N, 3) that are ``temperature`` times those their labels (N,) were drawn from."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(images, 3))
    labels = (rng.random((images, 1)) > softmax(logits, axis=1).cumsum(axis=1)[:, :-1]).sum(axis=1)
    return logits * temperature, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_overconfident_logits_is_found(temperature):
    assert fit_temperature(*drawn(20_000, temperature)) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_is_more_likely():
    logits, labels = drawn(200, 2.0)
    best = fit_temperature(logits, labels)
    losses = [log_loss(labels, softmax(logits / (best * factor), axis=1)) for factor in (1.0, 0.98, 1.02)]
    assert losses[0] == min(losses)


def test_a_perfect_validation_split_does_not_make_the_model_certain():
    logits = np.eye(3)[np.arange(30) % 3]
    assert fit_temperature(logits, np.arange(30) % 3) == pytest.approx(1.0, abs=1e-3)


def test_reliability_bins_hold_every_image_once():
    logits, labels = drawn(400, 1.0)
    probabilities = softmax(logits, axis=1)
    bins = reliability_bins(probabilities, labels)
    assert sum(one["count"] for one in bins) == 400
    assert sum(one["count"] * one["accuracy"] for one in bins) == pytest.approx((logits.argmax(axis=1) == labels).sum())
    for one in bins:
        assert one["low"] < one["confidence"] <= one["high"]
        assert one["interval"][0] <= one["accuracy"] <= one["interval"][1]


def test_a_confidence_of_one_lies_in_the_last_bin():
    (only,) = reliability_bins(np.array([[1.0, 0.0]]), np.array([0]))
    assert (only["high"], only["accuracy"]) == (1.0, 1.0)
