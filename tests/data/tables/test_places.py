"""What a table calls its images is found wherever it lies; where that is not clear, one sentence says so."""

import unicodedata

import pytest

from covidnet.data.tables.places import find_images
from covidnet.errors import UserError

COMPOSED, APART = (unicodedata.normalize(form, "Zoë.png") for form in ("NFC", "NFD"))


@pytest.fixture
def place(tmp_path):
    """Return what names in a table mean: names, paths -> path of each name, and what is missing."""

    def find(names, paths, folder="", create=()):
        root = tmp_path / "images"
        for path in (*create, *(f"images/{path}" for path in paths)):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
        (tmp_path / folder).mkdir(exist_ok=True, parents=True)
        return find_images(names, paths, {"": root}, [tmp_path / folder / "t.csv"], "data.root")

    return find


FOUND = {  # name in the table, path below the root
    "itself": ("a/x.png", "a/x.png"),
    "a bare name": ("x.png", "a/b/c/x.png"),
    "a bare name without its ending": ("x", "a/x.png"),
    "a path without its ending": ("a/x", "a/x.png"),
    "another ending": ("x.dcm", "a/x.png"),
    "points in a name": ("1.2.840.1", "a/1.2.840.1.dcm"),
    "another case": ("A/X.PNG", "a/x.png"),
    "accents apart in the table": (APART, COMPOSED),
    "accents apart on the disk": (COMPOSED, f"a/{APART}"),
    "slashes of Windows": (r"a\x.png", "a/x.png"),
    "a path of another Windows": (r"C:\Users\Zoë\data\a\x.png", "a/x.png"),
    "a path of another machine": ("/home/zoe/data/a/x.png", "a/x.png"),
    "a URL of a file": ("file:///C:/data/a/x.png", "a/x.png"),
    "a dot before": ("./a/x.png", "a/x.png"),
    "from a folder beside": ("../images/a/x.png", "a/x.png"),
    "the folder above, too": ("set/train/a/x.png", "train/a/x.png"),
    "the end of a path": ("a/x.png", "set/train/a/x.png"),
    "doubled slashes": ("a//x.png", "a/x.png"),
    "another folder, one file of the name": ("/elsewhere/b/x.png", "a/x.png"),
}


@pytest.mark.parametrize(("name", "path"), FOUND.values(), ids=FOUND)
def test_a_name_is_found(place, name, path):
    found = place([name, "other"], [path, "z/y.png"])
    assert (found.paths, found.missing) == ({name: path}, ["other"])


def test_a_path_may_begin_at_the_tables_own_folder(place, tmp_path):
    paths = ["lists/a/x.png", "x.png"]
    assert place(["a/x.png"], paths, "images/lists").paths == {"a/x.png": "lists/a/x.png"}
    assert place([f"{tmp_path}/images/x.png"], paths).paths == {f"{tmp_path}/images/x.png": "x.png"}


MISSING = {  # names, paths: nothing is found
    "another name": (["x.png"], ["y.png"]),
    "another folder, and two of the name in the table": (["a/x.png", "b/x.png"], ["c/x.png"]),
    "another folder, and two of the name on the disk": (["a/x.png"], ["b/x.png", "c/x.png"]),
    "half a name": (["x"], ["xx.png", "a.x.png"]),
    "no name": (["", ".", "/"], ["x.png"]),
    "an ending that is none": (["1.2"], ["1.2.3"]),
}


@pytest.mark.parametrize(("names", "paths"), MISSING.values(), ids=MISSING)
def test_what_does_not_fit_is_missing_and_never_another_image(place, names, paths):
    found = place(names, paths)
    assert (found.paths, found.missing) == ({}, [name for name in names if name])


def test_a_file_that_lies_elsewhere_is_not_one_of_the_same_end(place):
    assert place(["test/a/x.png"], ["a/x.png"], create=["test/a/x.png"]).missing == ["test/a/x.png"]


def test_a_name_too_long_for_the_system_may_end_as_an_image_does(place):
    name = f"../{'a' * 5000}/a/x.png"
    assert place([name], ["a/x.png"]).paths == {name: "a/x.png"}


def test_a_path_that_is_written_out_goes_before_one_that_ends_alike(place):
    names = ["images/a/x.png", "other/a/x.png"]
    found = place(names, ["a/x.png"])
    assert (found.paths, found.missing) == ({names[0]: "a/x.png"}, names[1:])


def test_one_image_may_be_called_by_its_path_and_by_its_name(place):
    names = ["images/a/x.png", "x.png", "x"]
    assert place(names, ["a/x.png", "b/y.png"]).paths == dict.fromkeys(names, "a/x.png")


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("x.png", ["a/x.png", "b/x.png"]),
        ("x", ["a/x.png", "a/x.jpg"]),
        ("a/x.png", ["p/a/x.png", "q/a/x.png"]),
        (COMPOSED, [f"a/{COMPOSED}", f"b/{APART}"]),
        ("X.png", ["a/x.png", "b/X.PNG"]),
    ],
    ids=["a name", "an ending", "a path", "accents", "case"],
)
def test_two_files_of_one_name_are_an_error_that_names_both(place, name, paths):
    with pytest.raises(UserError) as one:
        place([name], paths)
    assert all(path in str(one.value) for path in paths)
    assert "there are 2 such files" in str(one.value)
    assert "data.root" in str(one.value)


def test_the_spelling_of_the_table_decides_between_files_that_differ_in_case_alone(place):
    assert place(["x.png", "X.png"], ["x.png", "X.png"]).paths == {"x.png": "x.png", "X.png": "X.png"}


def test_two_names_that_may_be_one_image_are_an_error_that_names_both(place):
    with pytest.raises(UserError, match=r"names 'q/train/a/x.png' and 'q/val/a/x.png', each of which may be .*a/x.png"):
        place(["q/train/a/x.png", "q/val/a/x.png"], ["a/x.png"])


def test_a_path_below_the_root_goes_before_a_bare_name_in_a_folder(place):
    assert place(["x.png"], ["x.png", "small/x.png"]).paths == {"x.png": "x.png"}


def test_images_that_are_found_by_their_name_alone_are_counted(place):
    assert place(["p/x.png", "y.png"], ["a/x.png", "a/y.png"]).loose == 1
