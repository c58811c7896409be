"""Which few pairs of pictures may show one radiograph: a vector a picture that turning, mirroring and moving spare.

The strength of each spatial frequency does not change where a picture is moved or inverted; of those on a ring about
zero, only the order changes where it is turned or mirrored, and so not the strength of what varies along the ring. A
picture that was cropped is enlarged, which no such vector spares: each picture has two more, of its middle.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft, rfft2

from covidnet.data.division.pictures import Pictures

SIDES = (48, 44, 39)  # of the middles that the vectors of a picture look at, in pixels; the first is all of it
LOWEST, HIGHEST, RINGS = 2.0, 15.0, 22  # frequencies, in waves a picture
ANGLES = 40  # places on half a ring; the other half is the same
MOST_WAVES = 12  # along a ring
AXES = 96  # of a signature
SAMPLE, ROWS = 1024, 256  # pictures from which the axes and the threshold are taken
DAMPING = 0.02  # of the largest variance, so that what hardly varies is not noise made large
FIRST, EACH = 200, 0.5  # pairs that are looked at: so many, and so many more a picture
POSSIBLE, CERTAIN = 0.05, 0.45  # likeness up to which a pair is never looked at, and from which on it always is
FEW = 20  # of so few pictures all pairs are looked at: they have no axes
MOST = 8  # pairs a picture, on average, that are looked at if so many are alike
BLANK = 0.1  # of detail; a picture of less shows nothing
BLOCK = 1024  # pictures compared at once with all others: what bounds the memory

Signatures = NDArray[np.float32]  # (N, D), rows of length 1, or 0 where a picture has no detail


class Candidates(NamedTuple):
    """Pairs (P,) that may show one radiograph, each once, and which of the two has to be enlarged to fit."""

    staying: NDArray[np.int64]
    enlarged: NDArray[np.int64]
    shares: NDArray[np.float32]  # of the sides of the other that the one that stays shows, about


def find_candidates(details: Pictures, groups: NDArray[np.int64]) -> Candidates:
    """Return about half as many pairs as there are pictures, by their detail (N, S, S): the most similar signatures.

    Two of one group (N,) are none, and those without detail are in none.
    """
    signatures = _whitened([_features(details, side) for side in SIDES])
    shown = (np.abs(details).max(axis=(1, 2)) > BLANK)[:, None]
    signatures = [of_side * shown for of_side in signatures]
    least = _threshold(signatures) if len(details) > FEW else -np.inf
    found = [_block(signatures, groups, start, least) for start in range(0, len(details), BLOCK)]
    likeness, staying, enlarged, side = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(-likeness, kind="stable")[: 2 * MOST * len(details)]
    staying, enlarged, side = staying[order], enlarged[order], side[order]
    pairs = np.minimum(staying, enlarged) * len(details) + np.maximum(staying, enlarged)
    first = np.sort(np.unique(pairs, return_index=True)[1])[: MOST * len(details)]  # where each is most alike
    shares = np.array(SIDES, dtype=np.float32)[side[first]] / SIDES[0]
    return Candidates(staying[first], enlarged[first], shares)


def _features(details: Pictures, side: int) -> NDArray[np.float32]:
    """Return what turning, mirroring, inverting and moving spare of the middle of each picture (N, F)."""
    rim = (details.shape[1] - side) // 2
    across = (np.arange(side) + 0.5) * 2 / side - 1
    window = np.cos(np.pi / 2 * np.minimum(np.hypot(across[:, None], across), 1)).astype(np.float32)
    waves = rfft2(details[:, rim : rim + side, rim : rim + side] * window, workers=-1)
    top = int(HIGHEST) + 1  # frequencies of the rows: 0 .. top, -top .. -1
    kept = np.r_[0 : top + 1, side - top : side]
    strength = np.sqrt(np.abs(waves[:, kept, : top + 1]))
    radii = np.geomspace(LOWEST, HIGHEST, RINGS)
    rings = strength.reshape(len(details), -1) @ _polar(radii, top).T
    along = rfft(rings.reshape(len(details), RINGS, ANGLES), axis=2)[:, :, : MOST_WAVES + 1]
    told = np.arange(MOST_WAVES + 1) <= np.maximum(1.2 * radii, 1)[:, None]  # (RINGS, waves)
    lengths = np.abs(along)
    inner = told[:-1].copy()
    inner[:, 0] = False
    first, second = along[:, :-1][:, inner], along[:, 1:][:, inner]
    turns = (first.real * second.real + first.imag * second.imag) / np.sqrt(np.abs(first) * np.abs(second) + 1e-6)
    return np.concatenate([lengths[:, told], turns], axis=1)


def _polar(radii: NDArray[np.float64], top: int) -> NDArray[np.float32]:
    """Return the matrix (R * ANGLES, (2 * top + 1) * (top + 1)) that samples half rings of frequencies, linearly."""
    angles = (np.arange(ANGLES) / ANGLES - 0.5) * np.pi
    down, right = (np.multiply.outer(radii, part(angles)).ravel() for part in (np.sin, np.cos))
    matrix = np.zeros((len(down), 2 * top + 1, top + 2), dtype=np.float32)
    row, column = np.floor(down).astype(int), np.floor(right).astype(int)
    for rows, share_down in ((row, row + 1 - down), (row + 1, down - row)):
        for columns, share_right in ((column, column + 1 - right), (column + 1, right - column)):
            matrix[np.arange(len(down)), rows % (2 * top + 1), columns] += share_down * share_right
    return matrix[:, :, : top + 1].reshape(len(down), -1)


def _whitened(features: list[NDArray[np.float32]]) -> list[Signatures]:
    """Return the signatures of each zoom: features along the axes in which pictures differ, each axis of one weight."""
    whole = features[0]
    sample = np.sort(np.random.default_rng(0).permutation(len(whole))[:SAMPLE])
    spread = whole[sample].std(axis=0) + 1e-6
    normal = (whole[sample] - whole[sample].mean(axis=0)) / spread
    variances, axes = np.linalg.eigh(normal.T @ normal / len(sample))
    variances, axes = variances[-AXES:], axes[:, -AXES:]
    axes = axes / np.sqrt(np.maximum(variances, 0) + DAMPING * variances[-1] + 1e-12) / spread[:, None]
    signatures = []
    for of_zoom in features:
        along = (of_zoom - of_zoom[sample].mean(axis=0)) @ axes
        lengths = np.linalg.norm(along, axis=1, keepdims=True)
        signatures.append((along / np.maximum(lengths, 1e-6)).astype(np.float32))
    return signatures


def _products(
    signatures: list[Signatures], rows: slice | NDArray[np.int64], first: int
) -> Iterator[tuple[int, bool, NDArray[np.float32]]]:
    """Yield a side, whether the rows are of that side, and the likeness of some rows to all from ``first`` on."""
    for side, of_side in enumerate(signatures):
        yield side, True, of_side[rows] @ signatures[0][first:].T
        if side:
            yield side, False, signatures[0][rows] @ of_side[first:].T


def _threshold(signatures: list[Signatures]) -> float:
    """Return the likeness that FIRST pairs and EACH a picture exceed, or CERTAIN where that is less."""
    number = len(signatures[0])
    rows = np.sort(np.random.default_rng(0).permutation(number)[:ROWS])
    values = np.stack([product for _, _, product in _products(signatures, rows, 0)])
    values[:, np.arange(len(rows)), rows] = -1  # each with itself
    wanted = 2 * len(rows) * (FIRST / number + EACH)  # each pair is in two rows
    below = values.size - min(int(wanted), values.size)
    return min(max(float(np.partition(values, below, axis=None)[below]), POSSIBLE), CERTAIN)


def _block(
    signatures: list[Signatures], groups: NDArray[np.int64], start: int, least: float
) -> tuple[NDArray[np.generic], ...]:
    """Return likeness, who stays, who is enlarged, and the side, of some rows and all that follow them."""
    found = []
    for side, of_rows, product in _products(signatures, slice(start, start + BLOCK), start):
        first, second = np.divmod(np.flatnonzero(product >= least), product.shape[1])
        new = (first < second) & (groups[start + first] != groups[start + second])
        first, second = first[new], second[new]
        pair = (second + start, first + start) if of_rows else (first + start, second + start)
        found.append((product[first, second], *pair, np.full(len(first), side)))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))
