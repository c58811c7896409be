import pytest
import torch
import torch.nn.functional as F

from covidnet.models.parts.appearance import COLOUR, SIDE, appearance, averaged


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


@pytest.mark.parametrize("size", [1, 5, 12, 16, 17, 50, 96, 100, 256])
def test_the_bins_of_apples_gpus_are_those_of_the_others(size):
    grey = drawn(size)[:, :1]
    expected = F.adaptive_avg_pool2d(grey.double(), SIDE)
    torch.testing.assert_close(averaged(averaged(grey, 2), 3).double(), expected, atol=2e-7, rtol=0)
    torch.testing.assert_close(averaged(averaged(grey.double(), 2), 3), expected, atol=1e-15, rtol=0)
