"""What is fitted to a trained model and kept in its checkpoint, beside its weights. Joins data, models, evaluation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.batch import to_images
from covidnet.data.images import Numbers
from covidnet.data.module import RadiographyDataModule
from covidnet.evaluation.calibration import fit_temperature
from covidnet.evaluation.conformal import fit_conformal
from covidnet.evaluation.novelty import fit_novelty
from covidnet.evaluation.thresholds import choose_thresholds
from covidnet.machine.parallel import progress_bar
from covidnet.models.classifier import Classifier
from covidnet.models.parts.appearance import SIDE
from covidnet.runs.checkpoint import load_model

MOST = 2000  # images of a split from which it is learnt how images look; more are drawn from at random
BATCH = 128  # images the model sees at once
SHOWN = 1000  # images from which on a bar is worth its line


def fit_calibration(
    logits: NDArray[np.floating], labels: NDArray[np.integer], classes: list[str]
) -> dict[str, Any] | None:
    """Return temperature, thresholds and prediction sets, as plain types; None where the model has diverged.

    Args:
        logits: (N, C) of the validation split.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
    """
    if not np.isfinite(logits).all():
        return None
    temperature = fit_temperature(logits, labels)
    probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
    return {
        "temperature": temperature,
        "thresholds": choose_thresholds(probabilities, labels, classes),
        "conformal": fit_conformal(probabilities, labels, classes),
    }


def fit_looks(checkpoint: Path, datamodule: RadiographyDataModule, device: torch.device) -> dict[str, Any] | None:
    """Return what tells whether an image looks like the training's, for the model of ``checkpoint``.

    Its own copy of the model looks at the images as a user's would: without augmentation, in one process, at images
    where training may have been served features. None where the model has diverged.
    """
    model = load_model(checkpoint).to(device)
    train, val = (_some(datamodule.datasets[name].numbers) for name in ("train", "val"))
    features = features_of(model, datamodule.images.gather, np.concatenate([train, val]), device)
    if not np.isfinite(features).all():
        return None
    return fit_novelty(features[: len(train)], features[len(train) :], SIDE)


@torch.inference_mode()
def features_of(
    model: Classifier, gather: Callable[[Numbers], NDArray[np.uint8]], numbers: Numbers, device: torch.device
) -> NDArray[np.float32]:
    """Return the features (N, F) that ``model`` gives images, in their order.

    Args:
        model: In evaluation mode, on ``device``.
        gather: Numbers (B,) -> pixels (B, C, S, S).
        numbers: (N,) of the images.
        device: Where the model is.
    """
    parts = []
    with progress_bar(len(numbers), "learning how images look", hidden=len(numbers) < SHOWN) as bar:
        for start in range(0, len(numbers), BATCH):
            pixels = torch.from_numpy(gather(numbers[start : start + BATCH])).to(device)
            parts.append(model.logits_and_features(to_images(pixels))[1].cpu().numpy())
            bar.update(len(pixels))
    return np.concatenate(parts)


def _some(numbers: Numbers) -> Numbers:
    """Return at most ``MOST`` of the numbers, in their order; the same for the same ones."""
    if len(numbers) <= MOST:
        return numbers
    return np.sort(np.random.default_rng(0).choice(numbers, MOST, replace=False))
