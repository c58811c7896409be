import pytest
import torch

from covidnet.models.parts.appearance import COLOUR, SIDE, appearance


def drawn(size=48):
    return torch.rand(4, 1, size, size, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)


def patterns(images):
    return appearance(images)[:, :-1].view(-1, SIDE, SIDE)


@pytest.mark.parametrize("size", [12, 16, 50, 96])
def test_every_size_has_as_many_numbers(size):
    assert appearance(drawn(size)).shape == (4, SIDE**2 + 1)


def test_exposure_changes_the_pattern_little():
    torch.testing.assert_close(patterns(0.5 * drawn() + 0.3), patterns(drawn()), atol=0.04, rtol=0)


def test_the_pattern_turns_and_changes_sign_with_the_image():
    images = drawn()
    torch.testing.assert_close(patterns(images.rot90(1, (2, 3))), patterns(images).rot90(1, (1, 2)))
    torch.testing.assert_close(patterns(1 - images), -patterns(images), atol=1e-5, rtol=0)


def test_an_image_of_one_grey_has_no_pattern_and_no_colour():
    assert appearance(torch.full((1, 3, 32, 32), 0.4)).abs().max() < 1e-5


def test_colour_is_told_whatever_the_greys_are():
    image = torch.zeros(1, 3, 32, 32)
    image[:, 0] = 0.2
    assert appearance(image)[0, -1] == pytest.approx(0.2 * COLOUR)
