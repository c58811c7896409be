"""Lists of names give the split: exactly, or one sentence says why not."""

import pytest

from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError

NAMES = [f"{name}{number}" for name in "AB" for number in range(4)]  # four images a class


@pytest.fixture
def lists(tmp_path):
    """Return the listing of two classes under lists: name -> text or bytes."""
    for name in NAMES:
        (tmp_path / "x" / name[0]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name[0] / f"{name}.png").touch()

    def listed(**texts):
        given = {}
        for side, text in texts.items():
            given[side] = str(tmp_path / f"{side}_list.txt")
            (tmp_path / f"{side}_list.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        return Radiographs(root=str(tmp_path / "x"), split_lists=given).folder.known

    return listed


SPELT = {  # each is the list of A0, A1, B0
    "names": "A0.png\nA1.png\nB0.png\n",
    "paths": "A/A0.png\nA/A1.png\nB/B0.png",
    "no endings": "A0\nA1\nB0",
    "Windows": "x\\A\\A0.png\r\nx\\A\\A1.png\r\nx\\B\\B0.png\r\n",
    "of another machine": "/data/all/A/A0.png\n/data/all/A/A1.png\n/data/all/B/B0.png\n",
    "blank lines and spaces": "\n  A0.png \n\nA1.png\t\n\n\nB0.png\n\n",
    "a name twice": "A0.png\nA1.png\nB0.png\nA0.png\n",
    "quotes and commas": '"A0.png"\n"A1.png",\nB0.png,\n',
    "a mark": b"\xef\xbb\xbfA0.png\nA1.png\nB0.png\n",
    "UTF-16": "A0.png\r\nA1.png\r\nB0.png\r\n".encode("utf-16"),
    "old Macintosh": "A0.png\rA1.png\rB0.png",
}


@pytest.mark.parametrize("text", SPELT.values(), ids=SPELT)
def test_a_list_is_read_in_any_spelling(lists, text):
    assert lists(test=text).sides == dict.fromkeys(["A/A0.png", "A/A1.png", "B/B0.png"], "test")


def test_lists_give_sides_and_no_other_image_has_one(lists):
    known = lists(training="A0\nA1\nB0\nB1\n", valid="A2\nB2\n", test="A3\n")
    assert known.sides == {
        **dict.fromkeys(["A/A0.png", "A/A1.png", "B/B0.png", "B/B1.png"], "train"),
        **dict.fromkeys(["A/A2.png", "B/B2.png"], "val"),
        "A/A3.png": "test",
    }


def test_names_of_no_image_are_counted_and_named(lists):
    [warned] = lists(train="A0\nfilename\nA9.png\n", test="B0\nB8.png\nA9x.png\n").warned
    assert warned.startswith("4 of the 6 names in train_list.txt and test_list.txt are of no image below ")
    assert "'filename', 'A9.png', 'B8.png' and 1 more. And 6 of the 8 images there are in no list." in warned


def test_a_folder_in_a_list_stands_for_its_images(lists):
    assert lists(test="A\nB0.png").sides == dict.fromkeys([*(f"A/A{n}.png" for n in range(4)), "B/B0.png"], "test")


WRONG = {
    "two lists": (
        {"train": "A0.png\nB0.png", "test": "B0.png"},
        r"B/B0\.png stands in .*train_list\.txt \(train\) and in .*test_list\.txt \(test\)",
    ),
    "two spellings in two lists": (
        {"train": "A0.png\nB0.png", "test": "B/B0"},
        r"B/B0\.png stands in .* Take it out of one",
    ),
    "a name of nothing in two": (
        {"train": "A0\nq.png", "test": "B0\nq.png"},
        r"q\.png stands in .*train_list.* and in .*test_list",
    ),
    "no name of an image": (
        {"test": "a,b\nq.png,1\n"},
        r"None of the 2 lines of .*test_list\.txt, such as 'a,b', is the name of an image",
    ),
    "nothing": ({"test": ""}, r"None of the 0 lines of .*test_list\.txt is the name of an image"),
    "no text": ({"test": b"\xff\x00\x81\x00\x00"}, r"test_list\.txt cannot be read as a list of names: it is no text"),
    "no side": ({"holdout": "A0"}, r"data\.split_lists names 'holdout', but a side of the split is train, val or test"),
}


@pytest.mark.parametrize(("texts", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_list_is_one_sentence(lists, texts, message):
    with pytest.raises(UserError, match=message) as one:
        lists(**texts)
    assert "\n" not in str(one.value)


def test_lists_go_before_split_folders_and_are_not_read_where_a_split_is_drawn(tmp_path):
    for side in ("train", "test"):
        for name in "AB":
            (tmp_path / side / name).mkdir(parents=True)
            for number in range(2):
                (tmp_path / side / name / f"{side}{name}{number}.png").touch()
    (tmp_path / "t.txt").write_text("trainA0.png\n")
    known = Radiographs(root=str(tmp_path), split_lists={"test": str(tmp_path / "t.txt")}).folder.known
    assert known.sides == {"train/A/trainA0.png": "test"}
    assert "data.split_lists tells the split; what folders or a column tell of it does not count." in known.told
    drawn = Radiographs(root=str(tmp_path), split_lists={"test": "nowhere.txt"}, use_split=False)
    assert not drawn.sides
    with pytest.raises(UserError, match=r"data\.split_lists=.* must be left out where data\.roots names folders"):
        Radiographs(roots={"a": str(tmp_path)}, split_lists={"test": "t.txt"})
