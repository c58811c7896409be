"""Folders named like splits: which images they give, on which side, and what is told of the rest."""

import pytest
from test_folder import lay

from covidnet.data.layouts import Layout
from covidnet.data.walk import side_of
from covidnet.errors import UserError

KERMANY = [
    f"{split}/{name}/{n}.jpeg" for split in ("test", "train", "val") for name in ("NORMAL", "PNEUMONIA") for n in (1, 2)
]


def listed(root, classes=None, **options):
    return Layout(**options).listing(root, classes, "data.root")


def sides(root):
    return listed(root).known.sides


@pytest.mark.parametrize(
    ("side", "names"),
    [
        (
            "train",
            ["train", "Train", "TRAINING", "training_set", "train-data", "trainset", "1_train", "split_train_images"],
        ),
        ("val", ["val", "valid", "Validation", "val_set", "dev", "validation set"]),
        ("test", ["test", "Testing", "test_set", "TEST", "test_images"]),
        (None, ["trainer", "values", "train_sick", "device", "tested", "attest", "NORMAL", "dataset", ""]),
    ],
)
def test_usual_spellings_of_splits_are_known(side, names):
    assert {side_of(name) for name in names} == {side}


def test_split_folders_at_the_root_give_sides_and_the_training_classes(tmp_path):
    listing = listed(lay(tmp_path, *KERMANY))
    assert (listing.classes, listing.paths) == (["NORMAL", "PNEUMONIA"], KERMANY)
    assert listing.known.sides == {path: path.split("/")[0] for path in KERMANY}
    assert listing.class_counts == {"NORMAL": 6, "PNEUMONIA": 6}
    assert (listing.root / listing.paths[0]).is_file()


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("training_set", "test_set"), ("TRAINING", "Testing")])
def test_the_spelling_of_the_folders_stays_in_the_paths(tmp_path, train, test):
    lay(tmp_path, *[f"{split}/{name}/1.png" for split in (train, test) for name in "AB"])
    assert sides(tmp_path) == {f"{train}/A/1.png": "train", f"{train}/B/1.png": "train"} | {
        f"{test}/A/1.png": "test", f"{test}/B/1.png": "test"
    }  # fmt: skip


def test_junk_and_a_copy_of_it_all_beside_the_split_change_nothing_and_are_told(tmp_path):
    junk = ["__MACOSX/chest_xray/train/NORMAL/._1.jpeg", ".DS_Store", "train/.DS_Store", "val/NORMAL/Thumbs.db"]
    lay(tmp_path, *KERMANY, *junk, *(f"chest_xray/{path}" for path in KERMANY))
    lay(tmp_path, "single_prediction/1.png", "loose.png")
    listing = listed(tmp_path)
    assert listing.paths == KERMANY
    assert listing.ignored == [
        ("chest_xray", "holds split folders again, such as a copy of these, and is not read"),
        ("single_prediction", "lies beside the split folders, which alone are read"),
        ("loose.png", "lies beside the split folders, in no class"),
    ]


def test_a_class_that_only_the_test_has_is_told_and_left_out(tmp_path):
    listing = listed(lay(tmp_path, *KERMANY, "test/COVID/1.png", "test/COVID/2.png"))
    assert listing.paths == KERMANY
    told = f"{tmp_path / 'test'} has the class 'COVID', which the training images lack: its 2 images are left out."
    assert listing.known.told == [told]


def test_a_class_in_another_spelling_is_the_same_class(tmp_path):
    listing = listed(lay(tmp_path, "train/Viral Pneumonia/1.png", "train/b/1.png", "test/VIRAL_PNEUMONIA/2.png"))
    assert dict(zip(listing.paths, listing.targets, strict=True))["test/VIRAL_PNEUMONIA/2.png"] == 0
    assert listing.known.told == []


def test_a_test_without_labels_is_told(tmp_path):
    listing = listed(lay(tmp_path, "train/A/1.png", "train/B/1.png", "test/1.png", "test/2.png"))
    assert set(listing.known.sides.values()) == {"train"}
    assert listing.known.told == [
        f"{tmp_path / 'test'} holds 2 images in no class folder: they have no label and are left out."
    ]


def test_classes_that_are_wanted_choose_and_order_those_of_all_splits(tmp_path):
    listing = listed(lay(tmp_path, *KERMANY, *(path.replace("NORMAL", "C") for path in KERMANY)), ["PNEUMONIA", "C"])
    assert listing.class_counts == {"PNEUMONIA": 6, "C": 6}
    assert listing.known.told == []
    with pytest.raises(UserError, match=r"train holds .* but data\.classes names \['NORMAL', 'x'\]"):
        listed(tmp_path, ["NORMAL", "x"])


def test_classes_that_are_folders_of_the_root_go_before_its_split_folders(tmp_path):
    listing = listed(lay(tmp_path, "A/1.png", "B/1.png", "train/C/1.png", "test/C/1.png"), ["B", "A"])
    assert listing.class_counts == {"B": 1, "A": 1}


def test_split_folders_inside_every_class_give_sides(tmp_path):
    paths = [f"{name}/{split}/{n}.png" for name in "AB" for split in ("test", "train", "valid") for n in (1, 2)]
    listing = listed(lay(tmp_path, *paths, "docs/readme.txt"))
    assert listing.paths == paths
    assert listing.known.sides["A/valid/1.png"] == "val"
    assert {path.split("/")[1] for path, side in listing.known.sides.items() if side == "test"} == {"test"}


def test_split_folders_inside_some_classes_are_not_read_and_are_told(tmp_path):
    lay(tmp_path, "A/train/1.png", "A/test/1.png", "A/1.png", "B/1.png")
    listing = listed(tmp_path)
    assert listing.paths == ["A/1.png", "B/1.png"]
    assert [path for path, _ in listing.ignored] == ["A/test", "A/train"]
    assert listing.known.sides == {}


def test_an_image_beside_the_split_folders_of_its_class_is_on_no_side(tmp_path):
    lay(tmp_path, *[f"{name}/{split}/1.png" for name in "AB" for split in ("train", "test")], "A/2.png")
    listing = listed(tmp_path)
    assert "A/2.png" in listing.paths
    assert "A/2.png" not in listing.known.sides
