"""Facts about what several models say together: their mean, how far they disagree, and their prediction sets."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from covidnet.evaluation.conformal import fit_conformal, prediction_sets
from covidnet.evaluation.cross_conformal import CrossConformal
from covidnet.evaluation.ensembles import disagreement, joined

CERTAIN = 60.0


def drawn(count, seed, models=1):
    """Return labels (N,) of three classes, and the logits (M, N, C) of models that know them a little."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    common = 1.5 * np.eye(3)[labels] + rng.normal(0, 1, (count, 3))
    return labels, common + rng.normal(0, 0.25, (models, count, 3))


def test_probabilities_join_as_their_logits_do():
    logits = drawn(50, 0, models=4)[1]
    together = joined(softmax(logits, axis=2))
    np.testing.assert_allclose(log_softmax(together, axis=1), log_softmax(logits.mean(axis=0), axis=1), atol=1e-12)


def test_members_that_agree_have_no_disagreement_and_certain_opponents_that_of_a_coin():
    same = np.repeat(drawn(20, 1)[1], 5, axis=0)
    assert disagreement(same) == pytest.approx(np.zeros(20), abs=1e-12)
    opposed = np.array([[[CERTAIN, 0, 0]], [[0, CERTAIN, 0]]])
    assert disagreement(opposed) == pytest.approx([np.log(2)])


def test_sets_of_one_fold_are_those_of_split_conformal():
    labels, logits = drawn(300, 2)
    crossed = CrossConformal.fit([logits[0]], [labels], [1.3], [0])
    new = drawn(200, 3)[1]
    least = fit_conformal(softmax(logits[0] / 1.3, axis=1), labels, "abc")["least"]
    np.testing.assert_array_equal(crossed.sets(new), prediction_sets(softmax(new[0] / 1.3, axis=1), least))


def test_sets_of_five_folds_hold_nine_in_ten_images_of_each_class():
    held = np.zeros((2, 3))
    for seed in range(30):
        labels, logits = drawn(500, seed, models=5)
        folds = np.arange(400) % 5  # the last hundred are new
        own = [np.flatnonzero(folds == fold) for fold in range(5)]
        known = [logits[fold, rows] for fold, rows in enumerate(own)]
        crossed = CrossConformal.fit(known, [labels[rows] for rows in own], [1.0] * 5, range(5))
        within = crossed.sets(logits[:, 400:])[np.arange(100), labels[400:]]
        held += [[(within & (labels[400:] == label)).sum() for label in range(3)], np.bincount(labels[400:])]
    assert (held[0] / held[1]).min() > 0.87
    assert (held[0] / held[1]).max() < 0.94


def test_a_class_of_too_few_images_is_in_every_set():
    labels, logits = drawn(40, 5)
    labels[:] = np.arange(40) % 5 == 0  # eight of one class, none of the third
    crossed = CrossConformal.fit([logits[0]], [labels], [1.0], [0])
    assert crossed.sets(drawn(50, 6)[1])[:, 1:].all()
    assert not crossed.sets(drawn(50, 6)[1])[:, 0].all()
