"""Whether a model's features hold the source of an image beside its class: what a shortcut would need."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from covidnet.evaluation.intervals import groups_of
from covidnet.evaluation.probes import FOLDS, mean_auroc_interval, weighted_auroc

SMALLEST = 30  # images of a class that a source needs to be told apart
MOST = 400  # images of a class that are looked at: more make the interval hardly narrower, and take their time
COMPONENTS = 50  # principal ones of the features, in which the probe looks
PERMUTATIONS = 39  # their smallest and largest AUROC are the ends of 95 % of what chance gives

Floats = NDArray[np.floating]


def tell_source(
    features: Floats,
    labels: NDArray[np.integer],
    sources: Sequence[str],
    classes: Sequence[str],
    groups: NDArray[np.integer],
) -> dict[str, dict[str, Any]]:
    """Return with what AUROC a ridge regression tells the source from a model's features, within each class.

    A linear probe (Alain and Bengio 2016, arXiv:1610.01644) on images that it was not fitted to, cross-validated by
    patient, its ridge penalty fixed. Within a class, because across classes a source that has one class alone would be
    told by the class. DeGrave et al. (2021, Nat Mach Intell 3:610) show what models do with such features.

    Args:
        features: (N, F) penultimate features.
        labels: (N,) in 0 .. C - 1.
        sources: N names, "" where not known; those with fewer than 30 images of a class are left out there.
        classes: Names of the C classes.
        groups: (N,) a number for each patient.

    Returns:
        Of each class with two sources or more ``auroc``, the mean of each source's against the others; its 95 %
        ``interval``, by patients; ``by_chance``, between which 95 % of such AUROCs lie if the patients' sources are
        shuffled (Ojala and Garriga 2010, JMLR 11:1833): not always about 0.5, as few images are told worse than by
        guessing when those that others are fitted to lack them; and ``sources``, name -> images.
    """
    found, own = {}, np.array(sources, dtype=object)
    for label, name in enumerate(classes):
        counts = Counter(own[(labels == label) & (own != "")])
        large = sorted(source for source, count in counts.items() if count >= SMALLEST)
        among = _some(np.flatnonzero((labels == label) & np.isin(own, large)))
        numbers = np.searchsorted(np.array(large, dtype=str), own[among].astype(str))
        result = _probe(features[among], numbers, groups[among]) if len(large) > 1 else None
        if result:
            images = Counter(own[among])
            found[name] = {**result, "sources": {source: images[source] for source in large}}
    return found


def _probe(features: Floats, numbers: NDArray[np.intp], groups: NDArray[np.integer]) -> dict[str, Any] | None:
    """Return what is told of one class, None where a source is of one patient alone."""
    patients = groups_of(groups, len(groups))
    _, first = np.unique(patients, return_index=True)
    of_patient = numbers[first]
    folds = min(FOLDS, *np.bincount(of_patient, minlength=numbers.max() + 1))
    if folds < 2:
        return None
    standard = StandardScaler().fit_transform(features)
    seen = PCA(min(COMPONENTS, *standard.shape), random_state=0).fit_transform(standard)
    rng = np.random.default_rng(0)
    scores = _scores(seen, numbers, _parts(of_patient, folds, rng)[patients])
    positives = numbers[:, None] == np.arange(scores.shape[1])
    by_chance = []
    for _ in range(PERMUTATIONS):
        shuffled = rng.permutation(of_patient)
        told = _scores(seen, shuffled[patients], _parts(shuffled, folds, rng)[patients])
        by_chance.append(_mean_auroc(told, shuffled[patients]))
    return {
        "auroc": _mean_auroc(scores, numbers),
        "interval": mean_auroc_interval(scores, positives, groups),
        "by_chance": [min(by_chance), max(by_chance)],
    }


def _scores(seen: Floats, numbers: NDArray[np.intp], parts: NDArray[np.intp]) -> Floats:
    """Return a score (N, K) of each source, of each image by a model that was fitted to the other parts.

    Least squares with a ridge, which halves what varies as one standardised feature does, every source of one weight in
    all. It is what scikit-learn's RidgeClassifier computes, whose checks take most of the seconds of hundreds of fits.
    """
    scores = np.zeros((len(numbers), numbers.max() + 1))
    for part in np.unique(parts):
        held = parts == part
        fitted, own = seen[~held], numbers[~held]
        present, counts = np.unique(own, return_counts=True)
        targets = np.where(own[:, None] == present, 1.0, -1.0)
        weights = (1 / counts)[np.searchsorted(present, own)] / len(present)  # of sum 1
        middle, level = weights @ fitted, weights @ targets  # what is apart from them is penalised, but not they
        apart = fitted - middle
        weighted = weights[:, None] * apart
        slopes = np.linalg.solve(weighted.T @ apart + np.eye(apart.shape[1]), weighted.T @ (targets - level))
        scores[np.ix_(held, present)] = (seen[held] - middle) @ slopes + level
    return scores


def _mean_auroc(scores: Floats, numbers: NDArray[np.intp]) -> float:
    return float(np.mean([weighted_auroc(scores[:, k], numbers == k)[0] for k in range(scores.shape[1])]))


def _parts(of_patient: NDArray[np.intp], folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return a part for each patient, so that each holds like shares of every source."""
    parts = np.empty(len(of_patient), dtype=np.intp)
    shuffled = rng.permutation(len(of_patient))
    parts[shuffled[np.argsort(of_patient[shuffled], kind="stable")]] = np.arange(len(of_patient)) % folds
    return parts


def _some(numbers: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return at most ``MOST`` of the numbers, in their order; the same for the same ones."""
    if len(numbers) <= MOST:
        return numbers
    return np.sort(np.random.default_rng(0).choice(numbers, MOST, replace=False))
