"""Facts about restyling: half of the images get another texture, their shapes stay."""

import pytest
import torch

from covidnet.data.changes import restyle
from covidnet.data.changes.restyle import STYLES, amplitude, convolution


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(400, 1, 16, 16)


@pytest.fixture(params=STYLES)
def change(request):
    return STYLES[request.param]


def test_half_of_the_images_change_and_the_rest_stay(change, images):
    changed = change(images)
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert changed.min() >= 0
    assert changed.max() <= 1
    same = (changed - images).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert 0.4 < same.float().mean() < 0.6


def test_the_channels_of_a_grey_image_stay_equal(change, images):
    changed = change(images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(changed, changed[:, :1].expand_as(changed))


def test_the_same_seed_gives_the_same_images(change, images):
    torch.manual_seed(1)
    first = change(images)
    torch.manual_seed(1)
    assert torch.equal(change(images), first)


def test_an_image_alone_in_its_batch_has_no_other_amplitude_to_take():
    image = torch.rand(1, 3, 9, 9)
    torch.testing.assert_close(amplitude(image), image)


def test_amplitude_keeps_the_phase(monkeypatch):
    monkeypatch.setattr(restyle, "SHARE", 1.0)
    torch.manual_seed(0)
    images = torch.rand(6, 1, 16, 16) * 0.2 + 0.4  # far from 0 and 1, where values would be cut off
    images += torch.linspace(-0.1, 0.1, 16)
    turned = torch.fft.rfft2(amplitude(images)) / torch.fft.rfft2(images)
    assert turned.abs().std() > 0.05
    torch.testing.assert_close(turned.imag, torch.zeros_like(turned.imag), atol=1e-3, rtol=0)


def test_a_convolution_is_the_same_at_every_place():
    torch.manual_seed(0)
    constant = torch.full((50, 1, 12, 12), 0.3)
    changed = convolution(constant)
    torch.testing.assert_close(changed, changed[..., :1, :1].expand_as(changed))
