"""Files that show one radiograph: thumbnails -> pairs of images.

Two chests are alike in everything that is large: ribs, heart, the black frame. A hash of the whole picture therefore
links hundreds of different people. What is compared here is the fine detail of the middle: each thumbnail less its own
blur, divided by its local contrast, without its outer rim. Contrast and brightness, an added letter, arrow or frame,
and a slight crop change this little; another person changes all of it.

On 7,305 radiographs of the database, the files known to show one radiograph reached 0.80 to 1.00 with at least one
other of their group, and what by eye were different people at most 0.73.

Copies that were turned, mirrored, inverted, cropped or framed have their detail elsewhere: `moved` finds those.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covidnet.data.division.burnt import find_burnt
from covidnet.data.division.moved import UNMOVED, find_moved
from covidnet.data.division.pictures import Pictures, detail_of

RIM = 6  # pixels left out on each side: letters, frames, collimation
LEAST = 0.795  # correlation from which on two images are duplicates
ALIKE = 0.9  # quantile of the correlations by chance; where it is high, more is asked of duplicates
MARGIN = 0.815  # over that quantile, in units of Fisher's z
MOST = 0.95  # correlation that is always enough
SAMPLE = 512  # images from which chance and the axes of the search are taken
AXES = 128
ROUNDING = 1e-4  # of the bounds
BLOCK = 1024  # images compared at once with all others: what bounds the memory
MANY = 20 * BLOCK  # candidates of a block from which on a full product is quicker than to compare each

Details = NDArray[np.float32]  # (N, D), rows of length 1: their products are correlations


class Duplicates(NamedTuple):
    """Pairs of images that show one radiograph."""

    pairs: NDArray[np.int64]  # (P, 2), the lower number first, ascending
    correlations: NDArray[np.float32]  # (P,)
    kinds: list[str]  # P, what became of one of the two, as `moved` names it; "" where it lies as the other does

    def counts(self) -> dict[str, int]:
        """Return how many copies there are of each kind but "", the most first."""
        copies = {(int(second), kind) for (_, second), kind in zip(self.pairs, self.kinds, strict=True) if kind}
        counts = Counter(kind for _, kind in copies)
        return {kind: counts[kind] for kind in sorted(counts, key=lambda kind: (-counts[kind], kind))}

    def told(self) -> str:
        """Return the counts as words, "12 mirrored, 3 turned"; "" where there are none."""
        return ", ".join(f"{count:,} {kind}" for kind, count in self.counts().items())


def find_duplicates(thumbnails: NDArray[np.uint8]) -> Duplicates:
    """Return the pairs of thumbnails ``(N, S, S)`` that show one radiograph; blank images have none.

    First come those whose detail lies at one place, burnt-out ones too; then, of pairs that these do not link, those
    that were turned, mirrored, inverted, cropped, framed or moved.
    """
    if len(thumbnails) < 2:
        return Duplicates(np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.float32), [])
    whole = detail_of(thumbnails.astype(np.float32))
    details = _rows(whole)
    sample = details[np.sort(np.random.default_rng(0).permutation(len(details))[:SAMPLE])]
    by_chance = _by_chance(sample)
    pairs, correlations = _at_one_place(details, sample, _threshold(by_chance))
    burnt = find_burnt(thumbnails, whole, by_chance)
    new = ~np.isin(burnt[0] @ [len(details), 1], pairs @ [len(details), 1])
    pairs, correlations = np.concatenate([pairs, burnt[0][new]]), np.concatenate([correlations, burnt[1][new]])
    moved = find_moved(thumbnails, whole, pairs, by_chance)
    return Duplicates(
        np.concatenate([pairs, moved.pairs]),
        np.concatenate([correlations, moved.likeness]),
        [UNMOVED] * len(pairs) + moved.kinds,
    )


def _at_one_place(details: Details, sample: Details, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the pairs whose details correlate by more than chance does, and how much.

    The products along the leading axes, and the length of what they leave out, bound each correlation from above; the
    few pairs that the bound lets pass are then compared in full. So nothing is missed, and 20,000 images take seconds.
    """
    leading = details @ _axes(sample)  # (N, AXES)
    rest = np.sqrt(np.maximum((details**2).sum(axis=1) - (leading**2).sum(axis=1), 0))
    bounds = np.column_stack([leading, rest])  # by Cauchy and Schwarz, products of these rows are bounds
    pairs, correlations = [], []
    for start in range(0, len(details), BLOCK):
        first, second = np.nonzero(bounds[start : start + BLOCK] @ bounds[start:].T >= threshold - ROUNDING)
        if len(first) > MANY:  # noise has no leading axes
            first, second = np.nonzero(details[start : start + BLOCK] @ details[start:].T >= threshold - ROUNDING)
        candidates = np.column_stack([first, second])[first < second] + start
        exact = np.einsum("nd,nd->n", details[candidates[:, 0]], details[candidates[:, 1]])
        pairs.append(candidates[exact >= threshold])
        correlations.append(exact[exact >= threshold])
    return np.concatenate(pairs), np.concatenate(correlations)


def _rows(pictures: Pictures) -> Details:
    """Return the middle of each picture of detail, of mean 0 and length 1."""
    rows = pictures[:, RIM:-RIM, RIM:-RIM].reshape(len(pictures), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1), dtype=np.float32)  # what is shorter than 1 is rounding: no detail


def _threshold(by_chance: float) -> float:
    """Return the correlation that chance does not reach: more than usual where all images are alike, as drawn ones."""
    return min(max(LEAST, float(np.tanh(np.arctanh(by_chance) + MARGIN))), MOST)


def _by_chance(sample: Details) -> float:
    """Return the correlation that one in ten pairs of different images exceeds."""
    chance = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    return min(float(np.quantile(chance, ALIKE)), MOST)


def _axes(sample: Details) -> NDArray[np.float32]:
    """Return up to AXES orthonormal directions (D, K) along which the sample varies most."""
    _, mixtures = np.linalg.eigh(sample @ sample.T)  # of the images, the most varying last
    axes, _ = np.linalg.qr(sample.T @ mixtures[:, -AXES:])
    return np.asarray(axes)
