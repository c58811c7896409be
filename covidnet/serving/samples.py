"""Images for those who have none at hand: drawn radiographs, made when the server starts."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from covidnet.data.phantom import CLASSES, draw_radiograph

SEED = 2  # other than that of the drawn data set: no model has seen these


@dataclass(frozen=True)
class Sample:
    """A drawn radiograph as a file."""

    name: str
    shows: str  # what it is drawn as
    content: bytes  # PNG


def draw_samples() -> list[Sample]:
    """Return a drawn radiograph of each class that is drawn, whatever classes the model knows."""
    return [Sample(f"drawn-{label + 1}.png", name, _drawn(label)) for label, name in enumerate(CLASSES)]


def _drawn(label: int) -> bytes:
    pixels, _ = draw_radiograph(label, np.random.SeedSequence((SEED, label)))
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
