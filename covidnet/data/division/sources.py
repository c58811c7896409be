"""Where images come from: the sources of each class, as the table of metadata names them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

UNKNOWN, OTHERS = "unknown", "other sources"  # images without a source; the small ones of a class, merged
SMALLEST = 30  # images of a class that a source needs to be told apart
LARGEST_RATIO = 10  # between the weights of two images: a few images must not decide all


def sources_of(paths: Sequence[str], rows: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the source of each image, "unknown" where the table's rows by path name none."""
    return [rows.get(path, {}).get("source") or UNKNOWN for path in paths]


def merge_small(sources: Sequence[str], labels: Sequence[int], smallest: int = SMALLEST) -> list[str]:
    """Return the source of each image, those with fewer than ``smallest`` images of its class merged into one."""
    counts = Counter(zip(labels, sources, strict=True))
    pairs = zip(labels, sources, strict=True)
    return [source if counts[label, source] >= smallest else OTHERS for label, source in pairs]


def balanced_weights(sources: Sequence[str], labels: Sequence[int]) -> NDArray[np.float64]:
    """Return a weight for each image (N,), of mean 1: classes weigh alike, and so do the sources of a class.

    An image of class c and source s weighs 1 / (S_c * n_cs), with S_c the sources of the class and n_cs their images;
    small sources are merged (``merge_small``), and no weight exceeds ten times the smallest.
    """
    weights = even_weights(merge_small(sources, labels), labels)
    weights = np.minimum(weights, LARGEST_RATIO * weights.min())
    return np.asarray(weights / weights.mean())


def even_weights(sources: Sequence[str], labels: Sequence[int]) -> NDArray[np.float64]:
    """Return a weight for each image (N,), of sum 1: classes weigh alike, and so do the sources of a class."""
    pairs = list(zip(labels, sources, strict=True))
    counts = Counter(pairs)
    kinds = Counter(label for label, _ in counts)
    weights = np.array([1 / (kinds[pair[0]] * counts[pair]) for pair in pairs])
    return np.asarray(weights / weights.sum())
