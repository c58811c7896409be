"""Doubtful labels by confident learning: the counts of the paper's rule, and that the ranking finds wrong labels."""

import numpy as np
import pytest
from scipy.special import softmax

from covidnet.evaluation.confident import NONE, weigh_labels


def test_an_image_counts_as_the_most_probable_class_that_it_reaches_the_mean_of():
    labels = np.array([0, 0, 0, 1, 1])
    first = np.array([0.9, 0.8, 0.1, 0.3, 0.2])  # means: 0.6 of the first class, 0.75 of the second
    found = weigh_labels(np.stack([first, 1 - first], axis=1), labels)
    np.testing.assert_allclose(found.thresholds, [0.6, 0.75])
    assert found.counted.tolist() == [0, 0, 1, NONE, 1]  # the fourth reaches neither mean
    assert found.joint.tolist() == [[2, 1], [0, 1]]
    np.testing.assert_allclose(found.estimated, [[2, 1], [0, 2]])  # as many of each label as there are
    assert (found.suspects, found.wrong) == (1, 1.0)
    np.testing.assert_allclose(found.doubt, [0.1, 0.2, 0.9, 0.3, 0.2])
    assert found.order[0] == 2
    assert found.suggested.tolist() == [0, 0, 1, 1, 1]


def test_a_rare_class_is_suspected_where_it_reaches_its_own_mean_and_a_class_without_images_never_counts():
    common, rare = [0.9, 0.1, 0.0], [0.6, 0.4, 0.0]
    probabilities = np.array([common, common, rare, rare, [0.55, 0.45, 0.0]])
    found = weigh_labels(probabilities, np.array([0, 0, 0, 1, 0]))
    assert np.isinf(found.thresholds[2])
    assert found.joint.tolist() == [[2, 2, 0], [0, 1, 0], [0, 0, 0]]
    assert found.doubt[4] < 0.5  # its label is the more probable, and yet
    assert found.suggested[4] == 1
    assert np.isfinite(found.estimated).all()


@pytest.mark.parametrize("classes", [2, 4])
def test_most_labels_that_were_changed_are_among_the_most_doubtful(classes):
    rng = np.random.default_rng(classes)
    truth = rng.integers(classes, size=1000)
    logits = rng.normal(size=(1000, classes)) + 4 * np.eye(classes)[truth]
    changed = rng.choice(1000, 50, replace=False)
    labels = truth.copy()
    labels[changed] = (truth[changed] + rng.integers(1, classes, 50)) % classes
    found = weigh_labels(softmax(logits, axis=1), labels)
    assert len({*found.order[:70]} & {*changed}) >= 40
    assert (found.suggested[changed] == truth[changed]).mean() > 0.8
    assert 25 < found.wrong < 100
