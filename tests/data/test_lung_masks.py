"""Facts about where lungs lie: one rule for all images, and the same regions for all that asks."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CLASSES, LEFT, draw_mask, masks_for, mistake, paint
from made_run import write_run

from covidnet.commands.train import main
from covidnet.data.changes.surround import swap_masked_surround, swap_surround
from covidnet.data.lung_masks import LungMasks
from covidnet.data.mask_names import mask_names
from covidnet.data.module import RadiographyDataModule
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.evidence.audit import audit_images
from covidnet.lung_box import lung_box
from covidnet.report.gallery import make_gallery
from covidnet.runs.checkpoint import radiographs_of
from covidnet.runs.run import Run

SIZE = 20


@pytest.fixture
def masked(xray_root, tmp_path, monkeypatch):
    """A folder of masks beside that of the images, where the command is run."""
    monkeypatch.chdir(tmp_path)
    return masks_for(xray_root, tmp_path / "lungs")


def found(folder: Path, *paths: str) -> list[str]:
    return LungMasks(str(folder)).of({"": (folder / "images", paths)})[""][1]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("A/x.jpg", "A/x.png"),
        ("A/x.jpg", "A/x.jpg.png"),
        ("A/x.png", "A/x.PNG"),
        ("A/b/x.jpeg", "a/B/X.Png"),
        ("A/images/x.png", "A/images/x.bmp"),
        ("A/1.2.840", "A/1.2.840.png"),
        ("A/x.dcm", "A/x.png"),
        (unicodedata.normalize("NFC", "é/é.png"), unicodedata.normalize("NFD", "é/é.png")),
    ],
    ids=lambda text: text.encode("ascii", "backslashreplace").decode(),
)
def test_a_mask_has_the_name_of_its_image(tmp_path, image, mask):
    draw_mask(tmp_path / mask)
    assert found(tmp_path, image) == [mask]


def test_a_key_that_is_left_empty_is_left_out():
    assert LungMasks("").given == "auto"


def test_two_images_of_one_stem_have_a_mask_each(tmp_path):
    names = ["x.jpg.png", "x.png.png"]
    for name in names:
        draw_mask(tmp_path / name)
    assert found(tmp_path, "x.jpg", "x.png") == names
    (tmp_path / names[0]).rename(tmp_path / "x.png")
    (tmp_path / names[1]).unlink()
    with pytest.raises(UserError, match=r"each of several images, by their names: x\.png"):
        found(tmp_path, "x.jpg", "x.png")


@pytest.mark.parametrize(
    "paths",
    [
        ["a/x.jpg", "b/x.png"],
        ["x.jpg", "x.png"],
        ["x.jpg", "x.jpg.png"],
        ["A/x.jpg", "a/x.jpg"],
        ["1.2", "1.2.png", "y.b.dcm"],
    ],
    ids=" ".join,
)
def test_each_mask_is_found_by_the_name_under_which_it_is_written(tmp_path, paths):
    names = mask_names(paths)
    for name in names:
        draw_mask(tmp_path / name)
    assert found(tmp_path, *paths) == names


def test_one_mask_that_is_missing_is_told_whatever_is_shown(xray_root, masked):
    gone = sorted(masked.rglob("*.png"))[4]
    gone.unlink()
    for options in ({}, {"lungs": "covered"}, {"surround": 0.5}):
        with pytest.raises(UserError, match=rf"lacks the masks of 1 of 36 images: {gone.parent.name}/"):
            _ = Radiographs(str(xray_root), masks=str(masked), **options).images


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (np.zeros((24, 24), np.uint8), "show no lung"),
        ((LEFT > 0).astype(np.uint8), "show no lung"),
        (np.full((24, 24), 255, np.uint8), "show nothing but lung"),
        (np.random.default_rng(0).integers(60, 200, (24, 24)).astype(np.uint8), "are no masks"),
        (None, "cannot be read"),
        ("gone", r"\.png cannot be opened: No such file or directory\. Mend"),
    ],
    ids=["empty", "ones", "full", "radiograph", "broken", "a link that leads nowhere"],
)
def test_what_is_no_mask_of_lungs_is_named(xray_root, masked, pixels, told):
    file = sorted(masked.rglob("*.png"))[2]
    file.unlink()
    if isinstance(pixels, str):
        file.symlink_to(pixels)
    else:
        file.touch() if pixels is None else draw_mask(file, pixels)
    for lungs in ("only", "whole"):  # of whole images, a report or the lungs test asks later
        with pytest.raises(UserError, match=told) as refused:
            _ = Radiographs(str(xray_root), masks=str(masked), lungs=lungs).images
        assert file.name in str(refused.value)
    with pytest.raises(UserError, match=told):
        audit_images(Radiographs(str(xray_root), masks=str(masked)))


def test_the_images_are_not_their_own_masks(xray_root):
    with pytest.raises(UserError, match="is the folder of the images themselves"):
        _ = Radiographs(str(xray_root), masks=str(xray_root)).images


def test_several_roots_and_a_test_root_have_a_folder_each(tmp_path):
    sites = {name: paint(tmp_path / f"images of {name}", per_class=6) for name in ("near", "far")}
    folder = tmp_path / "masks"
    for name, root in sites.items():
        masks_for(root, folder / name.upper())
    apart = paint(tmp_path / "apart", per_class=2)
    data = Radiographs(roots={name: str(root) for name, root in sites.items()}, masks=str(folder), lungs="covered")
    files = data.lung_files(data.images.paths)
    assert [*files] == data.images.paths
    assert files[data.images.paths[0]] == folder / "FAR" / data.images.paths[0].removeprefix("far/")
    given = {"test_root": str(apart), "image_size": SIZE, "lungs": "covered"}
    near = masks_for(sites["near"], tmp_path / "masks of near")
    with pytest.raises(UserError, match=r"sought as X/NAME\.png in .*masks of near/test;"):
        _ = Radiographs(str(sites["near"]), masks=str(near), **given).images
    masks_for(apart, masks_for(sites["near"], folder) / "test")
    images = Radiographs(str(sites["near"]), masks=str(folder), **given).images
    assert not images.gather(np.arange(len(images.paths)))[..., : SIZE // 2].any()


def test_a_relative_folder_is_sought_from_where_the_command_runs_and_stays_in_the_recipe(xray_root, masked, capsys):
    class_path = "covidnet.data.module.RadiographyDataModule"
    keys = {"root": str(xray_root), "image_size": SIZE, "masks": masked.name, "lungs": "covered"}
    data = radiographs_of({"data": {"class_path": class_path, "init_args": keys}, "classes": list(CLASSES)})
    assert data.masks.told(True) == f"by mask files of {masked.name}"
    assert not data.images.gather(np.array([0]))[..., : SIZE // 2].any()
    for given, told in (("lung", "data.masks=lung does not exist"), ("Box", "Did you mean 'box'?")):
        assert told in mistake([f"data.root={xray_root}", f"data.masks={given}"], capsys)


def views_of(data: RadiographyDataModule) -> dict[str, torch.Tensor]:
    """Return a training batch of a module, and the whole images of the same numbers."""
    data.setup("fit")
    whole = RadiographyDataModule(str(data.given_root), image_size=SIZE, test_per_class=3)
    whole.setup("fit")
    return {
        name: module.datasets["train"].__getitems__([0, 1, 2])[0] for name, module in (("is", data), ("was", whole))
    }


@pytest.mark.parametrize("rule", ["box", "folder"])
@pytest.mark.parametrize("shown", ["covered", "only", "swapped", "surround"])
def test_every_change_of_images_is_by_the_same_regions(xray_root, masked, rule, shown):
    given = {"surround": 1.0} if shown == "surround" else {"lungs": shown}
    masks = "box" if rule == "box" else str(masked)
    torch.manual_seed(0)
    views = views_of(RadiographyDataModule(str(xray_root), image_size=SIZE, test_per_class=3, masks=masks, **given))
    inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    top, bottom, left, right = lung_box(SIZE, SIZE) if rule == "box" else (0, SIZE, 0, SIZE // 2)
    inside[top + 1 if rule == "box" else 0 : bottom - 1, left + 1 if rule == "box" else 0 : right - 1] = True
    assert views["is"].shape == views["was"].shape
    same = (views["is"] == views["was"]).all(dim=0).all(dim=0)
    assert same[inside].all() == (shown != "covered")
    assert (views["is"][..., inside] == 0).all() == (shown == "covered")


@pytest.mark.parametrize("rule", ["box", "folder", "beside"])
def test_audit_and_heat_are_by_the_same_regions(tmp_path, rule):
    run = Run(write_run(tmp_path))
    root = Path(str(run.open_data().given_root))
    folder = masks_for(root, tmp_path / "lungs")
    for image in [*root.rglob("*.png")] if rule == "beside" else []:
        draw_mask(image.parent / "masks" / image.name)
    masks, told = {
        "box": ("box", "by the central box"),
        "folder": (str(folder), f"by mask files of {folder}"),
        "beside": ("auto", "by the mask files beside the images"),
    }[rule]
    data = Radiographs(str(root), image_size=12, masks=masks)
    assert run.predictions is not None
    gallery = make_gallery(run, run.predictions, data)
    assert gallery.lungs == told
    assert gallery.overall.masked == (rule != "box")
    assert gallery.overall.area == pytest.approx(0.6 if rule == "box" else 0.5, abs=0.05)
    checks = {check["name"]: check for check in audit_images(data).report["checks"]}
    assert f"with its lungs covered, {told}," in checks["lungs_covered"]["sentence"]
    assert checks["lungs_covered"]["details"]["lungs"] == told


def test_the_surround_is_swapped_outside_of_each_images_own_mask():
    images = torch.linspace(0, 1, 64).view(-1, 1, 1, 1).repeat(1, 3, 48, 48)
    lungs = torch.zeros(64, 1, 48, 48)
    lungs[:32, :, :, :24] = 1
    lungs[32:, :, :, 24:] = 1
    changed = swap_masked_surround(torch.cat([images, lungs], dim=1), 1.0)
    assert changed.shape == images.shape
    own = (changed == images).all(dim=1)
    assert own[:32, :, :22].all()
    assert own[32:, :, 26:].all()
    assert (changed[:32, 0, 0, 40] != images[:32, 0, 0, 40]).float().mean() > 0.8
    torch.manual_seed(3)
    first = swap_surround(images, 0.5)[:, 0, 0, 0]
    torch.manual_seed(3)
    nowhere = torch.cat([images, torch.zeros_like(lungs)], dim=1)
    torch.testing.assert_close(swap_masked_surround(nowhere, 0.5)[:, 0, 0, 0], first)  # the same images by one seed


def test_masks_lie_on_the_device_with_the_images_and_are_no_part_of_what_is_validated(xray_root, masked):
    module = RadiographyDataModule(str(xray_root), image_size=SIZE, test_per_class=3, masks=str(masked), surround=1.0)
    module.setup("fit")
    served = module.datasets["train"].numbers[:4]
    module.resident = torch.from_numpy(module.images.masked.gather(np.arange(len(module.images.paths))))
    assert module.resident.shape[1] == 2
    numbers = torch.from_numpy(served)
    assert module._images(numbers, module.augment).shape == (4, 3, SIZE, SIZE)
    whole = module._images(numbers)
    torch.testing.assert_close(whole[:, :1] * 255, torch.from_numpy(module.images.gather(served)).float())


def test_config_yaml_holds_the_masks(xray_root, masked, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fit", f"data.root={xray_root}", f"data.masks={masked.name}", "--print_config"])
    assert ended.value.code in (0, None)
    assert f"masks: {masked.name}" in capsys.readouterr().out
