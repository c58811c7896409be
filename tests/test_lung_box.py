"""Facts about the box that stands for the lungs."""

import numpy as np
import pytest

from covidnet.data.phantom import MARKER_CORNERS, MARKER_SIZE, draw_radiograph
from covidnet.lung_box import lung_box


@pytest.mark.parametrize(("height", "width"), [(50, 50), (224, 224), (299, 299), (64, 48)])
def test_the_box_is_central_and_of_its_share_of_the_image(height, width):
    top, bottom, left, right = lung_box(height, width)
    assert (top, left) == (height - bottom, width - right)
    assert abs((bottom - top) - 0.75 * height) <= 1
    assert abs((right - left) - 0.80 * width) <= 1


def test_the_box_covers_the_lungs_of_drawn_radiographs_and_not_their_markers():
    top, bottom, left, right = lung_box(128, 128)
    for number in range(30):
        mask = draw_radiograph(number % 3, np.random.SeedSequence(number), 128)[1]
        assert mask[top:bottom, left:right].sum() == mask.sum()
    for x, y in MARKER_CORNERS:
        inside = np.zeros((128, 128), dtype=bool)
        inside[round(y * 128) : round((y + MARKER_SIZE) * 128), round(x * 128) : round((x + MARKER_SIZE) * 128)] = True
        assert inside[top:bottom, left:right].sum() < 0.2 * inside.sum()
