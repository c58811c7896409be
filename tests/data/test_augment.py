"""Facts about augmentation: it changes each image a little, its own way, and can be repeated."""

import pytest
import torch

from covidnet.data.augment import mild


@pytest.fixture
def images():
    """One smooth image (3, 40, 40) eight times."""
    ramp = torch.linspace(0.2, 0.8, 40)
    return (ramp[:, None] * ramp).sqrt().expand(8, 3, 40, 40).contiguous()


def test_shape_type_and_range_are_kept(images):
    changed = mild(torch.rand(8, 3, 40, 40))
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_each_image_of_a_batch_is_changed_its_own_way(images):
    changed = mild(images)
    assert all(not torch.equal(changed[i], changed[j]) for i in range(8) for j in range(i))


def test_the_channels_of_a_grey_image_stay_equal(images):
    changed = mild(images)
    torch.testing.assert_close(changed, changed[:, :1].expand_as(changed))


def test_the_same_seed_gives_the_same_images_and_the_next_draw_others(images):
    torch.manual_seed(1)
    first, second = mild(images), mild(images)
    torch.manual_seed(1)
    assert torch.equal(mild(images), first)
    assert not torch.equal(first, second)


def test_the_input_is_left_alone(images):
    before = images.clone()
    mild(images)
    assert torch.equal(images, before)


def test_an_image_changes_but_a_little(images):
    change = (mild(images) - images)[:, :, 8:-8, 8:-8].abs().amax(dim=(1, 2, 3))  # the corners may turn black
    assert (change > 0).all()
    assert (change < 0.25).all()


def test_no_image_is_mirrored_so_the_heart_stays_on_its_side():
    images = torch.zeros(64, 3, 40, 40)
    images[..., 28:] = 1.0
    assert (mild(images)[..., 20:].mean(dim=(1, 2, 3)) > 0.4).all()


def test_one_image_is_a_batch_too():
    assert mild(torch.rand(1, 3, 7, 7)).shape == (1, 3, 7, 7)
