import io

import numpy as np
import pytest
import torch

from covidnet.evaluation.novelty import fit_novelty, novelty_scores

SIDE = 8


def features(images, seed, *, colour=0.0, network=0.0):
    """Return features (N, 73) of images that are bright above and dark at the left, whatever network they meet."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[-1:1:8j, -1:1:8j]
    pattern = (across - 0.6 * down + 0.3 * rng.normal(size=(images, SIDE, SIDE))).reshape(images, -1)
    pattern /= np.linalg.norm(pattern, axis=1, keepdims=True)
    seen = np.array([1, network, 0, 0, 0, 0, 0, 0]) + 0.1 * rng.normal(size=(images, 8))
    return np.concatenate([pattern, np.full((images, 1), colour), seen], axis=1)


@pytest.fixture(scope="module")
def state():
    return fit_novelty(features(300, 0), features(400, 1), SIDE)


def turned(rows, change):
    pattern = change(rows[:, : SIDE**2].reshape(-1, SIDE, SIDE)).reshape(len(rows), -1)
    return np.concatenate([pattern, rows[:, SIDE**2 :]], axis=1)


def test_about_two_per_cent_of_new_images_of_the_same_kind_are_flagged(state):
    assert 0.005 < (novelty_scores(state, features(2000, 2)) > 1).mean() < 0.035


@pytest.mark.parametrize(
    "change",
    [
        lambda pattern: np.rot90(pattern, 1, (1, 2)),
        lambda pattern: np.rot90(pattern, 2, (1, 2)),
        lambda pattern: np.rot90(pattern, 3, (1, 2)),
        np.negative,
        np.zeros_like,
        lambda pattern: np.random.default_rng(0).permuted(pattern.reshape(len(pattern), -1), axis=1),
    ],
    ids=["90", "180", "270", "inverted", "one grey", "another picture"],
)
def test_what_looks_otherwise_is_flagged(state, change):
    assert (novelty_scores(state, turned(features(100, 3), change)) > 1).mean() > 0.95


def test_colour_is_flagged_where_the_training_was_grey(state):
    assert (novelty_scores(state, features(100, 4, colour=1.0)) > 1).all()


def test_what_is_strange_to_the_network_is_flagged(state):
    assert (novelty_scores(state, features(100, 5, network=1.0)) > 1).all()


def test_the_scale_of_the_networks_features_does_not_matter(state):
    rows = features(50, 6)
    scaled = rows.copy()
    scaled[:, SIDE**2 + 1 :] *= 7
    np.testing.assert_allclose(novelty_scores(state, scaled), novelty_scores(state, rows))


def tensors_of(state):
    return {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in state.items()}


def test_the_state_loads_without_running_code_and_scores_alike(state):
    file = io.BytesIO()
    torch.save(tensors_of(state), file)
    file.seek(0)
    rows = features(20, 7)
    again = novelty_scores(torch.load(file, weights_only=True), rows)
    np.testing.assert_array_equal(again, novelty_scores(state, rows))


def test_what_is_kept_is_rounded_as_torch_rounds_to_half_precision():
    rows = features(300, 0)
    expected = torch.from_numpy(rows[:, : SIDE**2 + 1]).double().half().numpy()
    np.testing.assert_array_equal(fit_novelty(rows, features(40, 1), SIDE)["looks"], expected)


def test_with_few_validation_images_none_of_them_is_flagged():
    validation = features(5, 1)
    state = fit_novelty(features(2, 0), validation, SIDE)
    assert novelty_scores(state, validation).max() == pytest.approx(1.0)


def test_two_odd_validation_images_do_not_let_others_like_them_in():
    odd = turned(features(2, 8), lambda pattern: np.rot90(pattern, 2, (1, 2)))
    state = fit_novelty(features(300, 0), np.concatenate([features(70, 1), odd]), SIDE)
    others = turned(features(100, 9), lambda pattern: np.rot90(pattern, 2, (1, 2)))
    assert (novelty_scores(state, others) > 1).mean() > 0.95


def test_equal_images_are_no_reason_to_divide_by_zero():
    rows = np.zeros((10, SIDE**2 + 3))
    scores = novelty_scores(fit_novelty(rows, rows, SIDE), rows)
    assert (scores <= 1).all()
