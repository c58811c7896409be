"""Whether one model is better than another: paired on the same images, or each on images of its own."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, t

from covidnet.evaluation.bootstrap import mirrored_interval, percentile_interval, resamplable, resample
from covidnet.evaluation.intervals import LEVEL, Interval, groups_of
from covidnet.evaluation.metrics import Floats, Outputs, overall_metrics

METRICS = ("accuracy", "balanced_accuracy", "mcc", "macro_f1", "nll", "brier", "ece")
DROPPING = ("balanced_accuracy", "accuracy", "mcc", "macro_f1")  # metrics that are better when higher


def compare_outputs(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    labels: NDArray[np.integer],
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Compare two models on the same images.

    Args:
        first: (N, C) probabilities of the first model.
        second: (N, C) probabilities of the second model, of the same images.
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.

    Returns:
        ``metrics``, as ``compare_sides`` gives them; ``mcnemar``; ``real``, whether both tell the models' accuracies
        apart; and ``sentence``, which says so.
    """
    patients = groups_of(groups, len(labels))
    metrics = compare_sides(first[None], second[None], labels, groups)
    right = [probabilities.argmax(axis=1) == labels for probabilities in (first, second)]
    test = mcnemar(*(np.bincount(patients, hits) for hits in right))
    accuracy = metrics["accuracy"]
    interval = accuracy["interval"]
    real = test["p_value"] < 1 - LEVEL and (interval is None or not interval[0] <= 0 <= interval[1])
    return {"metrics": metrics, "mcnemar": test, "real": real, "sentence": _sentence(accuracy, test, real, len(labels))}


def compare_sides(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    labels: NDArray[np.integer],
    groups: NDArray[np.integer] | None = None,
) -> dict[str, dict[str, Any]]:
    """Compare two recipes on the same images, each by the mean of its runs, which differ in their seed alone.

    A resampled patient has one weight in all runs of both sides; the seeds stay as they are. So ``interval`` tells what
    other patients might give, and ``seed_interval`` what other seeds might. The patient that every class gains
    (``bootstrap.resample``) is right in all runs of a side or in none: more seeds show no more patients.

    Args:
        first: (S, N, C) probabilities of the S runs of the first side.
        second: (T, N, C) probabilities of the T runs of the second, of the same images.
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.

    Returns:
        Of each overall metric ``first`` and ``second``, means over the runs; their ``difference`` (second - first) and
        its ``interval``, by 2,000 resamples of patients, None where all images of a class are of one patient; its
        ``seed_interval``, as `seed_interval` gives it; and ``first_runs`` (S,) and ``second_runs`` (T,), the metric of
        each run. A metric without a case is left out.
    """
    patients = groups_of(groups, len(labels))
    sides = [[Outputs.of_probabilities(run, labels) for run in side] for side in (first, second)]
    num_classes = first.shape[2]
    ones = np.ones(num_classes)

    def of_runs(runs: list[Outputs], weights: Floats, cells: Floats) -> dict[str, Floats]:
        """Return each metric of the runs of one side, (S, B)."""
        measured = [overall_metrics(run, weights, ones, cells) for run in runs]
        named = [metrics | {"nll": metrics["loss"]} for metrics in measured]
        return {name: np.stack([metrics[name] for metrics in named]) for name in METRICS}

    def differences(weights: Floats, cells: list[Floats]) -> dict[str, Floats]:
        one, two = (of_runs(runs, weights, own) for runs, own in zip(sides, cells, strict=True))
        return {name: two[name].mean(axis=0) - one[name].mean(axis=0) for name in METRICS}

    one, two = (of_runs(runs, np.ones((1, len(labels))), np.zeros(1)) for runs in sides)
    known = resamplable(labels, patients)
    resampled = resample(differences, labels, patients, num_classes, models=2) if known else {}
    return {
        name: differing(one[name][:, 0], two[name][:, 0], resampled.get(name), mirrored=name == "ece")
        for name in METRICS
        if np.isfinite([*one[name], *two[name]]).all()
    }


def differing(first: Floats, second: Floats, resampled: Floats | None, *, mirrored: bool = False) -> dict[str, Any]:
    """Return the means of the runs of two sides, (S,) and (T,), and their difference with its limits.

    ``resampled`` (B,) is the difference under resampling, None where that cannot be; ``mirrored`` as
    ``bootstrap.mirrored_interval``.
    """
    difference = float(second.mean() - first.mean())
    limits_of = mirrored_interval if mirrored else percentile_interval
    limits = list(limits_of(resampled, difference)) if resampled is not None else None
    return {
        "first": float(first.mean()),
        "second": float(second.mean()),
        "difference": difference,
        "interval": limits if limits and np.isfinite(limits).all() else None,
        "seed_interval": seed_interval(first, second),
        "first_runs": first.tolist(),
        "second_runs": second.tolist(),
    }


def seed_interval(first: Floats, second: Floats) -> list[float] | None:
    """Return the 95 % limits of the difference of two means over seeds, (S,) and (T,), on the same images (Welch 1947).

    Two recipes trained anew would differ by some other amount, and three seeds say little of how much (Bouthillier et
    al. 2021, arXiv:2103.03098). None where a side is one run, or no run differs from the others of its side.
    """
    if min(len(first), len(second)) < 2 or not (np.ptp(first) or np.ptp(second)):
        return None
    variances = [side.var(ddof=1) / len(side) for side in (first, second)]  # of the means
    freedom = sum(variances) ** 2 / sum(
        v**2 / (len(side) - 1) for v, side in zip(variances, (first, second), strict=True)
    )
    difference, reach = second.mean() - first.mean(), t.ppf((1 + LEVEL) / 2, freedom) * math.sqrt(sum(variances))
    return [float(difference - reach), float(difference + reach)]


def compare_recalls(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    labels: NDArray[np.integer],
    sources: Sequence[str],
    groups: NDArray[np.integer] | None = None,
) -> list[dict[str, Any]]:
    """Compare two recipes' recall in each source and class that has images.

    Args:
        first: (S, N, C), as of ``compare_sides``.
        second: (T, N, C).
        labels: (N,) in 0 .. C - 1.
        sources: N names.
        groups: (N,) a number for each patient; every image is its own where left out.

    Returns:
        Of each, by source and then by class: ``source``, ``label``, ``images``, and what ``compare_sides`` tells of the
        accuracy, which among images of one class is its recall.
    """
    patients, names = groups_of(groups, len(labels)), np.array(sources)
    found = []
    for source in sorted(set(sources)):
        for label in np.unique(labels[names == source]):
            among = (names == source) & (labels == label)
            metrics = compare_sides(first[:, among], second[:, among], labels[among], patients[among])
            images = int(among.sum())
            found.append({"source": source, "label": int(label), "images": images, **metrics["accuracy"]})
    return found


def compare_groups(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    labels: NDArray[np.integer],
    attributes: Mapping[str, Sequence[str]],
    groups: NDArray[np.integer] | None = None,
    smallest: int = 30,
) -> list[dict[str, Any]]:
    """Compare two recipes' balanced accuracy in each group of images, such as those of a view.

    Args:
        first: (S, N, C), as of ``compare_sides``.
        second: (T, N, C).
        labels: (N,) in 0 .. C - 1.
        attributes: Attribute -> N names of groups, "" where not known.
        groups: (N,) a number for each patient; every image is its own where left out.
        smallest: Images that a group needs.

    Returns:
        Of each group ``attribute``, ``group``, ``images``, and what ``compare_sides`` tells of the balanced accuracy
        over the classes that it has.
    """
    patients, found = groups_of(groups, len(labels)), []
    for attribute, names in attributes.items():
        own = np.array(names, dtype=object)
        for name in sorted(set(names) - {""}):
            among = own == name
            images = int(among.sum())
            if images >= smallest:
                sides = compare_sides(first[:, among], second[:, among], labels[among], patients[among])
                told = {"attribute": attribute, "group": name, "images": images}
                found.append(told | sides["balanced_accuracy"])
    return found


def mcnemar(first: NDArray[np.number], second: NDArray[np.number]) -> dict[str, Any]:
    """Return McNemar's exact test (McNemar 1947): on which units one model was right more often than the other.

    Args:
        first: (G,) images that the first model got right of each patient; 0 or 1 where each has one image.
        second: (G,) the same of the second model.

    Returns:
        ``first_better`` and ``second_better``, numbers of patients, and the two-sided ``p_value``.
    """
    first_better, second_better = int((first > second).sum()), int((second > first).sum())
    unlike = first_better + second_better
    p_value = float(binomtest(first_better, unlike).pvalue) if unlike else 1.0
    return {"first_better": first_better, "second_better": second_better, "p_value": p_value}


def difference_interval(first: float, first_interval: Interval, second: float, second_interval: Interval) -> Interval:
    """Return the limits of ``second - first``, measured on different images, from those of each.

    The distances of each limit from its value add by squares (Newcombe 1998; Zou and Donner 2008, MOVER).
    """
    difference = second - first
    return (
        difference - math.hypot(second - second_interval[0], first_interval[1] - first),
        difference + math.hypot(second_interval[1] - second, first - first_interval[0]),
    )


def score_drops(inside: Mapping[str, Any], outside: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return how far the scores of one model fall from its own test to images from elsewhere.

    Args:
        inside: What `score_outputs` gave of the model's own test.
        outside: The same of the images from elsewhere.

    Returns:
        Of each metric ``value``, inside - outside, so above 0 where the model is worse outside, and ``interval`` or
        None: overall metrics, then ``sensitivity_<class>``. Where classes have no image outside, of the overall metrics
        balanced accuracy alone, over the classes that have: the others depend on which classes there are.
    """
    present = [name for name, scores in outside["per_class"].items() if scores["support"]]
    lacking = len(present) < len(outside["per_class"])
    inside = comparable(inside, present)
    drops = {name: _drop(inside, outside, name) for name in (DROPPING[:1] if lacking else DROPPING)}
    for name in present:
        one, other = (scores["per_class"][name] for scores in (inside, outside))
        drops[f"sensitivity_{name}"] = _drop(one, other, "sensitivity")
    return {name: drop for name, drop in drops.items() if drop}


def comparable(inside: Mapping[str, Any], classes: Sequence[str]) -> Mapping[str, Any]:
    """Return the scores of a model's own test, whose balanced accuracy is over the ``classes`` that lie outside too."""
    if len(classes) == len(inside["per_class"]):
        return inside
    over = balanced_over(inside, classes)
    return {**inside, **over, "intervals": {**inside["intervals"], **over["intervals"]}}


def balanced_over(scores: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """Return ``balanced_accuracy`` over some of the classes, and ``intervals`` with its limits alone.

    Sensitivities of different classes are of different images: the distances of their limits add by squares (Zou and
    Donner 2008, MOVER).
    """
    chosen = [scores["per_class"][name] for name in classes]
    rates = [one["sensitivity"] for one in chosen]
    limits = [one["intervals"].get("sensitivity") for one in chosen]
    if None in rates:
        return {"balanced_accuracy": None, "intervals": {}}
    if len(chosen) == 1:  # it is one number with the sensitivity
        return {"balanced_accuracy": rates[0], "intervals": {"balanced_accuracy": limits[0]} if limits[0] else {}}
    mean = float(np.mean(rates))
    pairs = [(limit, rate) for limit, rate in zip(limits, rates, strict=True) if limit]
    low = math.hypot(*(rate - limit[0] for limit, rate in pairs)) / len(rates)
    high = math.hypot(*(limit[1] - rate for limit, rate in pairs)) / len(rates)
    interval = {"balanced_accuracy": [mean - low, mean + high]} if len(pairs) == len(rates) else {}
    return {"balanced_accuracy": mean, "intervals": interval}


def _drop(inside: Mapping[str, Any], outside: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    one, other = inside.get(name), outside.get(name)
    if one is None or other is None:
        return None
    limits = [scores.get("intervals", {}).get(name) for scores in (outside, inside)]
    known = all(limits)
    interval = list(difference_interval(other, limits[0], one, limits[1])) if known else None
    return {"value": one - other, "interval": interval}


def _sentence(accuracy: dict[str, Any], test: dict[str, Any], real: bool, images: int) -> str:
    difference = 100 * accuracy["difference"]
    if accuracy["first"] == accuracy["second"]:
        better = f"Both models are right on {100 * accuracy['first']:.1f} % of the {images} images"
    else:
        names = ("second", "first") if difference > 0 else ("first", "second")
        better = (
            f"The {names[0]} model is right on {100 * accuracy[names[0]]:.1f} % of the {images} images, "
            f"the {names[1]} on {100 * accuracy[names[1]]:.1f} %"
        )
    limits = accuracy["interval"]
    interval = f"95 % interval {100 * limits[0]:+.1f} to {100 * limits[1]:+.1f} points, " if limits else ""
    verdict = "the difference is real" if real else "these images do not show a real difference"
    return (
        f"{better}: second minus first {difference:+.1f} points, {interval}exact McNemar p = {test['p_value']:.2g}; "
        f"{verdict}."
    )
