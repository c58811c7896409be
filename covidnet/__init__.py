"""covidnet: chest X-ray classifiers whose numbers can be believed."""

from typing import TYPE_CHECKING

from covidnet.__version__ import __version__ as __version__

if TYPE_CHECKING:
    from pathlib import Path

    from covidnet.inference.predictor import Predictor


def load(checkpoint: "str | Path", device: str | None = None) -> "Predictor":
    """Return a trained model that predicts: ``covidnet.load("runs/convnet/version_0").predict(["chest.png"])``.

    Args:
        checkpoint: A checkpoint, or the directory of a run: its best one.
        device: As torch names it; a GPU where there is one, if left out.

    Raises:
        UserError: Where the checkpoint or the device cannot be used.
    """
    from covidnet.inference.predictor import Predictor  # torch takes seconds to import

    return Predictor(checkpoint, device)
