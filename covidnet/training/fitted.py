"""What is fitted to a trained model and kept in its checkpoint, beside its weights. Joins data, models, evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from covidnet.data.images import Numbers
from covidnet.data.module import RadiographyDataModule
from covidnet.evaluation.conformal import COVERAGE, too_few
from covidnet.evaluation.novelty import fit_novelty
from covidnet.machine.telling import tell
from covidnet.models.outputs import outputs_of
from covidnet.models.parts.appearance import SIDE
from covidnet.runs.checkpoint import Checkpoint

MOST = 2000  # images of a split from which it is learnt how images look; more are drawn from at random
Seen = dict[str, tuple[Numbers, NDArray[np.float32]]]  # split -> numbers of images (N,) and their features (N, F)
PATIENCE = 5.0  # seconds after which work of a run gets a bar


def look_at(checkpoint: Path, datamodule: RadiographyDataModule, device: torch.device) -> Seen | None:
    """Return the features of some images of each split, for the model of ``checkpoint``.

    Its own copy of the model looks at the images as a user's would: without augmentation, in one process. Where a
    training was served the features of a frozen encoder, they are taken. None where the model has diverged.
    """
    model = Checkpoint(checkpoint).model(finite=False).to(device)
    sets = datamodule.datasets
    chosen = {name: _some(dataset.numbers) for name, dataset in sets.items()}
    held = [sets[name].numbers[places] for name, places in chosen.items()]
    kept = [dataset.features for dataset in sets.values()]
    known = [part[places].cpu() for part, places in zip(kept, chosen.values(), strict=True) if part is not None]
    encoded = torch.cat(known) if len(known) == len(sets) else None
    how: dict[str, Any] = {"title": "learning how images look", "after": PATIENCE, "encoded": encoded}
    _, features = outputs_of(model, datamodule.images.gather, np.concatenate(held), device, **how)
    if not np.isfinite(features).all():
        return None
    parts = np.split(features, np.cumsum([len(numbers) for numbers in held])[:-1])
    return dict(zip(chosen, zip(held, parts, strict=True), strict=True))


def fit_looks(seen: Seen | None) -> dict[str, Any] | None:
    """Return what tells whether an image looks like the training's; None where the model has diverged."""
    if seen is None:
        return None
    state = fit_novelty(seen["train"][1], seen["val"][1], SIDE)
    # A checkpoint that is read without running code holds tensors, not arrays.
    return {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in state.items()}


def tell_too_few(calibration: Mapping[str, Any] | None) -> None:
    """Tell which classes have so few validation images that they are in every prediction set."""
    names = too_few(calibration["conformal"]) if calibration else []
    if names:
        tell(
            f"The validation split has too few images of {names} to state a coverage of {COVERAGE:.0%} for them: they "
            "are in every prediction set."
        )


def _some(numbers: Numbers) -> Numbers:
    """Return the places of at most ``MOST`` of the numbers, in the order of these; the same for the same ones."""
    if len(numbers) <= MOST:
        return np.arange(len(numbers))
    places = np.random.default_rng(0).choice(len(numbers), MOST, replace=False)
    return places[np.argsort(numbers[places])]
