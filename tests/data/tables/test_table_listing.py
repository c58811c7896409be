"""A table and a folder give a listing: classes, rows, sides, and a sentence for whatever is left out."""

from pathlib import Path

import pytest

from covidnet.data.listing import Labelled, without_names
from covidnet.data.radiographs import Radiographs
from covidnet.data.tables.keys import table_keys
from covidnet.data.tables.listing import TableListing
from covidnet.errors import UserError

HEAD = "Image Index,Finding Labels,Patient ID,View Position,Patient Age,Note\n"


@pytest.fixture
def nih(tmp_path):
    """A folder of images in two folders, and what lists it by a table's text."""
    root = tmp_path / "nih"
    for number in range(6):
        lay(root, f"images_{number % 2}/images/{number}.png")

    def listing(
        rows, *, head=HEAD, classes=None, key="data.root", columns=None, labels=None, **options
    ) -> TableListing:
        file = root / "labels.csv"
        file.write_text(head + rows)
        keys = table_keys(str(file), columns, labels, None, options.pop("uncertain", "unknown"), **how(options))
        return TableListing({"": root}, {file: ""}, keys, classes, key)

    return listing


def how(options):
    return {"disagree": options.pop("disagree", "skip"), **options}


def lay(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


ROWS = "0.png,A,7,PA,50,x\n1.png,B,8,AP,60,\n2.png,A,,PA,nan,y\n3.png,B,unknown,AP,70,z\n"


def test_a_table_is_a_listing(nih):
    listing: Labelled = nih(ROWS)
    assert listing.classes == ["A", "B"]
    assert listing.paths == [f"images_{n % 2}/images/{n}.png" for n in (0, 2, 1, 3)]
    assert listing.targets == [0, 0, 1, 1]
    assert listing.class_counts == {"A": 2, "B": 2}


def test_what_a_table_tells_is_kept_by_image_and_what_it_does_not_know_is_empty(nih):
    rows = nih(ROWS).known.rows
    first = {"patient": "7", "view": "PA", "age": "50", "Note": "x", "Finding Labels": "A"}
    assert rows["images_0/images/0.png"] == first
    assert [rows[path]["patient"] for path in sorted(rows)] == ["7", "", "8", ""]
    assert rows["images_0/images/2.png"]["age"] == ""


def test_what_was_guessed_is_told_in_one_line(nih):
    [told] = nih(ROWS + "4.png,A,9,PA,1,\n5.png,B,9,PA,1,\n").known.told
    assert told.partition(": ")[2] == (
        "path is 'Image Index', label is 'Finding Labels', patient is 'Patient ID', view is 'View Position', "
        "age is 'Patient Age' (data.columns changes what a column is)."
    )


def test_columns_that_are_called_as_we_call_them_are_no_guess(nih):
    assert nih("0.png,A,7\n1.png,B,8\n", head="path,label,patient\n").known.told == []


def test_a_table_without_patients_is_told(nih):
    [told] = nih("0.png,A\n1.png,B\n", head="path,label\n").known.told
    assert told.endswith("labels.csv says of which patient an image is (data.columns={patient: COLUMN}).")


def test_rows_without_a_file_and_files_without_a_row_are_counted_and_named(nih):
    listing = nih(ROWS + "8.png,A,7,PA,1,\n9.png,B,9,PA,1,\n")
    [warned] = listing.known.warned
    assert "2 of the 6 images that" in warned
    assert ": '8.png', '9.png'. So 1 of its 3 patients have no image. And 2 of the 6 images there are in no" in warned
    assert without_names(warned) == warned.replace(": '8.png', '9.png'.", ".")  # as a report has it
    assert [path for path, reason in listing.ignored if reason == "is in no row of labels.csv"] == [
        "images_0/images/4.png",
        "images_1/images/5.png",
    ]


def test_the_table_itself_is_no_file_that_is_left_out(nih, tmp_path):
    lay(tmp_path / "nih", "README.md")
    left_out = [path for path, _ in nih(ROWS).ignored]
    assert "README.md" in left_out
    assert "labels.csv" not in left_out


def test_images_of_no_class_are_counted_with_the_reason(nih):
    rows = "0.png,A,1\n1.png,B,2\n2.png,A|B,3\n3.png,C|D,4\n4.png,,5\n5.png,C,6\n"
    listing = nih(rows, head="path,label,patient\n", classes=["A", "B"])
    assert listing.known.told == [
        "2 of the 6 images that are there are of one class; left out: 2 with none of the labels, 1 with labels of "
        "several classes, 1 with no label (others are in rows: C 2, D 1)."
    ]


def test_equal_rows_are_one_and_others_are_left_out_or_joined(nih):
    rows = "0.png,A,1,10\n0.png,A,1,20\n1.png,B,2,\n2.png,A,3,\n2.png,B,3,\n3.png,A,4,\n3.png,A,5,\n4.png,B,6,\n"
    head = "path,label,patient,x\n"
    listing = nih(rows, head=head)
    assert [path[-5:] for path in listing.paths] == ["0.png", "4.png", "1.png"]
    assert "1 with rows that disagree, 1 with rows of two patients (data.disagree joins them)" in listing.known.told[0]
    assert listing.known.rows["images_0/images/0.png"]["x"] == ""
    joined = nih(rows, head=head, labels={"A": "A", "B": "B"}, disagree="any")
    assert "1 with labels of several classes, 1 with rows of two patients" in joined.known.told[0]


def test_a_split_column_gives_the_sides(nih):
    listing = nih("0.png,A,Training\n1.png,B,VALID\n2.png,A,test\n3.png,B,\n", head="path,label,split\n")
    assert {path[-5:]: side for path, side in listing.known.sides.items()} == {
        **{"0.png": "train", "1.png": "val", "2.png": "test"}
    }


def test_a_split_column_of_something_else_is_refused_with_its_values(nih):
    rows, head = "0.png,A,0\n1.png,B,1\n2.png,A,train\n", "path,label,split\n"
    message = r"column 'split' .* has the values '0', '1', 'train', but a split is.*data\.columns=\{split: none\}"
    with pytest.raises(UserError, match=message):
        nih(rows, head=head)
    assert nih(rows, head=head, columns={"split": "none"}).known.sides == {}


def test_one_column_may_say_two_things(nih):
    listing = nih("0,1\n1,0\n", head="patientId,Target\n", columns={"path": "patientId", "patient": "patientid"})
    assert [row["patient"] for row in listing.known.rows.values()] == ["0", "1"]


WRONG = {  # head, rows, keys, message
    "no names of images": (
        "a,label\n",
        "0.png,A\n",
        {},
        r"columns \['a', 'label'\], none .*data\.columns=\{path: COLUMN",
    ),
    "a wrong column": (
        HEAD,
        ROWS,
        {"columns": {"path": "Image Indx"}},
        r"no column 'Image Indx'.*mean 'Image Index'\?",
    ),
    "a wrong role": (HEAD, ROWS, {"columns": {"pat": "x"}}, r"data\.columns names 'pat', but a column is one of path"),
    "two columns of one name": ("path,label,label\n", "0.png,A,B\n", {}, r"two columns 'label'.*\{label: none\}"),
    "no image is there": (
        "path,label\n",
        "8.png,A\n9.png,B\n",
        {},
        r"names 2 images, such as '8\.png', but none .*6 images",
    ),
    "no row": ("path,label\n", "", {}, r"gives the classes \[\]"),
    "a class without an image": ("path,label\n", "0.png,A\n9.png,B\n", {}, r"no image .* to the classes \['B'\]"),
    "a file of two folders": (
        "path,label\n",
        "twin.png,A\n0.png,B\n",
        {},
        r"'twin\.png', but .*a/twin.png and b/twin\.png",
    ),
}


@pytest.mark.parametrize(("head", "rows", "keys", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_table_is_one_sentence(nih, tmp_path, head, rows, keys, message):
    lay(tmp_path / "nih", *(["a/twin.png", "b/twin.png"] if "twin" in rows else []))
    with pytest.raises(UserError, match=message) as one:
        nih(rows, head=head, **keys)
    assert "\n" not in str(one.value)


def test_a_root_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"nowhere is no folder, but data\.root must be the one below which the images"):
        TableListing(
            {"": tmp_path / "nowhere"},
            {tmp_path / "t.csv": ""},
            table_keys("t.csv", *[None] * 3, "unknown", "skip"),
            None,
            "data.root",
        )


def test_a_table_without_a_root_lies_above_its_images(nih, tmp_path):
    nih(ROWS)
    data = Radiographs(table=str(tmp_path / "nih" / "labels.csv"))
    assert data.roots == {"": tmp_path / "nih"}
    assert data.classes == ["A", "B"]


def test_a_table_whose_name_is_too_long_is_told(nih, tmp_path):
    nih(ROWS)
    with pytest.raises(UserError, match=r"cannot be read as a table: File name too long"):
        _ = Radiographs(root=str(tmp_path / "nih"), table="a" * 5000).folder


def test_a_table_that_lies_in_the_root_is_proposed(nih, tmp_path):
    nih(ROWS)
    with pytest.raises(
        UserError, match=r"data\.table=labels\.csv is not there, but .*nih/labels\.csv is: did you mean"
    ):
        _ = Radiographs(root=str(tmp_path / "nih"), table="labels.csv").folder


def test_columns_without_any_table_are_refused(xray_root):
    data = Radiographs(root=str(xray_root), columns={"patient": "case"})
    with pytest.raises(UserError, match=r"data\.columns=\{'patient': 'case'\} is for a table, but there is none"):
        _ = data.metadata
    (xray_root / "metadata.csv").write_text("path,case\nNORMAL/NORMAL (1).png,7\n")
    rows = Radiographs(root=str(xray_root), columns={"patient": "case"}).metadata.rows
    assert rows == {"NORMAL/NORMAL (1).png": {"patient": "7"}}


def test_a_table_beside_is_not_read_unless_it_is_named(nih, tmp_path):
    nih("0.png,A\n1.png,B\n", head="path,label\n")
    (tmp_path / "nih" / "metadata.csv").write_text("path,patient\n0.png,7\n")
    options = {"root": str(tmp_path / "nih"), "table": str(tmp_path / "nih" / "labels.csv")}
    assert "patient" not in Radiographs(**options).metadata.rows["images_0/images/0.png"]
    named = Radiographs(**options, metadata=str(tmp_path / "nih" / "metadata.csv")).metadata
    assert named.rows["images_0/images/0.png"] == {"label": "A", "patient": "7"}
