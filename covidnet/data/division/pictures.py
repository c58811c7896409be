"""Thumbnails as the search for copies compares them: without frames, and what of them is fine detail."""

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.float32]  # (N, S, S)

FINE, WIDE = 1.5, 3.0  # Gaussians, in pixels: what is left of a picture without the first, its contrast by the second
PLAIN = 6  # grey values: a row or column that spans fewer is a frame
FAINT = 2.0  # grey values; flatter regions are not amplified
BLACK, WHITE = 1.0, 254.0  # grey values up to and from which a picture shows nothing
SPREAD, SHARE = 1.0, 0.05  # so far, in pixels, and from so much on that spoils the detail around it
NOTHING = 1e-12  # of a Gaussian: products with numbers below float32's normal ones take five times as long


def blur(pictures: Pictures, sigma: float) -> Pictures:
    """Return pictures (N, S, S) under a Gaussian of ``sigma`` pixels."""
    places = np.arange(pictures.shape[1])
    weights = np.exp(-0.5 * ((places[:, None] - places) / sigma) ** 2)
    weights[weights < NOTHING] = 0
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return along_both(pictures, weights)


def along_both(pictures: Pictures, matrix: NDArray[np.float32]) -> Pictures:
    """Return ``matrix @ picture @ matrix.T`` of each, by two large products: many small ones take ten times as long."""
    number, size, _ = pictures.shape
    across = (pictures.reshape(-1, size) @ matrix.T).reshape(number, size, len(matrix))
    down = np.ascontiguousarray(across.swapaxes(1, 2)).reshape(-1, size) @ matrix.T
    return down.reshape(number, len(matrix), len(matrix)).swapaxes(1, 2)


def detail_of(pictures: Pictures) -> Pictures:
    """Return each picture less its own blur, over its local contrast."""
    return detail_and_contrast(pictures)[0]


def detail_and_contrast(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """Return the detail of each picture, and its local contrast in grey values."""
    detail = pictures - blur(pictures, FINE)
    contrast = np.sqrt(blur(detail**2, WIDE))
    return np.asarray(detail / (contrast + FAINT), dtype=np.float32), np.asarray(contrast, dtype=np.float32)


def burnt_out(pictures: Pictures) -> NDArray[np.bool_]:
    """Return where pictures, inverted ones below 0, are quite black or white or near that: corners of a turned one."""
    strength = np.abs(pictures)
    return np.asarray(blur(((strength <= BLACK) | (strength >= WHITE)).astype(np.float32), SPREAD) >= SHARE)


def between(first: float, last: float, size: int, number: int) -> NDArray[np.float32]:
    """Return the matrix (number, size) that samples evenly, from edge to edge, what lies between two places."""
    places = first + (np.arange(number) + 0.5) * (last - first) / number - 0.5
    weights = np.maximum(1 - np.abs(places[:, None].clip(0, size - 1) - np.arange(size)), 0)
    return np.asarray(weights, dtype=np.float32)


def without_frames(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.int64], Pictures]:
    """Return which thumbnails (N, S, S) have plain rims, and these without them, as large as before.

    So a radiograph in a frame, in letterbox bars or beside a strip that a shift left is as it was without. Where less
    than half of a side would stay, the rim stays.
    """
    size = thumbnails.shape[1]
    edges = []
    for lines in (np.ascontiguousarray(thumbnails.swapaxes(1, 2)), thumbnails):  # across a last axis takes longer
        busy = lines.max(axis=1) - lines.min(axis=1) > PLAIN  # (N, S)
        first, last = busy.argmax(axis=1), size - busy[:, ::-1].argmax(axis=1)
        whole = ~busy.any(axis=1) | (last - first < size // 2)
        edges += [np.where(whole, 0, first), np.where(whole, size, last)]
    framed = np.flatnonzero((np.stack(edges) != np.array([0, size, 0, size])[:, None]).any(axis=0))
    pictures = thumbnails[framed].astype(np.float32)
    for index, number in enumerate(framed):
        top, bottom, left, right = (int(edge[number]) for edge in edges)
        pictures[index] = between(top, bottom, size, size) @ pictures[index] @ between(left, right, size, size).T
    return framed, pictures
