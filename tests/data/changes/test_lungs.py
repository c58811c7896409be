"""Facts about covering the lungs: what is black, what is left, and where a mask or the box says so."""

import numpy as np
import pytest
import torch
from helpers import CLASSES, paint
from PIL import Image

from covidnet.data.changes.lungs import LungView, draw_others, lung_region, mask_paths
from covidnet.data.lung_masks import LungMasks
from covidnet.data.module import RadiographyDataModule
from covidnet.lung_box import lung_box

SIZE = 20


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(1, 256, (5, 1, SIZE, SIZE), dtype=np.uint8)


def test_covered_and_only_share_the_image_at_the_edge_of_the_box(pixels):
    numbers = np.array([3, 1])
    covered, only = (LungView(pixels.__getitem__, lungs)(numbers) for lungs in ("covered", "only"))
    top, bottom, left, right = lung_box(SIZE, SIZE)
    assert not covered[..., top:bottom, left:right].any()
    np.testing.assert_array_equal(only[..., top:bottom, left:right], pixels[numbers][..., top:bottom, left:right])
    np.testing.assert_array_equal(covered + only, pixels[numbers])


def test_a_mask_says_where_the_lungs_are(pixels):
    masks = np.zeros_like(pixels)
    masks[:, :, :7] = 255
    covered = LungView(pixels.__getitem__, "covered", masks.__getitem__)(np.array([2]))
    assert not covered[:, :, :7].any()
    np.testing.assert_array_equal(covered[:, :, 7:], pixels[[2], :, 7:])


def test_swapped_lungs_stay_and_what_lies_around_them_is_another_images(pixels):
    others = draw_others(len(pixels))
    numbers = np.array([3, 1])
    swapped = LungView(pixels.__getitem__, "swapped", others=others)(numbers)
    only, covered = (LungView(pixels.__getitem__, lungs) for lungs in ("only", "covered"))
    np.testing.assert_array_equal(swapped, only(numbers) + covered(others[numbers]))


@pytest.mark.parametrize("number", [2, 3, 1000])
def test_each_image_is_another_ones_surround_once_and_always_the_same_ones(number):
    others = draw_others(number)
    assert sorted(others) == list(range(number))
    assert (others != np.arange(number)).all()
    np.testing.assert_array_equal(others, draw_others(number))


def later_release(root):
    """The later release's layout, a mask beside each image."""
    for name in CLASSES:
        folder = paint(root, [name]).joinpath(name)
        files = sorted(folder.glob("*.png"))
        for kind in ("images", "masks"):
            (folder / kind).mkdir()
        for file in files:
            mask = np.zeros((24, 24), dtype=np.uint8)
            mask[:, :12] = 255
            Image.fromarray(mask).convert("RGB").save(folder / "masks" / file.name)
            file.rename(folder / "images" / file.name)
    return root


def serve(root, **options):
    module = RadiographyDataModule(str(root), image_size=SIZE, test_per_class=3, **options)
    module.setup("fit")
    return module


def test_masks_are_used_where_every_image_has_one_and_the_box_where_one_lacks(tmp_path):
    root = later_release(tmp_path / "xrays")
    paths = serve(root).images.paths
    assert mask_paths(root, paths)[0] == paths[0].replace("/images/", "/masks/")
    images = serve(root, lungs="covered").datasets["train"].__getitems__([0])[0]
    assert not images[..., : SIZE // 2].any()
    assert images[..., SIZE // 2 :].all()
    (root / mask_paths(root, paths)[0]).unlink()
    assert mask_paths(root, paths) == []
    images = serve(root, lungs="covered").datasets["train"].__getitems__([0])[0]
    top, bottom, left, right = lung_box(SIZE, SIZE)
    assert not images[..., top:bottom, left:right].any()
    assert images[..., :top, :].all()


@pytest.mark.parametrize(("images", "masks"), [("images", "Masks"), ("Images", "LUNG_MASKS"), ("", "mask")])
def test_folders_of_masks_are_found_in_any_letter_case(tmp_path, images, masks):
    paths = [(tmp_path / "A" / images / f"{name}.png").relative_to(tmp_path).as_posix() for name in "ab"]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert mask_paths(tmp_path, paths) == []
    (tmp_path / "A" / masks).mkdir()
    (tmp_path / "A" / masks / "a.png").touch()
    assert mask_paths(tmp_path, paths) == []
    (tmp_path / "A" / masks / "b.png").touch()
    assert mask_paths(tmp_path, paths) == [f"A/{masks}/a.png", f"A/{masks}/b.png"]


def test_a_mask_that_cannot_be_read_is_none(tmp_path, caplog):
    root = later_release(tmp_path / "xrays")
    (root / mask_paths(root, serve(root).images.paths)[3]).write_bytes(b"")
    with caplog.at_level("INFO"):
        images = serve(root, lungs="covered").datasets["train"].__getitems__([0])[0]
    assert "Lungs covered: by the central box." in caplog.text
    top, bottom, left, right = lung_box(SIZE, SIZE)
    assert not images[..., top:bottom, left:right].any()
    assert images[..., :top, :].all()


def test_each_root_of_a_split_has_masks_for_all_its_images_or_for_none(tmp_path):
    root, apart = later_release(tmp_path / "xrays"), paint(tmp_path / "xrays Test", per_class=2)
    own = RadiographyDataModule(str(root), image_size=SIZE).images.paths
    masks = LungMasks().of_split([{"": root}, {"test:": apart}], own)
    assert list(masks) == [path for path in own if not path.startswith("test:")]
    region = lung_region(masks[own[0]], SIZE)
    assert region[:, : SIZE // 2].all()
    assert not region[:, SIZE // 2 :].any()


@pytest.mark.parametrize("lungs", ["covered", "only", "swapped"])
def test_every_split_is_covered_alike_with_and_without_a_cache(xray_root, lungs):
    whole, cached = serve(xray_root), serve(xray_root, lungs=lungs)
    streamed = serve(xray_root, lungs=lungs, cache=False)
    for name in ("train", "val", "test"):
        images = cached.datasets[name].__getitems__([0, 1])[0]
        assert not torch.equal(images, whole.datasets[name].__getitems__([0, 1])[0])
        torch.testing.assert_close(images, streamed.datasets[name].__getitems__([0, 1])[0])


def test_the_split_is_that_of_whole_images(xray_root):
    assert serve(xray_root, lungs="only").split == serve(xray_root).split
