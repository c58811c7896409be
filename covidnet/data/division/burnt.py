"""Copies by so hard a window that much of them is black or white: compared where they still show something.

Of 60 radiographs of the first release under windows of 50 to 128 grey values, such copies reached 0.93 with their
original, and 0.74 at most with any of the 2,904 others. No image of that release is burnt out so far.
"""

import numpy as np
from numpy.typing import NDArray

from covidnet.data.division.pictures import BLACK, WHITE, Pictures, burnt_out

SHOWN = (0.08, 0.65)  # shares of a picture that still show something: less tells nothing, more is compared as all are
MARGIN = 1.0  # over what is alike by chance, in units of Fisher's z
LEAST, MOST = 0.85, 0.98  # correlation from which on two show one radiograph, and that is always enough
USUAL = 0.5  # share of the images; where more are burnt out it is their kind
BLOCK = 256  # of them are compared at once with all others


def find_burnt(
    thumbnails: NDArray[np.uint8], details: Pictures, by_chance: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the pairs (P, 2) of which one is burnt out, the lower number first, and how alike they are.

    Their detail is compared at one place; ``by_chance`` is the correlation that different ones reach.
    """
    extreme = ((thumbnails <= BLACK) | (thumbnails >= WHITE)).mean(axis=(1, 2))
    likely = np.flatnonzero(extreme > (1 - SHOWN[1]) / 2)
    rows = details.reshape(len(details), -1)
    seen = (~burnt_out(thumbnails[likely].astype(np.float32))).reshape(-1, rows.shape[1]).astype(np.float32)
    share = seen.mean(axis=1)
    chosen = (share > SHOWN[0]) & (share < SHOWN[1])
    burnt, seen = likely[chosen], seen[chosen]
    pairs, likeness = [np.empty((0, 2), dtype=np.int64)], [np.empty(0, dtype=np.float32)]
    if len(burnt) <= USUAL * len(thumbnails):
        least = min(max(LEAST, float(np.tanh(np.arctanh(by_chance) + MARGIN))), MOST)
        for start in range(0, len(burnt), BLOCK):
            own = burnt[start : start + BLOCK]
            found = _correlations(rows, rows[own], seen[start : start + BLOCK])
            first, second = np.nonzero(found >= least)
            other = own[second] != first
            pairs.append(np.sort(np.column_stack([first, own[second]])[other], axis=1))
            likeness.append(found[first, second][other])
    every, first = np.unique(np.concatenate(pairs), axis=0, return_index=True)
    return every, np.concatenate(likeness)[first]


def _correlations(
    rows: NDArray[np.float32], own: NDArray[np.float32], seen: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the correlations (N, B) of all rows with some, each where it is seen: three products."""
    share = seen.sum(axis=1)
    centred = (own - (np.einsum("bd,bd->b", own, seen) / share)[:, None]) * seen
    mean = rows @ seen.T / share
    power = (rows**2) @ seen.T - share * mean**2
    return np.asarray(rows @ centred.T / np.sqrt(np.maximum(power, 1) * np.maximum((centred**2).sum(axis=1), 1)))
