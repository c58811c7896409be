"""Several tables are one: their rows stand under all columns, and those of one image are joined."""

import pytest

from covidnet.data.given_files import by_side, find_given
from covidnet.data.radiographs import Radiographs
from covidnet.data.tables.keys import table_keys
from covidnet.data.tables.listing import TableListing
from covidnet.errors import UserError


@pytest.fixture
def listed(tmp_path):
    """Return the listing of six images by tables: name -> text, or (side, text); and keys."""

    def listing(tables, *, images=tuple(f"a/{n}.png" for n in range(6)), header=None, suffix=None, **keys):
        files = {}
        for name, given in tables.items():
            side, text = given if isinstance(given, tuple) else ("", given)
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
            files[tmp_path / name] = side
        for path in images:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
        options = [keys.get("columns"), keys.get("labels"), None, "unknown", keys.get("disagree", "skip")]
        read = table_keys("t", *options, header, suffix)
        return TableListing({"": tmp_path}, files, read, keys.get("classes"), "data.root")

    return listing


def labels_of(listing) -> dict[str, str]:
    return {path[2:-4]: listing.classes[target] for path, target in zip(listing.paths, listing.targets, strict=True)}


def test_tables_of_like_rows_are_one_and_their_names_may_be_their_side(listed):
    found = listed({
        "train.csv": ("train", "path,label,rad\n0.png,A,1\n1.png,B,2\n"),
        "valid.csv": ("val", "rad,label,path,split\n7,B,a/2.png,test\n8,A,a/3.png,test\n"),
    })  # fmt: skip
    assert labels_of(found) == {"0": "A", "1": "B", "2": "B", "3": "A"}
    assert found.known.sides == {"a/0.png": "train", "a/1.png": "train", "a/2.png": "val", "a/3.png": "val"}
    assert [row["rad"] for row in found.known.rows.values()] == ["1", "2", "7", "8"]


def test_tables_of_other_columns_are_joined_by_image(listed):
    found = listed(
        {
            "labels.csv": "patientId,x,Target\n0,1,1\n0,2,1\n1,,0\n2,,0\n",
            "info.csv": "file,class,PatientSex\na/0.png,Opacity,M\na/0.png,Opacity,M\n1.png,Normal,F\n4.png,Normal,F\n",
        },
        columns={"path": "patientId", "label": "class"},
    )
    assert labels_of(found) == {"0": "Opacity", "1": "Normal", "4": "Normal"}
    row = {"sex": "M", "x": "", "Target": "1", "class": "Opacity"}
    assert found.known.rows["a/0.png"] == row
    assert "1 with no label" in found.known.told[-1]


def test_findings_of_two_tables_are_those_of_one_image(listed):
    tables = {"a.csv": "path,Normal\n0.png,0\n1.png,1\n", "b.csv": "path,Ill\n0.png,1\n1.png,0\n2.png,1\n"}
    assert labels_of(listed(tables)) == {"0": "Ill", "1": "Normal", "2": "Ill"}


CONTRADICTED = {  # two tables, the reason why image 0 is left out, what is known of it else
    "labels": ("path,label\n0.png,A\n1.png,B\n", "path,label\n0.png,B\n2.png,A\n", "1 with rows that disagree"),
    "patients": (
        "path,label,patient\n0.png,A,1\n1.png,B,1\n2.png,A,\n",
        "path,patient\n0.png,2\n1.png,1\n2.png,3\n",
        "1 with rows of two patients",
    ),
    "a label in one row of two": (
        "path,label\n0.png,A\n1.png,B\n2.png,A\n",
        "path,label\n0.png,A\n0.png,B\n",
        "1 with rows that disagree",
    ),
}


@pytest.mark.parametrize(("first", "second", "says"), CONTRADICTED.values(), ids=CONTRADICTED)
def test_tables_that_contradict_each_other_leave_the_image_out(listed, first, second, says):
    found = listed({"a.csv": first, "b.csv": second})
    assert says in found.known.told[-1]
    assert labels_of(found) == {"1": "B", "2": "A"}


def test_an_image_of_two_sides_is_left_out_and_one_table_may_repeat_another(listed):
    rows = "path,label\n0.png,A\n1.png,B\n2.png,A\n"
    assert (
        "1 with rows of two splits" in listed({"a.csv": ("train", rows), "b.csv": ("test", rows[:19])}).known.told[-1]
    )
    assert labels_of(listed({"a.csv": rows, "b.csv": rows})) == {"0": "A", "1": "B", "2": "A"}


def test_descriptions_that_differ_are_unknown_and_leave_no_image_out(listed):
    found = listed({"a.csv": "path,label,age\n0.png,A,50\n1.png,B,60\n", "b.csv": "path,age\n0.png,051Y\n"})
    assert [row["age"] for row in found.known.rows.values()] == ["", "60"]


def test_each_reader_has_one_vote_whatever_else_is_joined(listed):
    votes = "path,rad,label\n0.png,1,A\n0.png,2,A\n0.png,3,B\n1.png,1,B\n"
    boxes = "path,box,patient\n" + "".join(f"0.png,{n},7\n" for n in range(5))
    found = listed({"votes.csv": votes, "boxes.csv": boxes}, disagree="most")
    assert labels_of(found) == {"0": "A", "1": "B"}
    assert found.known.rows["a/0.png"]["patient"] == "7"


def test_a_path_of_one_table_is_not_the_file_of_another_one(listed):
    """``train/0.png`` is not there; ``test/0.png``, which ends alike, is that of the other table."""
    tables = {
        "p/train.csv": ("train", "path,label\ntrain/0.png,A\ntrain/1.png,A\n"),
        "p/test.csv": ("test", "path,label\ntest/0.png,B\n"),
    }
    found = listed(tables, images=("z/test/0.png", "z/train/1.png"))
    assert found.found.missing == ["train/0.png"]
    assert found.known.sides == {"z/test/0.png": "test", "z/train/1.png": "train"}


def test_rows_without_a_header_are_read_under_the_names_that_are_given(listed):
    text = '  7 a/0.png  positive cohen\n8 1.png negative rsna \n\n9 "2.png" positive   cohen\r\n'
    found = listed({"train.txt": text}, header=["patient", "path", "label", "source"])
    assert labels_of(found) == {"0": "positive", "1": "negative", "2": "positive"}
    assert found.known.rows["a/1.png"] == {"patient": "8", "source": "rsna", "label": "negative"}
    assert "with spaces between its cells" in found.known.told[0]
    commas = listed({"train.csv": "0.png,A\n1.png,B\n"}, header=["path", "label"])
    assert labels_of(commas) == {"0": "A", "1": "B"}


def test_a_row_may_name_a_folder_of_images_that_belong_together(listed):
    images = ("train/s1/x/0.png", "train/s1/y/1.png", "train/s2/2.png", "train/s2/3.png", "test/s3/4.png")
    rows = "id,label\ns1_study,A\ntrain/s2_study,B\ns9_study,A\ns2/3_study,A\n"
    found = listed({"t.csv": rows}, images=images, suffix="_study")
    assert found.paths == ["train/s1/x/0.png", "train/s1/y/1.png", "train/s2/2.png", "train/s2/3.png"]
    assert [found.classes[target] for target in found.targets] == ["A", "A", "B", "A"]
    assert [row.get("group", "") for row in found.known.rows.values()] == ["s1", "s1", "train/s2", ""]
    assert "2 of its names are folders: they hold 3 images." in found.known.told
    [warned] = found.known.warned
    assert "1 of the 4 images that" in warned


WRONG = {
    "no header": ({"t.txt": "7 0.png A x\n8 1.png B x\n"}, {}, r"first line is a row like the others.*data\.header="),
    "too few cells": (
        {"t.txt": "0.png A\n"},
        {"header": ["patient", "path", "label"]},
        r"header names 3 columns.*have 2 cells",
    ),
    "too many cells": ({"t.txt": "0.png A\nx 1.png B\n"}, {"header": ["path", "label"]}, r"row 2 \(x\) has 3 cells"),
    "a header with a name twice": ({"t.txt": "0.png A\n"}, {"header": ["path", "path"]}, "must name each column"),
    "no suffix": ({"t.csv": "id,label\n0,A\n1,B\n"}, {"suffix": "_study"}, r"no cell of the column 'id' .*'0'"),
    "no path in the second": (
        {"a.csv": "path,label\n0.png,A\n", "b.csv": "who,label\n0.png,A\n"},
        {},
        r"b\.csv has the columns \['who', 'label'\]",
    ),
    "a column of none": (
        {"a.csv": "path,label\n0.png,A\n", "b.csv": "path,x\n0.png,A\n"},
        {"columns": {"label": "y"}},
        r"a\.csv has no column 'y'",
    ),
    "folders of one name": (
        {"t.csv": "path,label\ns,A\n"},
        {"images": ("a/s/0.png", "b/s/1.png")},
        "there are 2 such folders: a/s and b/s",
    ),
}


@pytest.mark.parametrize(("tables", "keys", "message"), WRONG.values(), ids=WRONG)
def test_wrong_tables_are_one_sentence(listed, tables, keys, message):
    with pytest.raises(UserError, match=message) as one:
        listed(tables, **keys)
    assert "\n" not in str(one.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"trian": "a.csv"}, r"data\.table names 'trian', but a side .* Did you mean 'train'\?"),
        (["a.csv", "a.csv"], r"data\.table names 'a\.csv' twice"),
        ({"train": ["a.csv"], "Testing": "a.csv"}, r"data\.table names 'a\.csv' twice"),
        ({"": "a.csv"}, r"data\.table names '', but a side of the split is train, val or test"),
        ([], r"data\.table=\[\] names no file"),
        ([""], r"data\.table names no file"),
    ],
)
def test_wrong_names_of_tables_are_told(given, says):
    with pytest.raises(UserError, match=says):
        by_side(given, "data.table")


def test_a_table_of_the_root_is_found_in_it_or_below_it(tmp_path):
    (tmp_path / "deep" / "annotations").mkdir(parents=True)
    for name in ("annotations/a.csv", "b.csv"):
        (tmp_path / "deep" / name).touch()
    (tmp_path / "b.csv").touch()
    assert find_given("<root>/annotations/a.csv", tmp_path, None, "data.table").parent.name == "annotations"
    assert find_given("<root>/b*.csv", tmp_path, None, "data.table") == tmp_path / "b.csv"
    with pytest.raises(UserError, match=r"data\.table=<root>/c\.csv must be one file in .*, but there is none"):
        find_given("<root>/c.csv", tmp_path, None, "data.table")


def test_tables_of_two_folders_want_a_root(tmp_path):
    with pytest.raises(UserError, match=r"data\.root is missing: data\.table does not say"):
        Radiographs(table=[str(tmp_path / "a" / "a.csv"), str(tmp_path / "b" / "b.csv")])
    assert Radiographs(table=["x/a.csv", "x/b.csv"]).given_root == "x"
