"""Test images with the heat of their predicted class: some of each class, and the worst errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, zoom
from scipy.stats import bootstrap

from covidnet.batch import to_images
from covidnet.data.changes.crop import OVERSIZE, cut, lung_crop
from covidnet.data.changes.kinds import shown
from covidnet.data.changes.lungs import lung_region
from covidnet.data.radiographs import Radiographs
from covidnet.imaging.decode import Interpolation, decode, read
from covidnet.models.heatmaps import Heat, grad_cam, heat_share, last_feature_map
from covidnet.models.outputs import outputs_of
from covidnet.report.decided import decisions
from covidnet.report.measured import HeatShare
from covidnet.report.pictures import SIDE, as_shown, blend, jpeg
from covidnet.runs.predictions import Predictions
from covidnet.runs.run import Run

RANKS = (1 / 6, 1 / 2, 5 / 6)  # of the images shown of a class, ordered by the probability of their true class
ERRORS = 6
SAMPLED = 40  # images a class, evenly spaced, whose heat is averaged
BATCH = 16  # maps computed at once, which need gradients and so more memory
OPACITY = 0.55  # of the hottest pixel over the radiograph


@dataclass(frozen=True)
class Card:
    """One image of the gallery."""

    path: str
    label: str
    predicted: str
    probability: float  # of the predicted class
    decision: str | None  # what the threshold calls it, where one is kept
    share: float | None  # of the heat, inside the lungs
    area: float  # share of the image that the lungs take
    masked: bool  # the lungs are those of a mask, not of the central box
    picture: str  # data URI
    overlay: str  # data URI


@dataclass(frozen=True)
class Gallery:
    """What the page shows of the heat maps."""

    layer: str
    side: int  # of the layer's map
    typical: dict[str, list[Card]]  # by class, all rightly classed
    errors: list[Card]
    wrong: int  # errors in all
    shares: dict[str, HeatShare]  # by class
    overall: HeatShare | None
    masked: int  # images of the sample with a mask of their own
    lungs: str  # what says where the lungs lie, in words
    changed: int  # images that the checkpoint now classes otherwise than predictions.csv says


def make_gallery(run: Run, predictions: Predictions, data: Radiographs) -> Gallery:
    """Compute the heat of a sample of the test images and draw those that the page shows.

    Raises:
        UnreadableImageError: Where an image is no longer there.
        UserError: Where the model keeps no map of the image.
    """
    by_threshold = decisions(run, predictions)
    typical, errors = choose(predictions, len(run.classes))
    sample = sampled(predictions, len(run.classes))
    needed = sorted({*sample, *errors, *(number for numbers in typical for number in numbers)})
    files = {number: data.image_file(predictions.paths[number]) for number in needed}
    model, device = run.load_model(), torch.device("cpu")
    masks = _masks(run, predictions, data, needed)
    seen = {number: _Sight(files[number], masks.get(number), data) for number in needed}
    pixels = np.stack([seen[number].pixels() for number in needed])
    layer = last_feature_map(model, to_images(torch.from_numpy(pixels[:1])))
    logits, _ = outputs_of(
        model, pixels.__getitem__, np.arange(len(needed)), device, title="asking the model", after=0.0
    )
    targets = torch.from_numpy(logits.argmax(axis=1))
    changed = int((targets.numpy() != predictions.predicted[needed]).sum())
    heats: dict[int, Heat] = {}
    for start in range(0, len(needed), BATCH):
        part = slice(start, start + BATCH)
        images = to_images(torch.from_numpy(pixels[part]))
        heats.update(zip(needed[part], grad_cam(model, layer.layer, images, targets[part]), strict=True))
    regions = {number: seen[number].lungs(data.image_size) for number in needed}
    shares = {number: heat_share(heats[number], regions[number]) for number in needed}

    def card(number: int) -> Card:
        picture, overlay = draw(seen[number], heats[number])
        return Card(
            predictions.paths[number],
            run.classes[predictions.labels[number]],
            run.classes[predictions.predicted[number]],
            float(predictions.probabilities[number].max()),
            by_threshold[number] if by_threshold else None,
            shares[number],
            float(regions[number].mean()),
            number in masks,
            picture,
            overlay,
        )

    def summary(numbers: Sequence[int]) -> HeatShare | None:
        heated = [(share, regions[number].mean()) for number in numbers if (share := shares[number]) is not None]
        return _summary(*np.array(heated).T, masked=bool(masks)) if heated else None

    by_class = {
        name: summary([number for number in sample if predictions.labels[number] == label])
        for label, name in enumerate(run.classes)
    }
    return Gallery(
        layer=layer.name,
        side=layer.side,
        typical={name: [card(number) for number in typical[label]] for label, name in enumerate(run.classes)},
        errors=[card(number) for number in errors],
        wrong=int((predictions.predicted != predictions.labels).sum()),
        shares={name: shown for name, shown in by_class.items() if shown},
        overall=summary(sample),
        masked=sum(number in masks for number in sample),
        lungs=data.masks.told(bool(masks)),
        changed=changed,
    )


def choose(predictions: Predictions, num_classes: int) -> tuple[list[list[int]], list[int]]:
    """Return the numbers of the images to show: by rule, not by eye.

    Of each class, of its rightly classed images in the order of their probability, those a sixth, a half and five
    sixths of the way up; and the wrongly classed images whose wrong class was given the highest probability.
    """
    right = predictions.predicted == predictions.labels
    sure = predictions.probabilities.max(axis=1)
    typical = []
    for label in range(num_classes):
        numbers = np.flatnonzero(right & (predictions.labels == label))
        ranked = numbers[np.argsort(sure[numbers], kind="stable")]
        places = sorted({int(share * len(ranked)) for share in RANKS}) if len(ranked) else []
        typical.append([int(ranked[place]) for place in places])
    wrong = np.flatnonzero(~right)
    return typical, [int(number) for number in wrong[np.argsort(-sure[wrong], kind="stable")][:ERRORS]]


def sampled(predictions: Predictions, num_classes: int) -> list[int]:
    """Return up to ``SAMPLED`` evenly spaced numbers of each class."""
    numbers = []
    for label in range(num_classes):
        own = np.flatnonzero(predictions.labels == label)
        if len(own):
            places = np.linspace(0, len(own) - 1, min(SAMPLED, len(own))).round().astype(int)
            numbers += [int(number) for number in own[places]]
    return numbers


def _masks(run: Run, predictions: Predictions, data: Radiographs, needed: Sequence[int]) -> dict[int, Path]:
    """Return the lung masks of these images; none where any image of the run has none, as in the lungs test."""
    paths = dict.fromkeys([*(row["path"] for row in run.split), *predictions.paths])
    masks = data.lung_files([*paths])
    return {number: masks[path] for number in needed if (path := predictions.paths[number]) in masks}


class _Sight:
    """What the model sees of one image: all of it, or what it is cut to."""

    def __init__(self, file: Path, mask: Path | None, data: Radiographs) -> None:
        self.file, self.mask, self.data = file, mask, data
        self.box = lung_crop(lung_region(mask, data.image_size * OVERSIZE)) if shown(data.lungs)[1] else None

    def pixels(self) -> NDArray[np.uint8]:
        """Return it as the model was trained on it, (3, S, S)."""
        size = self.data.image_size
        return np.broadcast_to(self._decoded(size, self.data.interpolation), (3, size, size))

    def picture(self) -> NDArray[np.float64]:
        """Return it as a page shows it, (H, W, 3) in 0 .. 255."""
        return as_shown(self._decoded(SIDE, "bilinear"))

    def lungs(self, size: int) -> NDArray[np.bool_]:
        """Return where its lungs lie in it (S, S)."""
        if self.box is None:
            return lung_region(self.mask, size)
        whole = lung_region(self.mask, size * OVERSIZE)[None].astype(np.uint8)
        return np.asarray(cut(whole, self.box, size, "nearest")[0] > 0)

    def _decoded(self, size: int, interpolation: Interpolation) -> NDArray[np.uint8]:
        if self.box is None:
            return decode(read(self.file), size, interpolation, self.data.reading)
        large = decode(read(self.file), size * OVERSIZE, interpolation, self.data.reading)
        return cut(large, self.box, size, interpolation)


def draw(seen: _Sight, heat: Heat) -> tuple[str, str]:
    """Return an image, and the same under its heat with the lungs outlined, as data URIs."""
    grey = seen.picture()
    enlarged = zoom(heat, SIDE / len(heat), order=1).clip(0, 1)
    overlay = blend(grey, enlarged, OPACITY)
    region = seen.lungs(SIDE)
    overlay[region & ~binary_erosion(region, iterations=2)] = (255, 255, 255)
    return jpeg(grey), jpeg(overlay)


def _summary(shares: NDArray[np.float64], areas: NDArray[np.float64], *, masked: bool) -> HeatShare:
    interval = None
    if len(shares) > 1:
        found = bootstrap((shares,), np.mean, method="percentile", n_resamples=2000, rng=0).confidence_interval
        interval = (float(found.low), float(found.high))
    return HeatShare(len(shares), float(shares.mean()), interval, float(areas.mean()), masked)
