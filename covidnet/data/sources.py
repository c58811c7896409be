"""Where images come from: the sources of each class, as the table of metadata names them."""

from collections import Counter
from collections.abc import Mapping, Sequence

UNKNOWN, OTHERS = "unknown", "other sources"  # images without a source; the small ones of a class, merged
SMALLEST = 30  # images of a class that a source needs to be told apart


def sources_of(paths: Sequence[str], rows: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the source of each image, "unknown" where the table's rows by path name none."""
    return [rows.get(path, {}).get("source") or UNKNOWN for path in paths]


def merge_small(sources: Sequence[str], labels: Sequence[int], smallest: int = SMALLEST) -> list[str]:
    """Return the source of each image, those with fewer than ``smallest`` images of its class merged into one."""
    counts = Counter(zip(labels, sources, strict=True))
    pairs = zip(labels, sources, strict=True)
    return [source if counts[label, source] >= smallest else OTHERS for label, source in pairs]
