"""covidnet: chest X-ray classifiers whose numbers can be believed."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from covidnet.__version__ import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from covidnet.api import Run, lungs, rebalance, train
    from covidnet.errors import DivergedError, MachineError, UserError
    from covidnet.imaging.decode import Interpolation
    from covidnet.imaging.radiograph import BodyPart, Orientation, UnreadableImageError
    from covidnet.inference.prediction import Prediction
    from covidnet.inference.predictor import Predictor

# What keeps its name and its arguments, as what ``covidnet.lightning`` names; all else may change with any release.
__all__ = [
    "DivergedError",
    "MachineError",
    "Prediction",
    "Predictor",
    "Run",
    "UnreadableImageError",
    "UserError",
    "__version__",
    "load",
    "lungs",
    "rebalance",
    "train",
]
# Imported where somebody asks for it: torch and Lightning take seconds.
_PLACES = {
    "covidnet.api": ("Run", "lungs", "rebalance", "train"),
    "covidnet.errors": ("DivergedError", "MachineError", "UserError"),
    "covidnet.imaging.radiograph": ("UnreadableImageError",),
    "covidnet.inference.prediction": ("Prediction",),
    "covidnet.inference.predictor": ("Predictor",),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__


def load(
    checkpoint: "str | Path",
    device: str | None = None,
    *,
    body_part: "BodyPart | None" = None,
    classes: "Sequence[str] | None" = None,
    image_size: int | None = None,
    interpolation: "Interpolation" = "bilinear",
    orientation: "Orientation" = "upright",
) -> "Predictor":
    """Return a trained model that predicts: ``covidnet.load("runs/convnet/version_0").predict(["chest.png"])``.

    The last four are for a checkpoint that a Lightning Trainer of your own wrote of a model of covidnet: ours tell it.

    Args:
        checkpoint: A checkpoint, or the directory of a run: its best one. That of a repeat or crossval is the mean of
            its runs' models.
        device: As torch names it; a GPU where there is one, if left out.
        body_part: "any" reads DICOM files too whose header names another part than the chest; as in training, if left
            out.
        classes: Names of the classes, in the order of their labels: ``datamodule.classes``.
        image_size: Side of the training images in pixels.
        interpolation: How they were resized to it.
        orientation: "stored" where they were not turned as their files tell it, before covidnet did so.

    Raises:
        UserError: Where the checkpoint or the device cannot be used.
    """
    from covidnet.inference.predictor import Predictor  # torch takes seconds to import
    from covidnet.runs.foreign import Told

    told = (
        Told(classes, image_size, interpolation, orientation) if classes is not None or image_size is not None else None
    )
    return Predictor(checkpoint, device, body_part=body_part, told=told)
