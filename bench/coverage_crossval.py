"""How often the intervals of a cross-validation hold the truth, where its models share training images.

python -m bench.coverage_crossval --repetitions 1000

Each repetition draws images of three classes (normal features), divides them as `crossval` does, trains a classifier
for each fold on its training images, and pools what all say of images that they had not seen. The truth is what these
classifiers reach on endlessly many other images: the expected one, of all repetitions ("recipe"), or that of the
repetition's own k models ("models").
"""

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from bench.coverage_use import patients_of
from covidnet.data.division.folds import Folds, deal_folds
from covidnet.evaluation.areas import auroc, auroc_interval
from covidnet.evaluation.bootstrap import percentile_interval, resample
from covidnet.evaluation.intervals import Interval, proportion_interval
from covidnet.evaluation.metrics import Outputs, overall_metrics

CLASSES = "abc"
SIGNAL = 2.5  # how far the classes lie apart, in standard deviations of a feature
CORRELATION = 0.5  # within a patient
LUCK = 0.7  # of a training: how far it moves each feature of a centre, in standard deviations
FRESH = 20_000  # other images, by which the truth is told
RESAMPLES = 300
METRICS = ("accuracy", "sensitivity", "AUROC", "log loss")

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]


class Setting(NamedTuple):
    """What is divided and trained."""

    classifier: str
    per_class: int
    features: int
    per_patient: int
    k: int


class Images(NamedTuple):
    """Features (N, D), labels and patients (N,)."""

    features: Floats
    labels: Numbers
    patients: Numbers


def draw(rng: np.random.Generator, setting: Setting, per_class: int) -> Images:
    """Draw so many images a class."""
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    patients = np.concatenate([patients_of(per_class, setting.per_patient) + per_class * label for label in range(3)])
    noise = rng.normal(size=(len(labels), setting.features))
    if setting.per_patient > 1:
        own = rng.normal(size=(patients.max() + 1, setting.features))[patients]
        noise = np.sqrt(1 - CORRELATION) * noise + np.sqrt(CORRELATION) * own
    centres = SIGNAL / np.sqrt(2) * np.eye(len(CLASSES), setting.features)
    return Images(noise + centres[labels], labels, patients)


def dealt(images: Images, k: int, seed: int) -> Folds:
    """Divide images as `crossval` does."""
    paths = [f"{label}/{number}" for number, label in enumerate(images.labels)]
    labels, groups = images.labels.tolist(), images.patients.tolist()
    return deal_folds(paths, labels, groups, CLASSES, k=k, seed=seed, val_fraction=0.2)


def trained(classifier: str, images: Images, numbers: list[int], rng: np.random.Generator) -> Any:
    """Return a classifier of some of the images: a function of features (N, D) that gives probabilities (N, C)."""
    features, labels = images.features[numbers], images.labels[numbers]
    if classifier == "logistic":
        return LogisticRegression(C=1.0).fit(features, labels).predict_proba
    centres = NearestCentroid().fit(features, labels).centroids_
    if classifier == "by luck":
        centres = centres + LUCK * rng.normal(size=centres.shape)
    return lambda rows: softmax(rows @ centres.T - (centres**2).sum(axis=1) / 2, axis=1)


def measured(probabilities: Floats, labels: Numbers) -> list[float]:
    """Return the metrics."""
    right = probabilities.argmax(axis=1) == labels
    area = auroc(probabilities[:, 0], labels == 0)
    assert area is not None
    loss = -np.log(probabilities[np.arange(len(labels)), labels])
    return [float(right.mean()), float(right[labels == 0].mean()), area, float(loss.mean())]


def limits(probabilities: Floats, images: Images) -> list[Interval | None]:
    """Return their limits, as the product reports them."""
    labels, patients = images.labels, np.unique(images.patients, return_inverse=True)[1]
    right, first = probabilities.argmax(axis=1) == labels, labels == 0
    outputs, equal = Outputs.of_probabilities(probabilities, labels), np.ones(len(CLASSES))

    def measure(weights: Floats, cells: Any) -> dict[str, Floats]:
        return overall_metrics(outputs, weights, equal, cells[0])

    loss = resample(measure, labels, patients, len(CLASSES), resamples=RESAMPLES)["loss"]
    return [
        proportion_interval(right, patients),
        proportion_interval(right[first], patients[first]),
        auroc_interval(probabilities[:, 0], first, patients),
        percentile_interval(loss, measured(probabilities, labels)[-1]),
    ]


def simulated(setting: Setting, repetitions: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return, of each repetition and metric, the pooled value, the k models' true one, and the limits (.., 2)."""
    rng = np.random.default_rng(seed)
    other = draw(rng, setting._replace(per_patient=1), FRESH // len(CLASSES))
    pooled, true, ends = [], [], []
    for repetition in range(repetitions):
        images = draw(rng, setting, setting.per_class)
        folds = dealt(images, setting.k, repetition)
        said, of_models = np.empty((len(images.labels), len(CLASSES))), []
        for number in range(1, setting.k + 1):
            split = folds.split(number)
            model = trained(setting.classifier, images, split.train, rng)
            said[split.test] = model(images.features[split.test])
            of_models.append(measured(model(other.features), other.labels))
        pooled.append(measured(said, images.labels))
        true.append(np.mean(of_models, axis=0))
        ends.append(limits(said, images))
    return np.array(pooled), np.array(true), np.array(ends)


def settings() -> Iterator[Setting]:
    """Yield what is simulated."""
    for classifier in ("nearest mean", "logistic", "by luck"):
        for features, per_patient in ((5, 1), (5, 3), (50, 1)):
            yield Setting(classifier, 40, features, per_patient, 5)


def main() -> None:
    """Simulate and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of settings, from 0; all where left out")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    line = "{:<13} {:>8} {:>9} {:>9} {:>3}  {:<12} {:>6} {:>7} {:>6} {:>7} {:>7}".format
    heads = ("classifier", "images", "features", "a patient", "k", "metric", "truth", "bias", "width")
    print(line(*heads, "recipe", "models"), flush=True)
    for number, setting in enumerate(settings()):
        if args.only and number not in args.only:
            continue
        pooled, true, ends = simulated(setting, args.repetitions, args.seed)
        expected = true.mean(axis=0)
        for column, metric in enumerate(METRICS):
            low, high = ends[:, column].T
            held = [np.mean((low <= truth) & (truth <= high)) for truth in (expected[column], true[:, column])]
            words = f"3 x {setting.per_class}", setting.features, setting.per_patient, setting.k, metric
            bias, width = pooled[:, column].mean() - expected[column], np.mean(high - low)
            shares = (f"{100 * share:.1f} %" for share in held)
            print(line(setting.classifier, *words, f"{expected[column]:.3f}", f"{bias:+.3f}", f"{width:.3f}", *shares))


if __name__ == "__main__":
    main()
