"""How much of the class can be told from what is no sign of disease: border, greys, the image without its lungs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from covidnet.lung_box import lung_box

FRAME = 1 / 24  # of the side: the width of the border
GREYS = 32  # bins of the histogram
FOLDS = 5
PENALTY = 0.01  # scikit-learn's C: few images, many pixels
RESAMPLES = 500
CHUNK = 50  # resamples at once: what bounds the memory

Floats = NDArray[np.floating]


def views(
    thumbnails: NDArray[np.uint8], histograms: Floats, lungs: NDArray[np.bool_] | None = None
) -> dict[str, Floats]:
    """Return what each probe sees of the images, as features ``(N, F)``.

    Args:
        thumbnails: (N, H, W) grey, even sides; seen at half of them, where a probe scores 0.01 to 0.02 less, in an
            eighth of the time.
        histograms: (N, B) shares of the pixels by grey value, B a multiple of ``GREYS``.
        lungs: Where they lie in each image, (N, H / 2, W / 2); the central box of ``lung_box`` where left out.
    """
    number, height, width = thumbnails.shape[0], thumbnails.shape[1] // 2, thumbnails.shape[2] // 2
    pixels = thumbnails.reshape(number, height, 2, width, 2).mean(axis=(2, 4), dtype=np.float32) / 255
    rows, columns = round(FRAME * height), round(FRAME * width)
    border = np.ones((height, width), dtype=bool)
    border[rows:-rows, columns:-columns] = False
    return {
        "whole": pixels.reshape(number, -1),
        "lungs_covered": _around_box(pixels) if lungs is None else np.where(lungs, 0, pixels).reshape(number, -1),
        "border": pixels[:, border],
        "histogram": histograms.reshape(len(histograms), GREYS, -1).sum(axis=2),
    }


def _around_box(pixels: Floats) -> Floats:
    top, bottom, left, right = lung_box(*pixels.shape[1:])
    covered = np.ones(pixels.shape[1:], dtype=bool)
    covered[top:bottom, left:right] = False
    return pixels[:, covered]


def probe(
    features: Floats, labels: NDArray[np.integer], groups: NDArray[np.integer], seed: int = 0
) -> dict[str, Any] | None:
    """Return how well a logistic regression tells the class from ``features``, on images that it was not fitted to.

    Cross-validated with 5 folds, stratified, groups kept whole; fewer folds where a class has fewer groups, and None
    where one has a single group. The interval is a percentile bootstrap over groups of the pooled scores.

    Args:
        features: (N, F).
        labels: (N,) in 0 .. C - 1.
        groups: (N,); images with one number are of one patient or show one radiograph.
        seed: Of the folds and of the resamples.

    Returns:
        ``auroc``, the mean over classes of each one's AUROC against the rest; its 95 % ``interval``; and the
        ``classes``' own, in the order of the labels.
    """
    present = np.unique(labels)
    folds = min(FOLDS, *(len(np.unique(groups[labels == label])) for label in present))
    if folds < 2 or len(present) < 2:
        return None
    model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=2000))
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    scores = cross_val_predict(model, features, labels, groups=groups, cv=parts, method="predict_proba")  # (N, C)
    positives = labels[:, None] == present
    each = np.array([weighted_auroc(scores[:, k], positives[:, k])[0] for k in range(len(present))])
    interval = mean_auroc_interval(scores, positives, groups, seed)
    return {"auroc": float(each.mean()), "interval": interval, "classes": each.tolist()}


def mean_auroc_interval(
    scores: Floats, positives: NDArray[np.bool_], groups: NDArray[np.integer], seed: int = 0
) -> list[float]:
    """Return the 95 % limits of the mean AUROC of K scores: a percentile bootstrap over groups.

    Args:
        scores: (N, K).
        positives: (N, K) what each score is of.
        groups: (N,).
        seed: Of the resamples.
    """
    return [float(limit) for limit in np.quantile(_resampled(scores, positives, groups, seed), [0.025, 0.975])]


def weighted_auroc(scores: Floats, positive: NDArray[np.bool_], weights: Floats | None = None) -> Floats:
    """Return the AUROC (B,) of ``scores`` (N,) under each of B weightings (B, N) of the images; ties count half."""
    weights = np.ones((1, len(scores))) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # of each run of equal scores
    hits = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    misses = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = misses.cumsum(axis=1) - misses / 2
    return np.asarray((hits * below).sum(axis=1) / (hits.sum(axis=1) * misses.sum(axis=1)))


def cramers_v(table: NDArray[np.integer]) -> float:
    """Return Cramér's V of a table of counts, corrected for bias (Bergsma 2013, J. Korean Stat. Soc. 42:323).

    0 where rows and columns have nothing to do with one another, or there is only one of either; 1 where one follows
    from the other.
    """
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    rows, columns = table.shape
    if min(rows, columns) < 2:
        return 0.0
    total = int(table.sum())
    phi = chi2_contingency(table, correction=False).statistic / total
    excess = max(0.0, phi - (rows - 1) * (columns - 1) / (total - 1))
    sides = [side - (side - 1) ** 2 / (total - 1) for side in (rows, columns)]
    return float(min(1.0, np.sqrt(excess / (min(sides) - 1)))) if min(sides) > 1 else 0.0


def _resampled(scores: Floats, positives: NDArray[np.bool_], groups: NDArray[np.integer], seed: int) -> Floats:
    """Return the mean AUROC over classes of each resample of the groups; one that lacks a class is left out."""
    rng = np.random.default_rng(seed)
    _, members = np.unique(groups, return_inverse=True)
    count = int(members.max()) + 1
    means = []
    for _ in range(0, RESAMPLES, CHUNK):
        weights = rng.multinomial(count, np.full(count, 1 / count), size=CHUNK)[:, members].astype(np.float64)
        with np.errstate(invalid="ignore"):  # 0 / 0 where a resample lacks a class
            each = [weighted_auroc(scores[:, k], positives[:, k], weights) for k in range(positives.shape[1])]
        means.append(np.mean(each, axis=0))
    values = np.concatenate(means)
    return np.asarray(values[np.isfinite(values)])
