"""A model -> what it says of images: the one way from pixels to a prediction outside training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from covidnet.batch import to_images
from covidnet.data.changes.kinds import shown
from covidnet.errors import DivergedError, UserError
from covidnet.evaluation.conformal import prediction_sets
from covidnet.evaluation.decision import Decision, decide
from covidnet.evaluation.ensembles import disagreement
from covidnet.evaluation.novelty import novelty_scores
from covidnet.files.home import at_home
from covidnet.files.plain import refuse_misfits
from covidnet.imaging.arrays import Scale
from covidnet.imaging.decode import Interpolation
from covidnet.imaging.radiograph import BodyPart, Reading, UnreadableImageError
from covidnet.inference.inputs import Readable, file_of, listed, named, open_given
from covidnet.inference.prediction import NOTICE, Prediction
from covidnet.inference.seen import Seen, see
from covidnet.machine.device import find_device
from covidnet.machine.precision import full_precision
from covidnet.models.network import Network
from covidnet.runs.foreign import Told
from covidnet.runs.opened import open_model

Pixels: TypeAlias = NDArray[np.uint8]  # (C, S, S), C 1 or 3, as `decode` makes them
BATCH = 128  # images the model sees at once


class Outputs(NamedTuple):
    """What the members of a model, one or several, say of B images."""

    logits: NDArray[np.float32]  # (M, B, C)
    features: list[NDArray[np.float32]]  # of each member (B, F)

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of the members' logits (B, C)."""
        together: NDArray[np.float64] = self.logits.astype(np.float64).mean(axis=0)
        return together


class Predictor:
    """A trained model and all that it takes to use it, from one checkpoint or from those of a series.

    Args:
        checkpoint: A checkpoint of covidnet, or the directory of a run: its best one. That of a repeat or of a
            cross-validation is one model, too: the mean of its runs' best ones.
        device: As torch names it; a GPU where there is one, if None.
        body_part: "any" reads DICOM files too whose header names another part than the chest; as in training, if None.
        told: Of a checkpoint that a Trainer of your own wrote, what it does not tell.

    Raises:
        UserError: Where the checkpoint or the device cannot be used.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        device: str | None = None,
        body_part: BodyPart | None = None,
        told: Told | None = None,
    ) -> None:
        refuse_misfits(Predictor, locals())
        read_once = open_model(at_home(checkpoint), told)
        self.checkpoint = read_once.path
        self.recipe: dict[str, Any] = read_once.recipe
        self.device = find_device(device)
        self.model = read_once.model().to(self.device)
        made = read_once.preprocessing
        self.classes = made.classes
        self.image_size = made.image_size
        self.interpolation: Interpolation = made.interpolation
        self.batch_size = made.batch_size  # of training
        self.lungs = made.lungs
        self.preprocessing = made
        self.reading: Reading = made.reading._replace(body_part=body_part or made.reading.body_part)
        self.notice = f"{f'Trained on {made.notice}' if made.notice else ''}{NOTICE}"
        self.run = read_once.run  # the directory of the run or series that wrote it, if it lies there
        self.runs = read_once.runs  # that of each member
        self.tested = read_once.tested  # that of a run whose test images no member has seen
        self.unfitted = read_once.unfitted
        self.calibration = read_once.calibration
        self.temperature: float | None = self.calibration.get("temperature")
        self.crossed = read_once.crossed
        conformal: dict[str, Any] = self.calibration.get("conformal") or {}
        self.coverage: float | None = self.crossed.coverage if self.crossed else conformal.get("coverage")
        self.least: dict[str, float] | None = conformal.get("least")
        self.decision = Decision.kept(self.calibration)
        states = [member.novelty for member in read_once.members]
        self.novelty = [state for state in states if state] if all(states) else None  # of each member
        for state, member, network in zip(states, read_once.members, self.model.members, strict=True):
            _refuse_other_features(state, network, member.path)

    @property
    def several(self) -> bool:
        """Whether it is an ensemble."""
        return len(self.model.members) > 1

    @property
    def cost(self) -> str | None:
        """What an ensemble costs, in a sentence; None of a single model."""
        if not self.several:
            return None
        count = len(self.model.members)
        size = sum(one.numel() * one.element_size() for one in self.model.parameters())
        return (
            f"{self.checkpoint} is an ensemble of {count} models: {size / 1e6:.1f} MB of weights, {count} times the "
            "time of one."
        )

    def predict(
        self, images: Readable | Iterable[Readable], batch_size: int = BATCH, scale: Scale | None = None
    ) -> list[Prediction]:
        """Return what the model says of images, in their order.

        Args:
            images: One or several: a path, the bytes of a file, a Pillow image of any mode, or an array or tensor
                (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels: uint8, floats in [0, 1], or uint16 of one
                channel, scaled by its own range as 16-bit files are. One of four axes is several images. A folder, or a
                pattern such as "x/**/*.png", is all images in it, as for the command: ``path`` tells which.
            batch_size: Images that the model sees at once.
            scale: The numbers of arrays that are black and white, such as (-1024, 1024): then any real numbers are
                taken, and what lies beyond is black or white.

        Raises:
            UnreadableImageError: A ValueError: which image gives no pixels, and why, or what to give instead.
            UserError: Where a folder or a pattern holds no image.
        """
        given = listed(images)
        found: list[Prediction] = []
        for start in range(0, len(given), batch_size):
            part = given[start : start + batch_size]
            pixels = [self._decoded(image, number, scale) for number, image in enumerate(part, start)]
            said = zip(part, self.predict_pixels(pixels), strict=True)
            found += [replace(prediction, path=file_of(image)) for image, prediction in said]
        return found

    def _decoded(self, image: Readable, number: int, scale: Scale | None) -> Pixels:
        try:
            return self.decode(image, scale)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{named(image, number)} {error}") from None

    def decode(self, image: Readable, scale: Scale | None = None) -> Pixels:
        """Return an image as the model was trained to see it, (C, S, S) uint8; ``predict`` tells what is taken.

        Raises:
            UnreadableImageError: With the reason.
            UserError: Where the model saw images without lungs, or lungs only: whole ones tell it nothing.
        """
        return self.see(open_given(image, scale, self.reading).image).pixels

    def see(self, image: Image.Image) -> Seen:
        """Return a decoded radiograph as the model was trained to see it, and the part that this shows.

        Raises:
            UnreadableImageError: Where it has to be cut to its lungs, and none are found.
            UserError: As ``decode``.
        """
        self.refuse_without_lungs()
        return see(image, self.preprocessing)

    def refuse_without_lungs(self) -> None:
        """Raise a UserError where the model saw images without lungs, or lungs only: whole ones tell it nothing."""
        if shown(self.lungs)[0] != "whole":
            raise UserError(
                f"{self.checkpoint} was trained with data.lungs={self.lungs}, for the lungs test alone; it has nothing "
                "to say of whole images. Give the checkpoint of the run itself."
            )

    def images(self, pixels: Sequence[Pixels]) -> torch.Tensor:
        """Return decoded images as the model takes them, (B, 3, S, S) float32 in [0, 1], on its device."""
        in_colour = np.stack([np.broadcast_to(image, (3, *image.shape[1:])) for image in pixels])
        return to_images(torch.from_numpy(in_colour).to(self.device))

    def predict_pixels(self, pixels: Sequence[Pixels]) -> list[Prediction]:
        """Return what the model says of decoded images, all of which it sees at once."""
        return self.describe(self.outputs(pixels)) if len(pixels) else []

    @torch.inference_mode()
    def outputs(self, pixels: Sequence[Pixels]) -> Outputs:
        """Return the logits and features of decoded images, of each member, computed in float32."""
        images = self.images(pixels)
        with full_precision(self.device.type):
            said = [member.logits_and_features(images) for member in self.model.members]
        if not all(torch.isfinite(values).all() for pair in said for values in pair):
            raise DivergedError(
                f"What {self.checkpoint.name} says of an image is no number: its training has diverged, or its weights "
                "are damaged. Give another checkpoint."
            )
        logits, features = zip(*((part.float().cpu().numpy() for part in pair) for pair in said), strict=True)
        return Outputs(np.stack(logits), list(features))

    def describe(self, outputs: Outputs) -> list[Prediction]:
        """Return what outputs say of their images."""
        mean = outputs.mean
        probabilities = softmax(mean, axis=1)
        calibrated = None if self.temperature is None else softmax(mean / self.temperature, axis=1)
        sets = self._sets(outputs, calibrated)
        novelty = self.novelty_of(outputs)
        apart = disagreement(outputs.logits) if self.several else None
        decided = None if calibrated is None else self.decide(calibrated)
        return [
            Prediction(
                self.classes[int(row.argmax())],
                self._by_class(row),
                None if calibrated is None else self._by_class(calibrated[i]),
                None if sets is None else [name for name, within in zip(self.classes, sets[i], strict=True) if within],
                None if novelty is None else float(novelty[i]),
                None if decided is None else self.classes[decided[i]],
                None if apart is None else float(apart[i]),
                notice=self.notice,
            )
            for i, row in enumerate(probabilities)
        ]

    def novelty_of(self, outputs: Outputs) -> NDArray[np.float64] | None:
        """Return how unlike the training images each image is (B,), of an ensemble the mean of what its members say.

        None where that is not known.
        """
        if not self.novelty:
            return None
        pairs = zip(self.novelty, outputs.features, strict=True)
        mean: NDArray[np.float64] = np.mean([novelty_scores(*pair) for pair in pairs], axis=0)
        return mean

    def _sets(self, outputs: Outputs, calibrated: NDArray[np.float64] | None) -> NDArray[np.bool_] | None:
        """Return which classes are in the prediction set of each image (B, C), None where that is not known."""
        if self.crossed:
            return self.crossed.sets(outputs.logits)
        if calibrated is None or self.least is None:
            return None
        return prediction_sets(calibrated, [self.least[name] for name in self.classes])

    def decide(self, calibrated: NDArray[np.float64]) -> NDArray[np.int64] | None:
        """Return the number of the class that each image is called (B,) by its calibrated probabilities (B, C).

        None where the checkpoint keeps no threshold.
        """
        if self.decision is None:
            return None
        return decide(calibrated, *self.decision.at(self.classes))

    def _by_class(self, row: NDArray[np.float64]) -> dict[str, float]:
        return dict(zip(self.classes, row.tolist(), strict=True))


def _refuse_other_features(novelty: Mapping[str, Any] | None, network: Network, checkpoint: Path) -> None:
    """Refuse a novelty that was fitted to another network's features."""
    dense = next((part for part in network.network[-1].modules() if isinstance(part, torch.nn.Linear)), None)
    if novelty and dense and novelty["network"].shape[1] != dense.in_features:
        found = novelty["network"].shape[1]
        raise UserError(
            f"{checkpoint} holds a damaged recipe: its novelty knows {found} features an image, but its "
            f"network has {dense.in_features}."
        )
