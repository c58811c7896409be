"""Facts about preprocessing in tensors: Pillow's pixels, whatever the sizes."""

import numpy as np
import pytest
import torch
from PIL import Image

from covidnet.inference.graph import Bilinear, Nearest

RNG = np.random.default_rng(0)
SHAPES = [(1, 1), (2, 700), (700, 2), (50, 50), (101, 50), (50, 101), *RNG.integers(1, 400, (30, 2)).tolist()]


@pytest.mark.parametrize("size", [1, 7, 50, 96])
@pytest.mark.parametrize(
    ("kind", "how"),
    [(Bilinear, Image.Resampling.BILINEAR), (Nearest, Image.Resampling.NEAREST)],
    ids=["bilinear", "nearest"],
)
def test_every_pixel_is_pillows(kind, how, size):
    resize = kind(size)
    for height, width in SHAPES:
        pixels = RNG.integers(0, 256, (height, width), dtype=np.uint8)
        expected = np.asarray(Image.fromarray(pixels).resize((size, size), how))
        found = resize(torch.from_numpy(pixels)[None, None])[0, 0]
        assert np.array_equal(found, expected), (height, width)


def test_black_and_white_stay():
    for level in (0, 255):
        assert Bilinear(9)(torch.full((1, 1, 31, 17), level, dtype=torch.uint8)).unique().tolist() == [level]
