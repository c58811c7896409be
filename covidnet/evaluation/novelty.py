"""Whether an image looks like those that a model was trained on: by its nearest neighbours among them.

Two distances are taken. That of the appearance, a small pattern of light and dark, grows where the image would look
more like the training images if it were turned or inverted; so it tells photographs, drawings and pages of text, and
radiographs that lie on their side. That of the network's features (Sun et al. 2022, arXiv:2204.06507) tells what is
strange to the network. Either is enough. ``python -m bench.novelty RUN`` measures what comes of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Share of the validation images within each limit. Most of the images that no longer pass are left to the appearance:
# it tells what is no radiograph, while the network finds many radiographs of other hospitals strange.
LOOKS_KNOWN, NETWORK_KNOWN = 0.985, 0.995
ODD = 2  # so many validation images do not pass in any case: one that lies on its side would let in all that do
LEAST_KNOWN = 0.95  # of few validation images, two are too many to lose
NEIGHBOURS = 3  # the third nearest counts: one or two odd training images do not make their like familiar
SPARSE = 4  # one in so many training images is kept for the network's features, which are long; few are enough
SMALLEST = 1e-3  # of a distance that others are divided by: about what half precision, in which they are kept, can tell

Floats = NDArray[np.float64]


def fit_novelty(train_features: NDArray[np.floating], val_features: NDArray[np.floating], side: int) -> dict[str, Any]:
    """Return what `novelty_scores` needs, as plain types and arrays of half precision: at most some megabytes.

    Args:
        train_features: (N, F) of training images, as the model gives them in evaluation: the appearance, (side * side
            + 1), then what the network makes of the image.
        val_features: (M, F) of validation images, M at least 1; they set the limits. Of fewer than 39 all pass.
        side: Of the pattern that the features begin with.
    """
    looks, network = _parts(train_features, side)
    state = {
        "side": side,
        "looks": _half(looks),
        "network": _half(network[::SPARSE]),
        "limits": [1.0, 1.0],
    }
    distances = _distances(state, val_features)
    limits = [_limit(distances[0], LOOKS_KNOWN, odd=ODD), _limit(distances[1], NETWORK_KNOWN)]
    state["limits"] = [max(limit, SMALLEST) for limit in limits]
    return state


def novelty_scores(state: Mapping[str, Any], features: NDArray[np.floating]) -> Floats:
    """Return how unlike the training images each image is, (N,): above 1 it does not look like one of them.

    Of images like those of the validation about 2 % are above 1, up to 5 % where it has few.

    Args:
        state: As `fit_novelty` returns it, or with tensors in place of arrays, as a checkpoint holds them.
        features: (N, F), as the model gives them in evaluation.
    """
    looks, network = _distances(state, features)
    scores: Floats = np.maximum(looks / state["limits"][0], network / state["limits"][1])
    return scores


def network_features(features: NDArray[np.floating], side: int) -> Floats:
    """Return what the network makes of images (N, F'), as vectors of length 1, of features as ``fit_novelty`` has."""
    return _parts(features, side)[1]


def _distances(state: Mapping[str, Any], features: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return how far the images are from the training's, (N,) by their appearance and (N,) by the network's features.

    By the appearance, d becomes d * d / d', where d' is the distance of the image that is turned or inverted so that it
    looks most like them.
    """
    side = state["side"]
    looks, network = _parts(features, side)
    distance = _Neighbours(state["looks"])
    upright = distance(looks)
    turned = np.min([distance(other) for other in _turned(looks, side)], axis=0)
    return upright**2 / np.maximum(turned, SMALLEST), _Neighbours(state["network"])(network)


class _Neighbours:
    """Images' distances (N,) from the third nearest of the ``known`` ones (K, F), in which these lie."""

    def __init__(self, known: ArrayLike) -> None:
        from sklearn.neighbors import NearestNeighbors  # who loads a model need not wait for it

        wide = np.asarray(known).astype(np.float64)
        count = min(NEIGHBOURS, len(wide))
        self._nearest = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(wide)

    def __call__(self, features: Floats) -> Floats:
        distances: Floats = self._nearest.kneighbors(features)[0][:, -1]
        return distances


def _parts(features: NDArray[np.floating], side: int) -> tuple[Floats, Floats]:
    """Return the appearance (N, side * side + 1), and the network's features (N, F') as vectors of length 1."""
    features = np.asarray(features, dtype=np.float64)
    looks, network = np.split(features, [side * side + 1], axis=1)
    return looks, network / np.maximum(np.linalg.norm(network, axis=1, keepdims=True), np.finfo(np.float64).tiny)


def _half(values: Floats) -> NDArray[np.float16]:
    """Return values in half precision, rounded by way of single precision, as the checkpoints always were."""
    return values.astype(np.float32).astype(np.float16)


def _turned(looks: Floats, side: int) -> Iterator[Floats]:
    """Yield the appearance (N, side * side + 1) of the images turned by 90, 180 and 270 degrees, and inverted."""
    pattern, colour = looks[:, :-1].reshape(-1, side, side), looks[:, -1:]
    others = [*(np.rot90(pattern, quarters, axes=(1, 2)) for quarters in (1, 2, 3)), -pattern]
    for other in others:
        yield np.concatenate([other.reshape(len(looks), -1), colour], axis=1)


def _limit(distances: Floats, known: float, odd: int = 0) -> float:
    """Return the distance that a new image of the same kind keeps with a probability of ``known`` or more.

    At least ``odd`` of the images that it is taken from exceed it, as long as the probability stays ``LEAST_KNOWN``.
    """
    count = len(distances)
    within, least = (int(np.ceil((count + 1) * share)) for share in (known, LEAST_KNOWN))
    return float(np.sort(distances)[min(max(min(within, count - odd), least), count) - 1])
