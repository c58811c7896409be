"""Deep feature reweighting: a last layer from images that weigh alike by class and source (Kirichenko et al. 2023).

"Last layer re-training is sufficient for robustness to spurious correlations", arXiv:2204.02937. Weights in place of
subsets of equal size (Idrissi et al. 2022, "Simple data balancing achieves competitive worst-group-accuracy",
arXiv:2110.14503) leave no image unused. The network has not seen the held-out images, so they tell whether a feature
holds; of training images it has learned each one's answer, and whether they help is measured.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from covidnet.data.division.sources import OTHERS, even_weights, merge_small
from covidnet.evaluation.calibration import fit_temperature, losses_at
from covidnet.evaluation.last_layer import LastLayer, fit_last_layer
from covidnet.machine.parallel import progress_bar

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
SMALLEST = 10  # images of a class that a source needs to be a group of its own
SETS = {"held_out": False, "with_training": True}  # what a layer may be fitted to -> whether training images are of it
TELLING = 0.5  # of the log loss of chance: left-out sources that are told no better decide nothing
PATIENCE = 5.0  # seconds after which work gets a bar
FOLDS = 5  # of the held-out images, for what a layer says of images that it was not fitted to

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]  # (N,) which of the images


class Choice(NamedTuple):
    """What a last layer is fitted to, how strongly its penalty is, and what that choice rests on.

    Attributes:
        training: Whether training images are taken beside the held-out ones.
        strength: Of the penalty.
        chosen_by: Images of "left-out sources", or of "left-out patients".
        losses: Of the held-out images alone and of those with the training images, the mean log loss on these by
            strength, in the order of ``STRENGTHS``.
    """

    training: bool
    strength: float
    chosen_by: str
    losses: dict[str, list[float]]


@dataclass(frozen=True)
class Material:
    """Images that a last layer may be fitted to.

    Attributes:
        features: (N, F) what the last layer takes.
        labels: (N,) in 0 .. C - 1.
        sources: (N,) names; the small ones of a class are one.
        patients: (N,) a number for each patient or group of duplicates.
        held: (N,) whether the network has not seen it.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    sources: NDArray[np.object_]
    patients: NDArray[np.int64]
    held: Rows

    @classmethod
    def of(
        cls,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        sources: NDArray[np.object_],
        patients: NDArray[np.int64],
        held: Rows,
    ) -> "Material":
        """Return the material, the small sources of each class merged."""
        merged = merge_small(sources.tolist(), labels.tolist(), SMALLEST)
        return cls(features, labels, np.array(merged, dtype=object), patients, held)

    def fit(self, rows: Rows, strength: float) -> LastLayer:
        """Return the last layer of some of the images, which weigh alike by class and source."""
        labels = self.labels[rows]
        weights = even_weights(self.sources[rows].tolist(), labels.tolist())
        return fit_last_layer(self.features[rows], labels, weights, strength)

    def usable(self, *, training: bool) -> Rows:
        """Return which images may be fitted to."""
        return self.held | training

    def alone(self) -> list[int]:
        """Return the classes whose images are of one source: between these nothing can be balanced."""
        kinds = Counter(label for label, _ in set(zip(self.labels.tolist(), self.sources, strict=True)))
        return [label for label, number in sorted(kinds.items()) if number == 1]

    def choose(self) -> Choice:
        """Choose images and strength by the mean log loss on sources that are left out of a class.

        Each source of a class that has another one is left out of it, and its images are asked of a layer that has seen
        this class from elsewhere alone, and this source in other classes alone. Each counts alike: a source of few
        images asks as much as one of many. The loss is that at the temperature which fits best, for one is fitted
        afterwards in any case, and a strong penalty would else be blamed for its faint logits.

        Where such images are told little better than by chance, the best layer is the one that says least, and nothing
        follows for the strength. Then held-out images decide whose patients alone are left out.
        """
        by_source = {name: self._left_out(training=training) for name, training in SETS.items()}
        telling = min((min(own) for own in by_source.values() if own), default=np.inf) < self._chance * TELLING
        by_patient = {} if telling else {name: self._unseen(training=training) for name, training in SETS.items()}
        losses = {name: own for name, own in (by_patient or by_source).items() if own}
        name = min(losses, key=lambda one: min(losses[one]))
        by = "left-out sources" if telling else "left-out patients"
        return Choice(SETS[name], STRENGTHS[int(np.argmin(losses[name]))], by, losses)

    @property
    def _chance(self) -> float:
        """The log loss of saying nothing."""
        return float(np.log(len(np.unique(self.labels))))

    def _left_out(self, *, training: bool) -> list[float]:
        """Return the mean loss on left-out sources by strength; nothing where no source can be spared."""
        folds, logits = list(self._folds(self.usable(training=training))), []
        if not folds:
            return []
        with progress_bar(len(folds), "leaving sources out", unit="source", after=PATIENCE) as bar:
            for rows, cell in folds:
                layers = [self.fit(rows, strength) for strength in STRENGTHS]
                logits.append(np.stack([layer.logits(self.features[cell]) for layer in layers]))
                bar.update()
        cells = [cell for _, cell in folds]
        labels = np.concatenate([self.labels[cell] for cell in cells])
        shares = np.concatenate([np.full(cell.sum(), 1 / cell.sum()) for cell in cells])
        return [_loss(said, labels, shares) for said in np.concatenate(logits, axis=1)]

    def _unseen(self, *, training: bool) -> list[float]:
        """Return the mean loss on held-out images out of fold by strength, each source of a class alike."""
        labels, sources = self.labels[self.held], self.sources[self.held]
        pairs = list(zip(labels.tolist(), sources.tolist(), strict=True))
        counts = Counter(pairs)
        shares = np.array([1 / counts[pair] for pair in pairs])
        return [_loss(self.out_of_fold(strength, training=training), labels, shares) for strength in STRENGTHS]

    def _folds(self, usable: Rows) -> Iterator[tuple[Rows, Rows]]:
        """Yield, of each source of a class that has another one, the images that remain and those that are asked."""
        for label, source in sorted(set(zip(self.labels.tolist(), self.sources.tolist(), strict=True))):
            out = (self.labels == label) & (self.sources == source)
            rows = usable & ~out & ~np.isin(self.patients, self.patients[out])
            # Held-out images where there are any: of others the network has learned the answers.
            asked = out & self.held if (out & self.held).any() else out
            if set(self.labels[rows]) == set(self.labels):
                yield rows, asked

    def out_of_fold(self, strength: float, *, training: bool) -> Floats:
        """Return logits (H, C) of the H held-out images, each by a layer that was not fitted to it or its patient.

        What is fitted to them, as a temperature, is then no better than what new images get.
        """
        numbers = np.flatnonzero(self.held)
        logits = np.empty((len(numbers), len(np.unique(self.labels))))
        for out in self._dealt(self.labels[numbers], self.patients[numbers]):
            rows = self.usable(training=training) & ~np.isin(self.patients, self.patients[numbers[out]])
            logits[out] = self.fit(rows, strength).logits(self.features[numbers[out]])
        return logits

    def _dealt(self, labels: NDArray[np.int64], patients: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the held-out images dealt into parts by patient; all classes are there without any of the parts.

        Where that cannot be by dealing, as of few patients some of whom are of two classes, each patient is a part.
        """
        folds = StratifiedGroupKFold(min(FOLDS, *self.held_patients()), shuffle=True, random_state=0)
        parts = [out for _, out in folds.split(labels, labels, patients)]
        if all(len(np.unique(np.delete(labels, out))) == len(np.unique(labels)) for out in parts):
            return parts
        return [np.flatnonzero(patients == one) for one in np.unique(patients)]

    def held_patients(self) -> list[int]:
        """Return of how many patients the held-out images of each class are."""
        return [len(np.unique(self.patients[self.held & (self.labels == label)])) for label in np.unique(self.labels)]

    def groups(self, classes: Sequence[str], *, training: bool) -> list[dict[str, Any]]:
        """Return how many of the usable images each class has of each source, by class."""
        rows = self.usable(training=training)
        counts = Counter(zip(self.labels[rows].tolist(), self.sources[rows].tolist(), strict=True))
        ordered = sorted(counts.items(), key=lambda pair: (pair[0][0], pair[0][1] == OTHERS, -pair[1], pair[0][1]))
        return [{"class": classes[label], "source": source, "images": size} for (label, source), size in ordered]


def _loss(logits: Floats, labels: NDArray[np.int64], shares: Floats) -> float:
    """Return the mean log loss of logits (M, C) at the temperature that fits them best."""
    temperature = fit_temperature(logits, labels, shares)
    return float(np.average(losses_at(temperature, logits, labels), weights=shares))
