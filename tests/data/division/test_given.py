"""A split that the data give is followed as it is; what it lacks is drawn, no patient on two sides."""

from collections import Counter

import numpy as np
import pytest

from covidnet.data.division.division import Division
from covidnet.data.division.metadata import Metadata
from covidnet.errors import UserError

CLASSES = ["A", "B"]
PATHS = [f"{side}/{name}/{n:02}.png" for side in ("test", "train", "val") for name in CLASSES for n in range(20)]
LABELS = [CLASSES.index(path.split("/")[1]) for path in PATHS]
SIDES = {path: path.split("/")[0] for path in PATHS}


def division(sides, *, patients=None, use_val=False, test_per_class=3, keep=lambda path: True):
    paths = [path for path in PATHS if keep(path)]
    return Division(
        paths=paths,
        labels=[LABELS[PATHS.index(path)] for path in paths],
        classes=CLASSES,
        pairs=np.empty((0, 2), dtype=np.int64),
        table=Metadata("t.csv", {path: {"patient": name} for path, name in (patients or {}).items()}),
        sides=sides,
        use_val=use_val,
        tested_apart=False,
        seed=28,
        val_fraction=0.25,
        test_per_class=test_per_class,
    )


def by_side(divided):
    return {name: {divided.paths[n] for n in numbers} for name, numbers in divided.draw().items()}


def test_given_sides_are_followed_exactly():
    assert by_side(division(SIDES)) == {
        side: {path for path in PATHS if path.startswith(side)} for side in ("train", "val", "test")
    }


def few(path):
    return not path.startswith("val") or path.endswith(("00.png", "01.png"))


def test_a_validation_split_too_small_to_judge_by_is_drawn_anew():
    divided = division(SIDES, keep=few)
    split = by_side(divided)
    assert {path for path in split["test"]} == {path for path in PATHS if path.startswith("test")}
    assert Counter(path.split("/")[1] for path in split["val"]) == {"A": 6, "B": 6}  # of 22 each, a quarter
    assert "The 4 images given for validation are too few" in "\n".join(divided.told(divided.draw(), listed=84))


def test_it_is_taken_as_it_is_where_the_user_insists():
    divided = division(SIDES, keep=few, use_val=True)
    assert by_side(divided)["val"] == {path for path in PATHS if path.startswith("val") and few(path)}


def test_a_test_that_is_not_given_is_drawn_from_training():
    sides = {path: "val" if path.startswith("val") else "train" for path in PATHS}
    split = by_side(division(sides))
    assert {path for path in split["val"]} == {path for path in PATHS if path.startswith("val")}
    assert Counter(path.split("/")[1] for path in split["test"]) == {"A": 3, "B": 3}


def test_what_is_drawn_shares_no_patient_with_a_given_side():
    names = {path: path[-6:] for path in PATHS}  # patient n has images on every side, and of each class
    sides = {path: "val" if path.startswith("val") and path.endswith("0.png") else "train" for path in PATHS}
    divided = division(sides, patients=names, use_val=True)
    split = divided.draw()
    drawn = {divided.patients[n] for n in split.test}
    assert not drawn & {divided.patients[n] for n in split.train + split.val}


def test_patients_on_two_given_sides_are_told_with_their_number():
    shared = {"train/A/00.png": "p", "test/A/00.png": "p", "train/B/01.png": "q", "test/B/02.png": "q"}
    divided = division(SIDES, patients=shared)
    told = divided.astride_told(divided.draw())
    assert told is not None
    assert told.startswith("2 patients or groups of copies have images on two sides")
    assert "2 test images among them (such as test/A/00.png" in told


def test_none_on_two_sides_is_no_news():
    divided = division(SIDES)
    assert divided.astride_told(divided.draw()) is None


def test_an_image_without_a_side_trains_and_is_told():
    sides = {path: side for path, side in SIDES.items() if not path.startswith("train/A/1")}
    divided = division(sides)
    assert by_side(divided)["train"] == {path for path in PATHS if path.startswith("train")}
    assert "10 images are on no side of it and train." in divided.told(divided.draw(), listed=120)


def test_a_class_that_the_given_split_never_trains_is_an_error():
    sides = {path: "test" if path.split("/")[1] == "B" and side == "train" else side for path, side in SIDES.items()}
    with pytest.raises(UserError, match=r"no training images of \['B'\]"):
        division(sides).draw()
