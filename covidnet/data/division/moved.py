"""Copies of a radiograph that were turned, mirrored, inverted, cropped, framed or moved: thumbnails -> pairs and kinds.

Few pairs may show one radiograph, by their signatures; each of these is laid one on the other, and is one where the
fine detail of both is alike then. On the 2,905 images of the first release, pairs that by eye show one radiograph
reached 0.97 to 1.00 so, and others, of one patient even, at most 0.945; see docs/copies.md.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from covidnet.data.division.alignment import align
from covidnet.data.division.pictures import Pictures, detail_of, without_frames
from covidnet.data.division.signatures import find_candidates

LEAST = 0.962  # likeness from which on two pictures show one radiograph
MARGIN, MOST = 1.7, 0.99  # over what is alike by chance, in units of Fisher's z; likeness that is always enough
UNMOVED = ""  # the kind of a copy that lies as the original does
TURNED, MIRRORED, INVERTED, MOVED = "turned", "mirrored", "inverted", "cropped, framed or moved"


class Moved(NamedTuple):
    """Pairs (P, 2) that show one radiograph, the lower number first, ascending; how alike they are; what was done."""

    pairs: NDArray[np.int64]
    likeness: NDArray[np.float32]
    kinds: list[str]


def find_moved(thumbnails: NDArray[np.uint8], whole: Pictures, known: NDArray[np.int64], by_chance: float) -> Moved:
    """Return the pairs of thumbnails (N, S, S), whose detail is ``whole``, that ``known`` pairs (K, 2) do not link.

    More is asked of them where different images are alike at one place: up to ``by_chance``, as correlations go.
    """
    framed, inner = without_frames(thumbnails)
    pictures, details = thumbnails.astype(np.float32), whole.copy()
    pictures[framed], details[framed] = inner, detail_of(inner)
    graph = coo_array((np.ones(len(known)), tuple(known.T)), shape=(len(thumbnails), len(thumbnails)))
    _, groups = connected_components(graph, directed=False)
    found = find_candidates(details, groups.astype(np.int64))
    aligned = align(pictures, details, found.staying, found.enlarged, found.shares)
    least = min(max(LEAST, float(np.tanh(np.arctanh(by_chance) + MARGIN))), MOST)
    alike = np.flatnonzero(aligned.likeness >= least)
    pairs = np.sort(np.column_stack([found.staying, found.enlarged])[alike], axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    kinds = [_kind(int(aligned.orientation[pair]), bool(aligned.inverted[pair])) for pair in alike[order]]
    return Moved(pairs[order], aligned.likeness[alike[order]], kinds)


def _kind(orientation: int, inverted: bool) -> str:
    """Return the one word for what was done, the rarest first."""
    if inverted:
        return INVERTED
    if orientation.bit_count() % 2:
        return MIRRORED
    return TURNED if orientation else MOVED
