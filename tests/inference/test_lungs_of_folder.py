"""Facts about covidnet lungs: masks for all images of a folder or for none, and the network that finds the lungs."""

import csv

import numpy as np
import pytest
from helpers import call, mistake, read_rows
from PIL import Image

import covidnet
from covidnet.commands import lungs
from covidnet.commands.main import main
from covidnet.data.mask_names import mask_names
from covidnet.data.phantom import draw_radiograph
from covidnet.errors import UserError
from covidnet.inference.lung_masks import dice, lung_masks
from covidnet.models.lung_network import WEIGHTS, lung_network


def drawn(count, size=96):
    pairs = [draw_radiograph(number % 3, np.random.SeedSequence(number), size) for number in range(count)]
    return np.stack([image for image, _ in pairs]), np.stack([mask for _, mask in pairs])


@pytest.fixture
def folder(tmp_path):
    """Radiographs at two depths, of two sizes."""
    root = tmp_path / "films"
    for name, size in (("a/x/one.jpg", (60, 80)), ("b/two.PNG", (96, 96)), ("b/masks/two.png", (96, 96))):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn(1)[0][0]).resize(size).save(root / name)
    return root


def files_of(folder):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_the_network_is_small():
    assert WEIGHTS.stat().st_size < 2e6
    assert 250_000 < sum(values.numel() for values in lung_network().parameters()) < 300_000


def test_it_finds_the_lungs_of_drawn_radiographs_and_knows_where_it_does_not():
    images, masks = drawn(12)
    images[0] = 0
    images[1] = np.random.default_rng(0).integers(0, 255, images[1].shape)
    found, quality = lung_masks(images)
    assert found.shape == masks.shape
    likeness = [dice(one, mask) for one, mask in zip(found[2:], masks[2:], strict=True)]
    assert np.mean(likeness) > 0.7  # their masks leave the heart out
    assert (quality[0], found[0].any()) == (0, False)
    assert quality[1] < quality[2:].min()


def test_what_is_said_of_an_image_hangs_neither_on_the_others_nor_on_its_exposure():
    images, _ = drawn(3)
    found, quality = lung_masks(images)
    alone, own = lung_masks(images[1:2] // 2)
    assert dice(alone[0], found[1]) > 0.99
    assert own[0] == pytest.approx(quality[1], abs=0.02)
    assert [len(part) for part in lung_masks(images[:0])] == [0, 0]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/x.jpg", "b/x.png"], ["a/x.png", "b/x.png"]),
        (["a/x.jpg", "a/x.png"], ["a/x.jpg.png", "a/x.png.png"]),
        (["a/x.jpg", "a/X.png", "b/y.dcm"], ["a/x.jpg.png", "a/X.png.png", "b/y.dcm.png"]),  # one name to some disks
        (["1.2.840.1", "1.2.840.2"], ["1.2.840.1.png", "1.2.840.2.png"]),  # DICOM files that have no ending
        (["x.y.jpeg"], ["x.y.png"]),
        (["Lungs.jpg", "x/lungs.jpg"], ["Lungs.jpg.png", "x/lungs.jpg.png"]),  # the contact sheet is lungs.png
        (["x.jpg", "x.png/y.jpg"], ["x.jpg.png", "x.png/y.jpg.png"]),  # a folder
        (["x.jpg", "x.jpg.png"], ["x.jpg.png", "x.jpg.png.png"]),  # the short name of one is the whole of the other
    ],
)
def test_no_two_images_have_one_mask(paths, names):
    assert mask_names(paths, taken=["lungs.png"]) == names
    with pytest.raises(UserError, match=r"The mask of Lungs would be called Lungs\.png"):
        mask_names([*paths, "Lungs"], taken=["lungs.png"])


def test_each_image_has_its_mask_a_row_and_its_place_on_the_sheet(folder, tmp_path, capsys):
    out = tmp_path / "out"
    call(lungs, folder, "--out", out)
    (out / "b" / ".DS_Store").touch()  # as whoever looks at them in a Mac's Finder leaves
    told = covidnet.lungs(str(folder), str(out))  # what was written so may be replaced
    assert files_of(out) == ["a/x/one.png", "b/two.png", "lungs.csv", "lungs.png"]
    assert "2 masks" in capsys.readouterr().out
    mask = np.asarray(Image.open(out / "a/x/one.png"))
    assert (mask.shape, set(np.unique(mask))) == ((80, 60), {0, 255})
    rows = read_rows(out / "lungs.csv")
    assert [(row["path"], row["mask"]) for row in rows] == [("a/x/one.jpg", "a/x/one.png"), ("b/two.PNG", "b/two.png")]
    assert all(0 < float(row["quality"]) <= 1 for row in rows)
    assert [(row["path"], row["mask"], float(row["quality"])) for row in rows] == [
        (one.path, one.mask, pytest.approx(one.quality, abs=0.001)) for one in told
    ]
    height, width, _ = np.asarray(Image.open(out / "lungs.png")).shape
    assert width > height > 96
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_one_image_that_cannot_be_read_is_named_and_earlier_masks_stay(folder, tmp_path):
    out = tmp_path / "out"
    call(lungs, folder, "--out", out)
    before = {name: (out / name).read_bytes() for name in files_of(out)}
    (folder / "a" / "cut.png").write_bytes((folder / "b" / "two.PNG").read_bytes()[:300])
    for place in (out, tmp_path / "new"):
        with pytest.raises(UserError, match=r"1 images below .*(\n.*)*a/cut.png is a damaged PNG"):
            call(lungs, folder, "--out", place)
    assert {name: (out / name).read_bytes() for name in files_of(out)} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["films", "out"]


def test_a_folder_that_holds_anything_else_is_refused(folder, tmp_path, capsys, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    for place, told in (
        (tmp_path / "out", "holds notes.txt"),
        (folder / "lungs", "would be taken for images"),
        (tmp_path, "holds the images"),
        (folder / "b" / "two.PNG", "is a file"),
        (".", "in which the command runs"),
        ("", "'' is no folder or file of this machine"),
        ("s3://bucket/masks", "is no folder or file of this machine"),
        ("~no user of this name/masks", "names the home of a user who is not here"),
    ):
        assert told in mistake(lambda place=place: main(["lungs", str(folder), "--out", str(place)]), capsys)
    call(lungs, folder, "--out", folder / "masks")  # where no image is looked for
    assert "masks/a/x/one.png" in files_of(folder)
    with pytest.raises(UserError, match=r"holds no images \(.*notes\.txt is no image"):
        call(lungs, tmp_path / "out", "--out", tmp_path / "new")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="masks must not be written"):
        call(lungs, folder, "--out", folder / "masks")


def test_real_lungs_are_found(real_data):
    table = real_data / "lung_masks" / "metadata.csv"
    with table.open(encoding="utf-8", errors="replace", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["convention"] == "lungs_with_region_behind_heart"][::20]
    images, masks = (
        np.stack([np.asarray(Image.open(table.parent / row[kind]).convert("L")) for row in rows])
        for kind in ("image", "mask")
    )
    found, _ = lung_masks(images)
    assert np.mean([dice(one, mask > 127) for one, mask in zip(found, masks, strict=True)]) > 0.9
