"""Facts about images that are cut to their lungs: where, and that all who look at one cut it alike."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import LEFT, masks_for
from made_run import SIZE, write_run
from PIL import Image

from covidnet.data.changes.crop import OVERSIZE, UNCUT, cut, lung_crop
from covidnet.data.images import open_pixels
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.evidence.external_crops import cut_to_lungs
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.inference import seen
from covidnet.inference.export import export
from covidnet.inference.predictor import Predictor
from covidnet.report.gallery import make_gallery
from covidnet.runs.run import Run
from covidnet.training.args import expand
from covidnet.training.resume import recipe_layer


def lungs(*parts: tuple[int, int, int, int]) -> np.ndarray:
    """Return a mask of 20 x 40 pixels whose rows and columns from, to are lung."""
    mask = np.zeros((20, 40), dtype=np.bool_)
    for top, bottom, left, right in parts:
        mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "box"),
    [
        (lungs((5, 15, 4, 14), (6, 13, 24, 36)), (4.5 / 20, 15.5 / 20, 2.4 / 40, 37.6 / 40)),
        (lungs((0, 10, 20, 40)), (0.0, 10.5 / 20, 19 / 40, 1.0)),  # a margin ends where the image does
        (lungs((7, 8, 3, 4)), (6.95 / 20, 8.05 / 20, 2.95 / 40, 4.05 / 40)),
        (lungs(), UNCUT),
    ],
    ids=["two lungs", "at the edge", "one pixel", "none"],
)
def test_an_image_is_cut_to_the_box_of_its_lungs_and_a_margin(mask, box):
    assert lung_crop(mask) == pytest.approx(box)
    pixels = np.arange(800, dtype=np.uint16).reshape(1, 20, 40).astype(np.uint8)
    assert cut(pixels, lung_crop(mask), 5, "nearest").shape == (1, 5, 5)


def test_what_is_cut_is_the_part_of_the_image():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 40)).astype(np.uint8)
    np.testing.assert_array_equal(cut(pixels, (0.25, 0.75, 0.5, 0.75), 10, "nearest"), pixels[:, 5:15, 20:30])


def served(root: Path, **keys: object) -> np.ndarray:
    images = Radiographs(str(root), image_size=SIZE, **keys).images
    return images.gather(np.arange(len(images.paths)))


@pytest.mark.parametrize("cache", [True, False])
def test_lungs_are_covered_before_the_image_is_cut(xray_root, tmp_path, cache):
    keys = {"masks": str(masks_for(xray_root, tmp_path / "lungs")), "cache": cache}
    cropped, covered, only = (served(xray_root, lungs=name, **keys) for name in ("crop", "covered_crop", "only_crop"))
    wide = Radiographs(str(xray_root), image_size=SIZE * OVERSIZE, cache=cache).images
    whole = wide.gather(np.arange(len(wide.paths)))
    expected = [cut(image, lung_crop(LEFT > 0), SIZE, "bilinear") for image in whole]
    np.testing.assert_array_equal(cropped, np.stack(expected))
    assert not covered[..., : SIZE - 2].any()  # of a lung that is the left half, the crop is hardly more
    np.testing.assert_allclose(covered.astype(int) + only, cropped, atol=2)
    assert not np.array_equal(cropped, served(xray_root))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"lungs": "crop"}, r"data\.masks=auto must be box or a folder"),
        ({"lungs": "covered_crop"}, r"data\.masks=auto must be box or a folder"),
        ({"lungs": "crop", "masks": "box", "surround": 0.5}, r"data\.surround=0\.5 must be 0"),
    ],
    ids=["auto", "auto, covered", "surround"],
)
def test_a_crop_that_nobody_could_make_again_is_refused(keys, told):
    with pytest.raises(UserError, match=told):
        Radiographs(**keys)


def test_surrounds_are_swapped_around_the_lungs_that_were_cut(xray_root, tmp_path):
    masks = str(masks_for(xray_root, tmp_path / "lungs"))
    images = Radiographs(str(xray_root), image_size=SIZE, lungs="crop", masks=masks, surround=1.0).images
    plane = images.masked.gather(np.array([0]))[0, -1]
    assert plane[:, : SIZE - 2].all()
    assert not plane[:, -1].any()


@pytest.fixture
def cropped_run(tmp_path):
    """Return how to write a run whose images were cut by given masks."""

    def write(masks: str) -> Run:
        folder = write_run(tmp_path)
        checkpoint = folder / "checkpoints" / "best.ckpt"
        content = torch.load(checkpoint, weights_only=True)
        content["covidnet"]["data"]["init_args"] |= {"lungs": "crop", "masks": masks}
        torch.save(content, checkpoint)
        return Run(folder)

    return write


@pytest.mark.parametrize("rule", ["box", "folder"])
def test_what_predicts_and_what_evaluates_cuts_as_the_training_did(cropped_run, tmp_path, monkeypatch, rule):
    masks = "box" if rule == "box" else str(tmp_path / "lungs")
    run = cropped_run(masks)
    root = masks_for(tmp_path / "xrays", tmp_path / "lungs") and tmp_path / "xrays"
    monkeypatch.setattr(seen, "lungs_found", lambda images, side: [LEFT > 0] * len(images))
    data = run.open_data()
    trained = data.images.gather(np.arange(len(data.images.paths)))
    predictor = Predictor(run.folder)
    alone = np.stack([predictor.decode(data.image_file(path)) for path in data.images.paths])
    np.testing.assert_array_equal(alone, trained)
    opened = open_pixels(root, data.images.paths, SIZE * OVERSIZE, "bilinear")
    for given in (None, masks):
        pixels = cut_to_lungs(data, root, opened, given)
        np.testing.assert_array_equal(pixels.gather(np.arange(len(pixels.paths))), trained)
    assert run.predictions is not None
    gallery = make_gallery(run, run.predictions, data)
    assert gallery.overall.area > 0.65  # of the crop, of which the lungs take more than of the image
    with pytest.raises(UserError, match="which an exported file cannot find"):
        export(predictor, tmp_path / "export", [])


def test_a_crop_goes_with_its_checkpoint_to_other_data(cropped_run):
    run = cropped_run("box")
    line = expand(["test", f"ckpt_path={run.checkpoint}", "data=nih"], {})
    assert recipe_layer(run.recipe, run.checkpoint, line)["data"]["lungs"] == "crop"


def test_masks_that_a_model_of_whole_images_has_no_use_for_are_refused(tmp_path):
    data = Run(write_run(tmp_path)).open_data()
    with pytest.raises(UserError, match="--masks=box is for a model whose images are cut"):
        cut_to_lungs(data, tmp_path, open_pixels(tmp_path / "xrays", data.folder.paths[:1], SIZE, "bilinear"), "box")


def test_an_image_without_lungs_is_not_predicted(cropped_run, tmp_path, monkeypatch):
    run = cropped_run(str(masks_for(tmp_path / "xrays", tmp_path / "lungs")))
    monkeypatch.setattr(seen, "lungs_found", lambda images, side: [LEFT > 255] * len(images))
    with pytest.raises(UnreadableImageError, match="shows no lungs that could be found"):
        Predictor(run.folder).predict(Image.new("L", (30, 30)))
