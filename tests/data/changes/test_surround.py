"""Facts about swapped surrounds: the lungs stay, what lies around them is another image's, of whatever class."""

import pytest
import torch

from covidnet.data.changes.surround import swap_surround
from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError
from covidnet.lung_box import lung_box

SIDE = 48


@pytest.fixture
def images():
    """400 images, each of one grey that no other has."""
    return torch.linspace(0, 1, 400).view(-1, 1, 1, 1).repeat(1, 1, SIDE, SIDE)


def test_the_lungs_stay_and_the_surround_is_wholly_one_other_images(images):
    changed = swap_surround(images, 1.0)
    top, bottom, left, right = lung_box(SIDE, SIDE)
    lungs = changed[..., top + 1 : bottom - 1, left + 1 : right - 1]
    torch.testing.assert_close(lungs, images[..., :1, :1].expand_as(lungs))
    frame = torch.ones(SIDE, SIDE, dtype=torch.bool)
    frame[top - 1 : bottom + 1, left - 1 : right + 1] = False
    around = changed[:, 0, frame]
    torch.testing.assert_close(around, around[:, :1].expand_as(around))
    torch.testing.assert_close(around[:, 0].sort().values, images[:, 0, 0, 0])  # each surround goes to one image
    assert (around[:, 0] != images[:, 0, 0, 0]).float().mean() > 0.9


def test_a_share_of_the_images_is_swapped_and_the_rest_stay(images):
    same = (swap_surround(images, 0.3) == images).flatten(1).all(dim=1).float().mean()
    assert 0.6 < same < 0.8


def test_one_image_fades_into_the_other(images):
    rows = swap_surround(images, 1.0)[:, 0, SIDE // 2]
    greys = {len(row.unique()) for row in rows if row[0] != row[SIDE // 2]}
    assert greys == {4}  # of the surround, of the lungs, and of the pixel on each side of the edge


def test_where_lungs_are_covered_the_label_is_not_in_the_image_any_more(images):
    """A model without lungs has nothing to learn from an image whose surround is drawn from all classes alike."""
    top, bottom, left, right = lung_box(SIDE, SIDE)
    covered = images.clone()
    covered[..., top:bottom, left:right] = 0
    seen = swap_surround(covered, 1.0)[:, 0, 0, 0]
    correlation = torch.corrcoef(torch.stack([seen, images[:, 0, 0, 0]]))[0, 1]
    assert abs(correlation) < 0.25  # five times its deviation over 400 images


def test_an_image_alone_in_its_batch_keeps_its_own():
    image = torch.rand(1, 3, 9, 9)
    torch.testing.assert_close(swap_surround(image, 1.0), image)


def test_the_same_seed_gives_the_same_images(images):
    torch.manual_seed(1)
    first = swap_surround(images, 0.5)
    torch.manual_seed(1)
    assert torch.equal(swap_surround(images, 0.5), first)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_0_to_1_is_named(share):
    with pytest.raises(UserError, match=r"data\.surround"):
        RadiographyDataModule(surround=share)
