"""How often the 95 % intervals hold the truth: simulated test splits, the intervals that the product reports.

python -m bench.coverage
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import norm

from bench import coverage_use
from bench.coverage_use import patients_of
from covidnet.evaluation.areas import auroc_interval
from covidnet.evaluation.bootstrap import percentile_interval, resample
from covidnet.evaluation.intervals import Interval, groups_of, proportion_interval
from covidnet.evaluation.metrics import BINS, bin_of, confusion_metrics
from covidnet.evaluation.precision_recall import average_precision_interval
from covidnet.evaluation.scores import calibrated_scores
from covidnet.evaluation.subgroups import METRICS, subgroup_scores

PER_PATIENT = 3
CORRELATION = 0.5  # within a patient
QUICK = ("accuracy", "AUROC", "average", "net benefit", "calibration at")  # metrics that are not resampled or searched

Limits = Callable[[NDArray[np.float64], NDArray[np.bool_], NDArray[np.intp]], Interval | None]
Draw = Callable[[np.random.Generator], Interval | None]


class Row(NamedTuple):
    """One kind of simulated split."""

    metric: str
    images: str
    patients: str
    truth: float
    draw: Draw


def proportion(rate: float, count: int, per_patient: int) -> Draw:
    """Return how to draw the limits of a proportion; rates of patients follow a beta distribution."""
    groups = patients_of(count, per_patient)
    concentration = (1 - CORRELATION) / CORRELATION

    def draw(rng: np.random.Generator) -> Interval | None:
        rates = rate
        if per_patient > 1:
            rates = rng.beta(rate * concentration, (1 - rate) * concentration, groups[-1] + 1)[groups]
        return proportion_interval(rng.random(count) < rates, groups)

    return draw


def area(
    truth: float, positives: int, negatives: int, per_patient: int, spread: float, limits: Limits = auroc_interval
) -> Draw:
    """Return how to draw an area's limits: normal scores with an AUROC, those of positives ``spread`` times as wide."""
    sides = [patients_of(count, per_patient) for count in (positives, negatives)]
    groups = np.concatenate([sides[0], sides[1] + sides[0][-1] + 1])
    present = np.arange(positives + negatives) < positives
    shift = np.hypot(1, spread) * norm.ppf(truth)

    def draw(rng: np.random.Generator) -> Interval | None:
        scores = rng.normal(size=len(groups))
        if per_patient > 1:
            scores = np.sqrt(1 - CORRELATION) * scores
            scores += np.sqrt(CORRELATION) * rng.normal(size=groups[-1] + 1)[groups]
        return limits(np.where(present, scores * spread + shift, scores), present, groups)

    return draw


def precision_of(area: float, positives: int, negatives: int, spread: float) -> float:
    """Return the average precision of endlessly many images that are drawn as ``area`` draws them."""
    scores = np.linspace(-9, 9, 200_001) * spread + np.hypot(1, spread) * norm.ppf(area)  # of positives
    true = positives * norm.sf(np.linspace(-9, 9, 200_001))
    density = norm.pdf(np.linspace(-9, 9, 200_001))
    return float(np.average(true / (true + negatives * norm.sf(scores)), weights=density))


def calibration_error(overconfidence: float, count: int, per_patient: int) -> tuple[float, Draw]:
    """Return an expected calibration error and how to draw its limits: two classes, logits that much too large."""
    groups = patients_of(count, per_patient)

    def confidence_of(logit: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        stated = 1 / (1 + np.exp(-logit))
        return stated, 1 / (1 + np.exp(-logit / overconfidence))

    stated, true = confidence_of(np.abs(np.random.default_rng(0).normal(2, 1.5, 2_000_000)))
    expected = float(np.abs(np.bincount(bin_of(stated), stated - true, BINS)).sum() / len(stated))

    def draw(rng: np.random.Generator) -> Interval | None:
        logit = np.abs(rng.normal(2, 1.5, count))
        luck = rng.random(count)
        alike = rng.random(groups[-1] + 1) < (CORRELATION if per_patient > 1 else 0)
        luck = np.where(alike[groups], rng.random(groups[-1] + 1)[groups], luck)
        right = luck < confidence_of(logit)[1]
        labels = rng.integers(0, 2, count)
        guess = np.where(right, labels, 1 - labels)
        logits = np.stack([np.where(guess == 0, logit, 0), np.where(guess == 1, logit, 0)], axis=1)
        limits = calibrated_scores(logits, labels, 1.0, groups)["intervals"]["ece"]
        return float(limits[0]), float(limits[1])

    return expected, draw


def resampled(metric: str, matrix: NDArray[np.float64], per_patient: int) -> tuple[float, Draw]:
    """Return the truth and how to draw the limits of a metric of a confusion matrix whose rows are expected counts."""
    counts = matrix.sum(axis=1).round().astype(int)
    chances = matrix / counts[:, None]
    labels = np.repeat(np.arange(len(counts)), counts)
    groups = groups_of(
        np.concatenate([label * 1000 + patients_of(n, per_patient) for label, n in enumerate(counts)]), labels.size
    )
    first = np.unique(groups, return_index=True)[1]
    truth = float(confusion_metrics(matrix[None])[metric][0])

    def draw(rng: np.random.Generator) -> Interval | None:
        predicted = (rng.random((len(labels), 1)) > chances[labels].cumsum(axis=1)[:, :-1]).sum(axis=1)
        alike = rng.random(groups.max() + 1) < (CORRELATION if per_patient > 1 else 0)
        predicted = np.where(alike[groups], predicted[first][groups], predicted)
        cells = np.eye(matrix.size)[labels * len(counts) + predicted]

        def measure(weights: NDArray[np.float64], extra: list[NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
            return confusion_metrics((weights @ cells).reshape(-1, *matrix.shape) + extra[0])

        estimate = float(confusion_metrics(cells.sum(axis=0).reshape(1, *matrix.shape))[metric][0])
        seed = int(rng.integers(2**32))
        return percentile_interval(
            resample(measure, labels, groups, len(counts), resamples=500, seed=seed)[metric], estimate
        )

    return truth, draw


def largest_gap(metric: str, count: int, hardness: Sequence[float], per_patient: int) -> Draw:
    """Return how to draw the limits of the largest gap between groups, less what that gap truly is: they hold 0.

    ``hardness`` is how far the signal of each group is weakened; three classes, ``count`` images in all.
    """
    names = np.array([f"group {number}" for number in range(len(hardness))])

    def split(rng: np.random.Generator, size: int) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
        patients = patients_of(size, per_patient)
        member, labels = patients % len(names), patients // len(names) % 3  # all images of a patient alike
        noise = rng.normal(size=(size, 3))
        if per_patient > 1:
            noise = np.sqrt(1 - CORRELATION) * noise + np.sqrt(CORRELATION) * rng.normal(size=(size, 3))[patients]
        signal = 2.5 - np.asarray(hardness)[member]
        return softmax(2 * (signal[:, None] * np.eye(3)[labels] + noise), axis=1), labels, member

    def scores(drawn: tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]) -> dict[str, Any]:
        probabilities, labels, member = drawn
        return subgroup_scores(
            probabilities, labels, "abc", names[member].tolist(), patients_of(len(labels), per_patient)
        )

    truth = scores(split(np.random.default_rng(1), 300_000))["groups"]

    def draw(rng: np.random.Generator) -> Interval | None:
        gap = scores(split(rng, count))["gaps"][metric]
        high, low = (truth[gap[end]]["per_class"][gap["class"]][metric] for end in ("highest", "lowest"))
        return gap["interval"][0] - (high - low), gap["interval"][1] - (high - low)

    return draw


def rows() -> Iterator[Row]:
    """Yield what is simulated."""
    for per_patient in (1, PER_PATIENT):
        patients = "1" if per_patient == 1 else f"{per_patient}, correlation {CORRELATION}"
        for hardness in ((0, 0), (0, 0.5, 1, 1.5)):
            for count in (120, 400):
                for metric in METRICS:
                    draw = largest_gap(metric, count * len(hardness) // 2, hardness, per_patient)
                    name, of = f"gap in {metric.replace('_', ' ')}", f"{len(hardness)} x {count // 2}"
                    yield Row(name if len(set(hardness)) == 1 else f"{name}, true", of, patients, 0.0, draw)
    for per_patient in (1, PER_PATIENT):
        patients = "1" if per_patient == 1 else f"{per_patient}, correlation {CORRELATION}"
        for count in (40, 120):
            for rate in (0.8, 0.85, 0.9, 0.95):
                yield Row("accuracy, sensitivity", f"{count}", patients, rate, proportion(rate, count, per_patient))
        for positives, negatives in ((40, 80), (40, 40), (120, 240)):
            for truth in (0.6, 0.8, 0.9, 0.95, 0.97, 0.984, 0.99, 0.994, 0.998):
                for spread in (1.0, 2.0):
                    name = "AUROC" if spread == 1 else "AUROC, uneven spread"
                    draw = area(truth, positives, negatives, per_patient, spread)
                    yield Row(name, f"{positives} + {negatives}", patients, truth, draw)
            for auroc in (0.8, 0.95, 0.99, 0.998):
                draw = area(auroc, positives, negatives, per_patient, 1.0, average_precision_interval)
                truth = precision_of(auroc, positives, negatives, 1.0)
                yield Row("average precision", f"{positives} + {negatives}", patients, truth, draw)
        for count in (120, 360):
            for overconfidence in (1.0, 1.5, 3.0):
                truth, draw = calibration_error(overconfidence, count, per_patient)
                yield Row("ECE", f"{count}", patients, truth, draw)
        errors = np.array([[0.0, 0.03, 0.02], [0.06, 0.0, 0.04], [0.01, 0.03, 0.0]])
        for count in (40, 120):
            for share in (0.4, 1.0, 3.0):
                matrix = count * (share * errors + np.diag(1 - share * errors.sum(axis=1)))
                for metric in ("balanced_accuracy", "mcc", "macro_f1"):
                    truth, draw = resampled(metric, matrix, per_patient)
                    yield Row(metric.replace("_", " "), f"3 x {count}", patients, truth, draw)
        for metric, images, truth, draw in coverage_use.rows(per_patient, CORRELATION * (per_patient > 1)):
            yield Row(metric, images, patients, truth, draw)


def coverage(truth: float, draw: Draw, splits: int, seed: int = 0) -> tuple[float, float]:
    """Return the share of simulated splits whose interval holds the truth, and the mean width of the intervals."""
    rng = np.random.default_rng(seed)
    limits = np.array([drawn for drawn in (draw(rng) for _ in range(splits)) if drawn])
    slack = 1e-12  # of rounding
    held = (limits[:, 0] <= truth + slack) & (truth - slack <= limits[:, 1])
    return float(held.mean()), float(np.diff(limits).mean())


def main() -> None:
    """Simulate and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=5000, help="simulated for each row; a tenth of slow ones")
    parser.add_argument("--only", default="", help="metrics whose name begins so, as AUROC")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    line = "{:<31} {:>9}  {:<18} {:>6} {:>8} {:>6}".format
    print(line("metric", "images", "images a patient", "truth", "coverage", "width"), flush=True)
    for row in rows():
        if not row.metric.startswith(args.only):
            continue
        splits = args.splits if row.metric.startswith(QUICK) else args.splits // 10
        held, width = coverage(row.truth, row.draw, splits, args.seed)
        numbers = f"{row.truth:.3f}", f"{100 * held:.1f} %", f"{width:.3f}"
        print(line(row.metric, row.images, row.patients, *numbers), flush=True)


if __name__ == "__main__":
    main()
