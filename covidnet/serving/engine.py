"""The bytes of an upload -> what the page and the API say of them: decoded by some threads, looked at by one."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from covidnet.errors import UserError
from covidnet.imaging.decode import open_radiograph
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.inference.prediction import NOTICE, Prediction
from covidnet.inference.predictor import Pixels, Predictor
from covidnet.machine.parallel import cores
from covidnet.models.heatmaps import Heat, grad_cam, last_feature_map
from covidnet.report.pictures import data_uri, overlay
from covidnet.report.verdicts import external_verdict
from covidnet.runs.documents import read_json
from covidnet.runs.files import EXTERNAL, SHORTCUTS
from covidnet.serving.batching import Batcher
from covidnet.serving.limits import check

Heats = Literal["none", "predicted", "all"]  # of which classes a map is wanted
DECODERS = 4  # threads at most: each may hold a decoded image several times over
LARGE = 8_000_000  # pixels; images of more are decoded one at a time
HEATED = 8  # maps computed at once, which need gradients and so more memory
SHOWN = 768  # longest side of the image that is sent back
HEAT_SIDE = 224
UNFAMILIAR = "This image does not look like those that the model was trained on: what it says of it means little."
UNCHECKED = "Whether an image looks like those that the model was trained on is not known for this checkpoint."


@dataclass(frozen=True)
class Decoded:
    """An upload, as the model is to see it and as it is shown."""

    pixels: Pixels
    picture: str | None  # data URI


@dataclass(frozen=True)
class Job:
    """What the model's thread is asked."""

    pixels: Pixels
    heats: Heats


@dataclass(frozen=True)
class Seen:
    """What the model's thread answers."""

    prediction: Prediction
    heats: dict[str, Heat]


@dataclass(frozen=True)
class Finding:
    """All that is said of one upload."""

    prediction: Prediction
    warnings: list[str]
    heats: dict[str, str | None] | None  # class -> data URI; None where nothing speaks for the class
    picture: str | None  # data URI


class Engine:
    """A model at work on uploads.

    Args:
        predictor: The model.
        batch_size: Images that the model sees at once, at most; 1 is no batching.
        waiting: Images that may wait for the model.
        max_pixels: Of an image, at most.

    Raises:
        UserError: Where the model saw images without lungs, or lungs only: whole ones tell it nothing.
    """

    def __init__(self, predictor: Predictor, batch_size: int, waiting: int, max_pixels: int) -> None:
        predictor.refuse_without_lungs()
        self.predictor = predictor
        self.max_pixels = max_pixels
        self.warnings = model_warnings(predictor)
        self.layers = self._last_feature_maps()
        self.batcher: Batcher[Job, Seen] = Batcher(self.look, batch_size, waiting)
        self._decoders = ThreadPoolExecutor(min(cores(), DECODERS), "covidnet-decode")
        self._large = ThreadPoolExecutor(1, "covidnet-decode-large")

    async def find(self, content: bytes, heats: Heats, *, shown: bool) -> Finding:
        """Return what the model says of a file.

        Raises:
            UnreadableImageError: With the reason why it gives no pixels.
            FullError: Where too many wait.
        """
        loop = asyncio.get_running_loop()
        pixels = await loop.run_in_executor(self._decoders, check, content, self.max_pixels)
        threads = self._large if pixels > LARGE else self._decoders
        decoded = await loop.run_in_executor(threads, self.decode, content, shown)
        seen = await asyncio.wrap_future(self.batcher.submit(Job(decoded.pixels, heats)))
        drawn = await loop.run_in_executor(self._decoders, draw_all, seen.heats) if heats != "none" else None
        unlike = [UNFAMILIAR] if seen.prediction.unfamiliar else []
        return Finding(seen.prediction, unlike + self.warnings, drawn, decoded.picture)

    def decode(self, content: bytes, shown: bool) -> Decoded:
        """Decode a file, once for the model and once to be shown.

        Raises:
            UnreadableImageError: With the reason.
        """
        try:
            image = open_radiograph(content, self.predictor.reading).image
            seen = self.predictor.see(image)
            return Decoded(seen.pixels, picture(seen.part) if shown else None)
        except UnreadableImageError:
            raise
        # What a decoder makes of a hostile file must not end a request as a fault of ours, nor be told in a log.
        except Exception:
            raise UnreadableImageError("cannot be decoded") from None

    def look(self, jobs: Sequence[Job]) -> list[Seen]:
        """Return what the model says; called in one thread only, as hooks and gradients belong to the model."""
        predictions = self.predictor.predict_pixels([job.pixels for job in jobs])
        classes = self.predictor.classes
        asked: list[tuple[int, str]] = []
        for number, job in enumerate(jobs):
            if job.heats != "none" and self.layers:
                asked += [
                    (number, name) for name in classes if job.heats == "all" or name == predictions[number].called
                ]
        heats: list[dict[str, Heat]] = [{} for _ in jobs]
        for start in range(0, len(asked), HEATED):
            part = asked[start : start + HEATED]
            maps = self._heat([jobs[number].pixels for number, _ in part], [classes.index(name) for _, name in part])
            for (number, name), heat in zip(part, maps, strict=True):
                heats[number][name] = heat
        return [Seen(prediction, heat) for prediction, heat in zip(predictions, heats, strict=True)]

    def close(self) -> None:
        """Finish what waits."""
        self._large.shutdown()
        self._decoders.shutdown()
        self.batcher.close()

    def _heat(self, pixels: Sequence[Pixels], targets: Sequence[int]) -> NDArray[np.float32]:
        """Return the maps, of an ensemble the mean of its members'."""
        wanted, images = torch.tensor(targets, device=self.predictor.device), self.predictor.images(pixels)
        members = zip(self.predictor.model.members, self.layers, strict=True)
        heat: Heat = np.mean([grad_cam(member, layer, images, wanted) for member, layer in members], axis=0)
        return heat

    def _last_feature_maps(self) -> list[torch.nn.Module]:
        side = self.predictor.image_size
        images = self.predictor.images([np.zeros((1, side, side), dtype=np.uint8)])
        try:
            return [last_feature_map(member, images).layer for member in self.predictor.model.members]
        except UserError:  # this model keeps no map: all but the heat can be told
            return []


def model_warnings(predictor: Predictor) -> list[str]:
    """Return what must be known of the model whatever the image, in sentences."""
    found = []
    if predictor.notice != NOTICE:
        found.append(predictor.notice.removesuffix(NOTICE).strip())  # trained on drawn images
    run = predictor.run
    lungs: Mapping[str, Any] | None = read_json(run / SHORTCUTS) if run else None
    if lungs and lungs.get("verdict") in ("WARN", "FAIL"):
        how = "fails" if lungs["verdict"] == "FAIL" else "gives cause for doubt"
        found.append(f"The lungs test of this model {how}: {lungs['sentence']}")
    external: Mapping[str, Any] | None = read_json(run / EXTERNAL) if run else None
    of_this = external is not None and Path(external.get("checkpoint", "")).name == predictor.checkpoint.name
    if external and of_this and external_verdict(external, "").level != "PASS":
        found.append(f"On images from elsewhere: {external.get('sentence') or 'they were tested.'}")
    if predictor.unfitted:
        found.append(predictor.unfitted)
    if predictor.novelty is None:
        found.append(UNCHECKED)
    return found


def picture(image: Image.Image) -> str:
    """Return a decoded image as a PNG, no larger than a page needs."""
    small = image.copy()
    small.thumbnail((SHOWN, SHOWN), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return _png(small)


def draw_all(heats: Mapping[str, Heat]) -> dict[str, str | None]:
    """Return each map as a PNG, or None where nothing speaks for its class."""
    return {name: draw(heat) if heat.any() else None for name, heat in heats.items()}


def draw(heat: Heat) -> str:
    """Return a map as a PNG that is laid over the image, clear where there is no heat."""
    image = Image.fromarray(heat).resize((HEAT_SIDE, HEAT_SIDE), Image.Resampling.BILINEAR)
    values = np.asarray(image).clip(0, 1)
    return _png(overlay(values))


def _png(image: Image.Image) -> str:
    return data_uri(image, "PNG", compress_level=3)
