"""The members of a series opened as one model: what it takes to use the mean of what they say.

Nothing is kept of it but a user's wish: what is fitted to the mean follows from the files of the runs whenever they
are opened, and so is never of other runs than these.
"""

import shlex
from collections.abc import Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.errors import UserError, did_you_mean, some
from covidnet.evaluation.calibration import fit_temperature, loss_at
from covidnet.evaluation.cross_conformal import CrossConformal
from covidnet.evaluation.decision import Decision, Wish, wished_threshold
from covidnet.evaluation.fit import fit_calibration
from covidnet.evaluation.metrics import logarithms
from covidnet.models.ensemble import Ensemble
from covidnet.runs.checkpoint import Checkpoint, Preprocessing, radiographs_of
from covidnet.runs.documents import read_json
from covidnet.runs.files import CHECKPOINT, CROSSVAL, EXTERNAL, PREDICTED, SEED, WISH
from covidnet.runs.members import record_of
from covidnet.runs.predictions import Predictions, read_predictions, together
from covidnet.runs.scoring import scores_of_test

NEAR = 1e-6  # of a loss: by which a temperature may miss the best one, for what it was fitted on had more digits
UNKNOWN = (
    "How well the mean of the members' probabilities is calibrated is not known: each image was in the training of "
    "some of them."
)
OWN = ("batch_size",)  # in what members may differ


class Together(NamedTuple):
    """What the members of a series say of the same images."""

    logits: NDArray[np.float64]  # (N, C) of the mean, but for one number an image
    labels: NDArray[np.int64]  # (N,)
    paths: list[str]


class Members:
    """The finished runs of a repeat or of a cross-validation, as ``Checkpoint`` is one: all that it takes to use them.

    Args:
        folder: Of the series.
        runs: Its runs, each with its best model.

    Raises:
        UserError: Where they do not agree in what they tell apart and how they see images.
    """

    def __init__(self, folder: Path, runs: Sequence[Path]) -> None:
        self.path = folder
        self.runs = [*runs]
        self.members = [Checkpoint(run / CHECKPOINT) for run in self.runs]
        record = record_of(folder)
        self.crossed_over = record is not None and record.name == CROSSVAL
        self.recipe: dict[str, Any] = self.members[0].recipe
        self.preprocessing: Preprocessing = self.members[0].preprocessing
        for other in self.members[1:]:
            self._refuse_other(other)

    @property
    def run(self) -> Path:
        """Where its exports, its evaluations and its wish lie."""
        return self.path

    @property
    def tested(self) -> Path | None:
        """A run whose test images none of the members has seen; None where each image was in a training."""
        return None if self.crossed_over or self.told_of("test") is None else self.runs[0]

    @property
    def unfitted(self) -> str | None:
        """Why the probabilities are not calibrated, in a sentence; None where they are."""
        if self.crossed_over:
            return f"{UNKNOWN} {self._measured()}"
        if self.calibration:
            return None
        return (
            f"The probabilities are not calibrated: that takes a {PREDICTED['val']} of the same images in each of "
            f"{len(self.runs)} runs, and a temperature in its checkpoint."
        )

    def _measured(self) -> str:
        report = read_json(self.path / EXTERNAL) or {}
        error = report.get("overall", {}).get("ece")
        if error is None:
            return "covidnet evaluate measures it on images from elsewhere."
        return f"On {report.get('images', 0):,} images from elsewhere its calibration error was {error:.3f}."

    def model(self) -> Ensemble:
        """Return the networks, on the CPU, in evaluation mode; each is built within the budget of its own file.

        Raises:
            UserError: As ``Checkpoint.model``.
        """
        return Ensemble([member.model() for member in self.members]).eval()

    def told_of(self, split: str) -> Together | None:
        """Return what the members said of the images of a split when they were trained.

        None where a run did not tell, or they do not have the same images.
        """
        found = self._read(split)
        if found is None:
            return None
        try:
            said = together(found)
        except UserError:  # an image changed its class between the runs
            return None
        if any(len(one.paths) != len(said.paths) for one in found):
            return None
        return Together(logarithms(said.probabilities), said.labels, said.paths)

    @cached_property
    def calibration(self) -> dict[str, Any]:
        """``temperature``, ``thresholds``, ``conformal`` and, where a wish is kept, ``decision`` of the mean.

        They are fitted on the validation split that all seeds have; empty for a cross-validation, which has none.

        Raises:
            UserError: Where what a run said of it is not of the run's checkpoint.
        """
        seen = None if self.crossed_over or not self._are_calibrated() else self.told_of("val")
        if seen is None:
            return {}
        fitted = fit_calibration(seen.logits, seen.labels, self.preprocessing.classes)
        assert fitted is not None, "logarithms of probabilities are finite"
        wish = read_json(self.path / WISH)
        if wish is None:
            return fitted
        try:
            decision = self.decision_for(seen, fitted["temperature"], wish["class"], wish["wish"], wish["wanted"])
        except UserError as error:
            undo = f"covidnet threshold {shlex.quote(str(self.path))} --undo takes it back"
            raise UserError(f"{self.path / WISH} tells a wish that cannot be met ({undo}): {error}") from error
        return {**fitted, "decision": decision.plain}

    def decision_for(self, seen: Together, temperature: float, name: str, wish: Wish, wanted: float) -> Decision:
        """Return the threshold of a class that meets a wish on validation.

        Args:
            seen: What the members say of the validation images.
            temperature: That calibrates it.
            name: The class.
            wish: What is to be reached.
            wanted: How much of it, in (0, 1].

        Raises:
            UserError: Where there is no such class or wish, or no threshold meets it.
        """
        classes = self.preprocessing.classes
        if name not in classes:
            known = f"{self.path} has the classes {some(classes, between=', ')}"
            raise UserError(f"--class {name}: {known}.{did_you_mean(name, classes)}")
        number = classes.index(name)
        scores = softmax(seen.logits / temperature, axis=1)[:, number]
        try:
            return Decision(name, wished_threshold(scores, seen.labels == number, wish, wanted), wish, wanted)
        except UserError as error:
            raise UserError(f"--class {name}, {self.path}: {error}") from error

    @cached_property
    def crossed(self) -> CrossConformal | None:
        """The prediction sets of a cross-validation, each member calibrated on its own validation split.

        Raises:
            UserError: As ``calibration``.
        """
        if not self.crossed_over or not self._are_calibrated():
            return None
        names = [run.name.partition(f"_{SEED}")[0] for run in self.runs]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        found = self._read("test") or []
        paths = {name: sorted(one.paths) for name, one in zip(names, found, strict=False)}  # of each fold
        if not found or any(sorted(one.paths) != paths[name] for name, one in zip(names, found, strict=True)):
            return None
        said = [one.of(paths[name], one.classes) for name, one in zip(names, found, strict=True)]
        return CrossConformal.fit(
            [logarithms(one.probabilities) for one in said],
            [one.labels for one in said],
            [member.calibration["temperature"] for member in self.members],
            [numbers[name] for name in names],
        )

    def _read(self, split: str) -> list[Predictions] | None:
        """Return what each run said of a split, its classes in the models' order; None where one did not tell."""
        classes = self.preprocessing.classes
        files = [run / PREDICTED[split] for run in self.runs]
        if not all(file.is_file() for file in files):
            return None
        found = [read_predictions(file) for file in files]
        if any({*one.classes} != {*classes} for one in found):
            return None
        return [one.of(one.paths, classes) for one in found]

    @cached_property
    def test_scores(self) -> dict[str, Any] | None:
        """Return the scores of the mean on the test images that all seeds have, as a run has them of a model.

        None where they have none in common.

        Raises:
            UserError: Where the images are not where the runs found them: their patients are not known then.
        """
        seen = None if self.tested is None else self.told_of("test")
        if seen is None:
            return None
        data = radiographs_of(self.recipe, self.tested)
        return scores_of_test(seen.logits, seen.labels, data, self.model().class_weights.numpy(), self.calibration)

    def _are_calibrated(self) -> bool:
        """Tell whether each member is, by what its run said of its own validation images.

        Raises:
            UserError: Where another model said it: the files of two runs have been mixed.
        """
        known = zip(self.runs, self.members, strict=True)
        return all([_is_calibrated(run / PREDICTED["val"], member) for run, member in known])

    def _refuse_other(self, other: Checkpoint) -> None:
        first = self.preprocessing
        for field in fields(Preprocessing):
            ours, theirs = (getattr(one, field.name) for one in (first, other.preprocessing))
            if ours != theirs and field.name not in OWN:
                raise UserError(
                    f"{self.path} is no ensemble: {self.members[0].path} has the {field.name} {ours!r}, {other.path} "
                    f"{theirs!r}. Members tell the same classes apart and see their images alike."
                )


def _is_calibrated(file: Path, member: Checkpoint) -> bool:
    temperature = member.calibration.get("temperature")
    if temperature is None or not file.is_file():
        return False
    said = read_predictions(file)
    logits = logarithms(said.probabilities)
    best = loss_at(fit_temperature(logits, said.labels), logits, said.labels)
    if loss_at(temperature, logits, said.labels) > best + NEAR:
        raise UserError(
            f"{file} tells of another model than {member.path}: the temperature that is kept there does not fit it. "
            "Bring back both files of one run."
        )
    return True
