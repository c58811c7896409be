import pytest

from covidnet.evaluation.shortcuts import lung_box


@pytest.mark.parametrize("side", [50, 224, 1024])
def test_the_box_takes_the_centre(side: int) -> None:
    top, bottom, left, right = lung_box(side, side)
    assert (top, left) == (side - bottom, side - right)
    assert (bottom - top) / side == pytest.approx(0.75, abs=0.025)
    assert (right - left) / side == pytest.approx(0.66, abs=0.025)
