"""Whom a model fails: its scores in each group of an attribute, such as view or sex, and how far two groups are apart.

The largest of several gaps is large by chance alone. So its limits hold for all gaps of an attribute at once: those of
each group are widened by Tukey's studentized range over the groups, the classes sharing the remaining 5 % (Agresti et
al. 2008, Biometrics 64:1270), and two groups' distances add by squares (Newcombe 1998; Zou and Donner 2008,
MOVER). ``python -m bench.coverage --only gap`` measures what comes of it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import studentized_range, t

from covidnet.evaluation.areas import auroc, auroc_interval
from covidnet.evaluation.comparison import difference_interval
from covidnet.evaluation.intervals import LEVEL, Interval, Z, groups_of, proportion_interval
from covidnet.evaluation.names import BY_KEY

SMALLEST = 30  # images of a group that has scores; of fewer the counts alone are told
LEAST = 10  # images that a score is of, where it is compared with another group's
RESIDUAL_PRIOR = 1.0  # images gone wrong that each mean calibration is drawn towards: the value at which coverage holds
METRICS = ("auroc", "sensitivity", "specificity", "mean_calibration")

Floats = NDArray[np.floating]


def subgroup_scores(
    probabilities: Floats,
    labels: NDArray[np.integer],
    classes: Sequence[str],
    names: Sequence[str],
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Return the scores of each group of an attribute, and the largest gap between two of them in each metric.

    Args:
        probabilities: (N, C), calibrated.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        names: N names of groups, "" where not known; these images are left out.
        groups: (N,) a number for each patient; every image is its own where left out.

    Returns:
        ``groups``, by name: ``images`` and, of 30 or more, ``per_class`` with ``support``, ``auroc`` of the class
        against the rest, ``sensitivity`` and ``specificity`` of the most probable class, ``mean_calibration`` (the mean
        probability of the class less its share, 0 is best: the first level of Van Calster et al. 2016, J Clin Epidemiol
        74:167) and their ``intervals``. ``gaps``, by metric: the ``class``, the groups ``lowest`` and ``highest``, the
        ``value`` of the difference, and its simultaneous ``interval``. A metric that no two groups have is left out.
    """
    patients, own = groups_of(groups, len(labels)), np.array(names, dtype=object)
    known = sorted(set(own[own != ""]), key=_in_order)
    found: dict[str, Any] = {}
    for name in known:
        among = own == name
        found[name] = {"images": int(among.sum())}
        if found[name]["images"] >= SMALLEST:
            found[name]["per_class"] = _per_class(probabilities[among], labels[among], classes, patients[among])
    scored = {name: values["per_class"] for name, values in found.items() if "per_class" in values}
    gaps = {metric: _largest_gap(metric, scored, classes) for metric in METRICS}
    return {"groups": found, "gaps": {metric: gap for metric, gap in gaps.items() if gap}}


def gap_sentences(subgroups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return in words the gaps that chance alone would not make, the widest first.

    Args:
        subgroups: Attribute -> what ``subgroup_scores`` returned.
    """
    found = []
    for attribute, scores in subgroups.items():
        for metric, gap in scores["gaps"].items():
            low, high = gap["interval"]
            if low > 0:
                ends = [scores["groups"][gap[end]]["per_class"][gap["class"]][metric] for end in ("lowest", "highest")]
                told = (
                    f"{BY_KEY[metric].label} of {gap['class']} by {attribute}: {gap['lowest']} {ends[0]:.2f}, "
                    f"{gap['highest']} {ends[1]:.2f}, a gap of {gap['value']:.2f} [{low:.2f}, {high:.2f}]"
                )
                found.append((gap["value"], told))
    return [told for _, told in sorted(found, reverse=True)]


def mean_calibration(probability: Floats, truth: NDArray[np.bool_]) -> float:
    """Return the mean of the probabilities (N,) of a class less its share: above 0 the class is expected too often."""
    return float(probability.mean() - truth.mean())


def mean_calibration_interval(
    probability: Floats, truth: NDArray[np.bool_], groups: NDArray[np.integer]
) -> Interval | None:
    """Return the 95 % limits of the mean calibration: Student's t of the sums of patients, to which one image is added.

    Probabilities near 0 and 1 leave hardly a residual, until one image goes wrong: without that one, a nearly perfect
    model would be certain. None where there is one patient alone, who does not tell how patients differ.

    Args:
        probability: (N,) of the class.
        truth: (N,) whether the image is of the class.
        groups: (N,) numbers of patients from 0.
    """
    residuals = probability - truth
    patients, members = np.unique(groups, return_inverse=True)
    count = len(patients)
    if count < 2:
        return None
    sums = np.bincount(members, residuals - residuals.mean())
    variance = float((sums**2).sum()) * count / (count - 1) + RESIDUAL_PRIOR
    reach = float(t.ppf((1 + LEVEL) / 2, count - 1)) * math.sqrt(variance) / len(truth)
    middle = float(residuals.mean())
    return max(-1.0, middle - reach), min(1.0, middle + reach)


@cache  # a slow integral of few arguments
def simultaneous(number: int, classes: int) -> float:
    """Return the normal quantile at which the gaps of all pairs of ``number`` groups and all classes hold at once."""
    level = 1 - (1 - LEVEL) / classes
    return float(studentized_range.ppf(level, number, np.inf)) / math.sqrt(2)


def widened(value: float, interval: Interval, quantile: float) -> Interval:
    """Return the limits at another normal quantile of a share whose 95 % limits are known.

    They are the score limits (Wilson 1927) of as many independent images as would give each of the known ones.
    """

    def limit(known: float, side: int) -> float:
        spread = known * (1 - known)
        if not spread or known == value:
            return known
        squared = quantile**2 * (known - value) ** 2 / (Z**2 * spread)  # quantile² / images
        half = math.sqrt(value * (1 - value) * squared + squared**2 / 4)
        return min(1.0, max(0.0, (value + squared / 2 + side * half) / (1 + squared)))

    return limit(interval[0], -1), limit(interval[1], 1)


def _per_class(
    probabilities: Floats, labels: NDArray[np.integer], classes: Sequence[str], groups: NDArray[np.intp]
) -> dict[str, dict[str, Any]]:
    predicted = probabilities.argmax(axis=1)
    scores = {}
    for label, name in enumerate(classes):
        truth, probability = labels == label, probabilities[:, label]
        hits = {"sensitivity": (predicted == label)[truth], "specificity": (predicted != label)[~truth]}
        intervals = {
            "auroc": auroc_interval(probability, truth, groups),
            "sensitivity": proportion_interval(hits["sensitivity"], groups[truth]),
            "specificity": proportion_interval(hits["specificity"], groups[~truth]),
            "mean_calibration": mean_calibration_interval(probability, truth, groups),
        }
        scores[name] = {
            "support": int(truth.sum()),
            "auroc": auroc(probability, truth),
            **{key: float(values.mean()) if len(values) else None for key, values in hits.items()},
            "mean_calibration": mean_calibration(probability, truth),
            "intervals": {key: list(limits) for key, limits in intervals.items() if limits is not None},
            "others": int((~truth).sum()),
        }
    return scores


def _largest_gap(metric: str, scored: Mapping[str, Mapping[str, Any]], classes: Sequence[str]) -> dict[str, Any] | None:
    """Return the largest difference between two groups over all classes, with limits that hold for all of them."""
    by_class = {
        label: {name: own for name, scores in scored.items() if _comparable(metric, own := scores[label])}
        for label in classes
    }
    compared = {label: own for label, own in by_class.items() if len(own) > 1}
    if not compared:
        return None
    quantile = simultaneous(max(map(len, compared.values())), len(compared))
    gaps = []
    for label, own in compared.items():
        values = {name: scores[metric] for name, scores in own.items()}
        lowest, *_, highest = sorted(values, key=values.__getitem__)
        gaps.append({"class": label, "lowest": lowest, "highest": highest, "value": values[highest] - values[lowest]})
    largest = max(gaps, key=lambda gap: gap["value"])
    one, two = (compared[largest["class"]][largest[end]] for end in ("lowest", "highest"))
    limits = [_limits(metric, scores, quantile) for scores in (one, two)]
    return {**largest, "interval": list(difference_interval(one[metric], limits[0], two[metric], limits[1]))}


def _limits(metric: str, scores: Mapping[str, Any], quantile: float) -> Interval:
    value, (low, high) = scores[metric], scores["intervals"][metric]
    if metric != "mean_calibration":
        return widened(value, (low, high), quantile)
    return value - (value - low) * quantile / Z, value + (high - value) * quantile / Z


def _comparable(metric: str, scores: Mapping[str, Any]) -> bool:
    """Tell whether a score is of so many images that two groups can be compared by it."""
    sizes = {"sensitivity": [scores["support"]], "specificity": [scores["others"]]}
    both = [scores["support"], scores["others"]]
    enough = metric == "mean_calibration" or min(sizes.get(metric, both)) >= LEAST
    return enough and scores[metric] is not None and metric in scores["intervals"]


def _in_order(name: str) -> list[tuple[int, str]]:
    """Return what names are sorted by: numbers in them count as numbers, so that ages rise."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]
