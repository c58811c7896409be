"""Facts about augmentation: it changes each image its own way, keeps its range, and can be repeated."""

import math

import pytest
import torch

from covidnet.data.changes import augment
from covidnet.data.changes.augment import AUGMENTATIONS, mild, strong


@pytest.fixture
def images():
    """One smooth image (3, 40, 40) eight times."""
    ramp = torch.linspace(0.2, 0.8, 40)
    return (ramp[:, None] * ramp).sqrt().expand(8, 3, 40, 40).contiguous()


@pytest.fixture(params=AUGMENTATIONS)
def change(request):
    return AUGMENTATIONS[request.param]


def test_shape_type_and_range_are_kept(change, images):
    changed = change(torch.rand(8, 3, 40, 40))
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_each_image_of_a_batch_is_changed_its_own_way(change, images):
    changed = change(images)
    assert all(not torch.equal(changed[i], changed[j]) for i in range(8) for j in range(i))


def test_the_channels_of_a_grey_image_stay_equal(change, images):
    changed = change(images)
    torch.testing.assert_close(changed, changed[:, :1].expand_as(changed))


def test_one_channel_is_changed_as_three_alike_are(change, images):
    torch.manual_seed(2)
    of_three = change(images)
    torch.manual_seed(2)
    torch.testing.assert_close(change(images[:, :1]), of_three[:, :1])


def test_the_same_seed_gives_the_same_images_and_the_next_draw_others(change, images):
    torch.manual_seed(1)
    first, second = change(images), change(images)
    torch.manual_seed(1)
    assert torch.equal(change(images), first)
    assert not torch.equal(first, second)


def test_the_input_is_left_alone(change, images):
    before = images.clone()
    change(images)
    assert torch.equal(images, before)


def test_one_small_image_is_a_batch_too(change):
    assert change(torch.rand(1, 3, 7, 7)).shape == (1, 3, 7, 7)


def test_a_mild_change_is_a_small_one(images):
    change = (mild(images) - images)[:, :, 8:-8, 8:-8].abs().amax(dim=(1, 2, 3))  # the corners may turn black
    assert (change > 0).all()
    assert (change < 0.25).all()


def test_mild_mirrors_no_image_so_the_heart_stays_on_its_side():
    images = torch.zeros(64, 3, 40, 40)
    images[..., 28:] = 1.0
    assert (mild(images)[..., 20:].mean(dim=(1, 2, 3)) > 0.4).all()


def test_strong_mirrors_about_half_of_the_images():
    images = torch.zeros(400, 1, 40, 40)
    images[..., 20:] = 1.0
    changed = strong(images)
    mirrored = (changed[..., :20].mean(dim=(1, 2, 3)) > changed[..., 20:].mean(dim=(1, 2, 3))).float().mean()
    assert 0.4 < mirrored < 0.6


def test_strong_leaves_what_lies_outside_the_frame_black(monkeypatch):
    monkeypatch.setattr(augment, "VIEW", (1.15, 1.15))
    monkeypatch.setattr(augment, "SHIFT", 0.0)
    monkeypatch.setattr(augment, "ROTATION", 0.0)
    monkeypatch.setattr(augment, "RECTANGLE", (0.0, 0.0))
    changed = strong(torch.rand(16, 1, 40, 40) * 0.5 + 0.4)
    assert (changed[..., 0, :] == 0).all()
    assert (changed[..., :, -1] == 0).all()
    assert (changed[..., 10:30, 10:30] > 0).all()


def test_strong_changes_exposure_within_its_bounds(monkeypatch):
    monkeypatch.setattr(augment, "NOISE", 0.0)
    monkeypatch.setattr(augment, "RECTANGLE", (0.0, 0.0))
    level = strong(torch.full((500, 1, 20, 20), 0.5))[..., 10, 10].flatten()
    shown = level[level > 0.1]  # some are moved out of the frame
    low, high = 0.5 ** math.exp(0.7), 0.5 ** math.exp(-0.7)  # a grey image has no contrast to change
    assert low <= shown.min() < low + 0.03
    assert high - 0.03 < shown.max() <= high


def test_a_share_of_the_images_is_left_as_it_is(change):
    images = torch.rand(1000, 1, 12, 12)
    plain = (change(images, unchanged=0.1) == images).all(dim=3).all(dim=2).all(dim=1)
    assert 0.06 < plain.float().mean() < 0.14
    assert not (change(images) == images).all(dim=3).all(dim=2).all(dim=1).any()


def test_strong_covers_one_rectangle_with_one_grey(monkeypatch):
    monkeypatch.setattr(augment, "RECTANGLE", (0.3, 0.3))
    images = torch.full((50, 1, 40, 40), 2.0)  # brighter than any grey of a rectangle
    covered = augment._cover(images) < 2
    assert (covered.sum(dim=(1, 2, 3)) == 12 * 12).float().mean() > 0.5  # 12 of 40 pixels; edges may cut one off
    for image, where in zip(augment._cover(images), covered, strict=True):
        assert len(image[image < 2].unique()) == 1
        rows, columns = where[0].any(dim=1).sum(), where[0].any(dim=0).sum()
        assert rows * columns == where.sum()
