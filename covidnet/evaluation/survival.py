"""How much of a model's skill survives without lungs."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from covidnet.evaluation.bootstrap import percentile_interval, resamplable, resample
from covidnet.evaluation.comparison import differing
from covidnet.evaluation.intervals import groups_of
from covidnet.evaluation.metrics import Floats, Outputs, overall_metrics

Runs = tuple[NDArray[np.floating], NDArray[np.floating]]  # whole and covered, of the same runs
PASSES, FAILS = 0.2, 0.5  # shares of the skill: at most the first is chance and borders, from the second it is most


def surviving_skill(
    whole: NDArray[np.floating],
    covered: NDArray[np.floating],
    labels: NDArray[np.integer],
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Compare a model of whole images with one that was trained and tested with the lungs covered.

    The share X = (b_covered - 1/C) / (b_whole - 1/C) of the balanced accuracies b above chance, with a 95 % interval
    from 2,000 resamples of patients, both models on the same ones.

    Args:
        whole: (N, C) probabilities of the model of whole images.
        covered: (N, C) probabilities of the other model, of the same images.
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number for each patient or group of duplicates; every image is its own where left out.

    Returns:
        ``skill_survives`` X, None where the whole-image model is no better than chance; its ``interval``, or None;
        the ``verdict`` PASS up to 0.2, FAIL from 0.5, else WARN; and a ``sentence``.
    """
    patients = groups_of(groups, len(labels))
    models = [Outputs.of_probabilities(p, labels) for p in (whole, covered)]

    def measure(weights: Floats, cells: list[Floats]) -> dict[str, Floats]:
        return {"share": _share(models[0], models[1], weights, cells)}

    share = float(measure(np.ones((1, len(labels))), [np.zeros(1)] * 2)["share"][0])
    if not np.isfinite(share):
        sentence = "The model of whole images is no better than chance, so there is no skill that could survive."
        return {"skill_survives": None, "interval": None, "verdict": "WARN", "sentence": sentence}
    interval = None
    if resamplable(labels, patients):
        shares = resample(measure, labels, patients, whole.shape[1], models=2)["share"]
        low, high = percentile_interval(shares, share)
        interval = [low, high] if np.isfinite(high) else None
    limits = f" (95 % interval {100 * interval[0]:.0f} to {100 * interval[1]:.0f} %)" if interval else ""
    sentence = f"{100 * share:.0f} % of the skill above chance survives without lungs{limits}."
    return {"skill_survives": share, "interval": interval, "verdict": _verdict(share), "sentence": sentence}


def compare_survival(
    first: Runs, second: Runs, labels: NDArray[np.integer], groups: NDArray[np.integer] | None = None
) -> dict[str, Any] | None:
    """Compare the share of the skill that survives without lungs between two recipes, each the mean of its runs.

    Args:
        first: (S, N, C) probabilities of the S runs of the first side, of whole images, and those of the models that
            were trained and tested with the lungs covered.
        second: (T, N, C) and (T, N, C), of the same images.
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number for each patient; every image is its own where left out.

    Returns:
        As ``comparison.compare_sides`` of one metric; None where one of the runs is no better than chance.
    """
    patients = groups_of(groups, len(labels))
    sides = [
        [tuple(Outputs.of_probabilities(p, labels) for p in pair) for pair in zip(*side, strict=True)]
        for side in (first, second)
    ]

    def of_runs(weights: Floats, cells: list[Floats]) -> list[Floats]:
        """Return the share of each run of both sides, (S, B) and (T, B)."""
        by_side = zip(sides, (cells[:2], cells[2:]), strict=True)
        return [np.stack([_share(whole, covered, weights, own) for whole, covered in runs]) for runs, own in by_side]

    def difference(weights: Floats, cells: list[Floats]) -> dict[str, Floats]:
        one, two = of_runs(weights, cells)
        with np.errstate(invalid="ignore"):  # where both are infinite, no limit can be told
            return {"share": two.mean(axis=0) - one.mean(axis=0)}

    one, two = (shares[:, 0] for shares in of_runs(np.ones((1, len(labels))), [np.zeros(1)] * 4))
    if not np.isfinite([*one, *two]).all():
        return None
    resampled = None
    if resamplable(labels, patients):
        resampled = resample(difference, labels, patients, first[0].shape[2], models=4)["share"]
    return differing(one, two, resampled)


def _share(whole: Outputs, covered: Outputs, weights: Floats, cells: list[Floats]) -> Floats:
    """Return X under each of B weightings, (B,); infinite where there is no skill that could survive."""
    ones = np.ones(whole.num_classes)
    skills = [
        overall_metrics(model, weights, ones, own)["balanced_accuracy"] - 1 / whole.num_classes
        for model, own in zip((whole, covered), cells, strict=True)
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(skills[0] > 0, skills[1] / skills[0], np.inf)


def _verdict(share: float) -> Literal["PASS", "WARN", "FAIL"]:
    if share <= PASSES:
        return "PASS"
    return "FAIL" if share >= FAILS else "WARN"
