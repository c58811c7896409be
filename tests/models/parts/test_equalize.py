"""Facts about equalisation as a layer: the textbook's formula, no trace of the exposure, and nothing to learn."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from covidnet.models.convnet import ConvNet
from covidnet.models.parts.equalize import Equalize


def grey(*levels: int) -> torch.Tensor:
    """Return one image (1, 3, 1, N) of 8-bit grey levels."""
    return (torch.tensor(levels) / 255).expand(1, 3, 1, -1)


def test_a_pixel_becomes_the_share_of_those_no_brighter_the_darkest_zero():
    equal = Equalize()(grey(10, 10, 20, 200))
    assert equal[0, 0, 0].tolist() == pytest.approx([0, 0, 0.5, 1])  # (no brighter - 2) / (4 - 2)


def test_it_is_pillows_equalisation_to_its_rounding():
    rng = np.random.default_rng(0)
    pixels = (rng.beta(2, 5, (64, 64)) * 255).astype(np.uint8)
    expected = np.asarray(ImageOps.equalize(Image.fromarray(pixels))) / 255
    images = torch.from_numpy(pixels).float().div(255).expand(1, 3, -1, -1)
    np.testing.assert_allclose(Equalize()(images)[0, 0].numpy(), expected, atol=0.03)


def test_exposure_leaves_no_trace():
    images = torch.arange(256.0).view(1, 1, 16, 16).expand(2, 3, -1, -1) / 255
    darker = torch.stack([images[0], images[0] * 0.999 + 0.0005])  # no two levels fall together
    torch.testing.assert_close(*Equalize()(darker))


def test_each_image_is_equalised_by_itself():
    images = torch.rand(4, 3, 8, 8)
    torch.testing.assert_close(Equalize()(images)[2:3], Equalize()(images[2:3]))


def test_an_image_of_one_grey_becomes_black_and_colours_become_grey():
    assert (Equalize()(torch.full((1, 3, 4, 4), 0.7)) == 0).all()
    equal = Equalize()(torch.rand(2, 3, 9, 5))
    assert equal.shape == (2, 3, 9, 5)
    assert torch.equal(equal[:, 0], equal[:, 2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_its_result_is_of_the_images_type_in_zero_to_one(dtype):
    equal = Equalize()(torch.rand(2, 3, 8, 8, dtype=dtype))
    assert equal.dtype == dtype
    assert (equal.min(), equal.max()) == (0, 1)


def test_it_counts_pixels_in_float32_where_all_else_is_bfloat16():
    images = torch.rand(2, 3, 64, 64)
    expected = Equalize()(images)
    torch.set_default_dtype(torch.bfloat16)  # as Lightning does for trainer.precision=bf16-true
    try:
        found = Equalize()(images)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)


def test_it_changes_what_a_model_sees_and_nothing_of_its_checkpoint():
    torch.manual_seed(0)
    plain = ConvNet(3, image_size=8).eval()
    equalized = ConvNet(3, image_size=8, equalize=True).eval()
    equalized.load_state_dict(plain.state_dict())
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(equalized(images), plain(Equalize()(images)))
