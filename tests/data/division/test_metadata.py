"""Facts about the table of patients and groups: where it is found, what it links, what it refuses."""

import numpy as np
import pytest

from covidnet.data.division.metadata import find_metadata, linked_groups, read_metadata, write_metadata
from covidnet.errors import UserError

PATHS = ["A/1.png", "A/2.png", "B/1.png", "B/2.png"]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "xrays").mkdir()
    return tmp_path / "xrays"


def read(folder, text, root, encoding="utf-8"):
    (folder / "metadata.csv").write_text(text, encoding=encoding)
    return read_metadata(folder / "metadata.csv", root, PATHS)


def together(rows):
    """Return the sets of images that a table links."""
    groups = linked_groups(PATHS, rows)
    sets = [{path for path, group in zip(PATHS, groups, strict=True) if group == number} for number in set(groups)]
    return sorted(sorted(paths) for paths in sets if len(paths) > 1)


def test_a_table_in_the_root_goes_before_one_beside_it(root):
    assert find_metadata(root) is None
    (root.parent / "metadata.csv").touch()
    assert find_metadata(root) == root.parent / "metadata.csv"
    (root / "metadata.csv").touch()
    assert find_metadata(root) == root / "metadata.csv"


def test_a_folder_of_that_name_is_no_table(root):
    (root / "metadata.csv").mkdir()
    assert find_metadata(root) is None


@pytest.mark.parametrize("below", ["", "xrays/"], ids=["root", "table's folder"])
def test_paths_are_below_the_root_or_the_tables_folder(root, below):
    metadata = read(root.parent, f"path,patient\n{below}A/1.png,7\n", root)
    assert metadata.rows == {"A/1.png": {"patient": "7"}}


def test_a_table_may_lie_anywhere_and_name_whole_paths(root, tmp_path):
    (tmp_path / "tables").mkdir()
    metadata = read(tmp_path / "tables", f"path,patient\n{root}/A/1.png,7\n", root)
    assert metadata.rows == {"A/1.png": {"patient": "7"}}


@pytest.mark.parametrize("relative", ["root", "table"])
def test_one_of_root_and_table_may_be_given_relative_to_the_working_folder(root, monkeypatch, relative):
    monkeypatch.chdir(root.parent)
    table = root.parent / "metadata.csv"
    table.write_text("path,patient\nxrays/A/1.png,7\n")
    given = {"root": root, "table": table}
    given[relative] = given[relative].relative_to(root.parent)
    assert read_metadata(given["table"], given["root"], PATHS).rows == {"A/1.png": {"patient": "7"}}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("path,patient\nA/1.png,7\n", "utf-8-sig"),
        ("path,patient\r\nA\\1.png,7\r\n", "utf-8"),
        ("patient,view,path\n 7 ,PA,A/1.png\n", "utf-8"),
        ("path, patient\nA/1.png, 7\n", "utf-8"),
        ('"path","patient"\n"A/1.png","7"\n', "utf-8"),
        ("path,patient\n./A/1.png,7\n", "utf-8"),
        ("path,patient\nA/1.png ,7\n", "utf-8"),
    ],
    ids=["byte order mark", "Windows", "other columns", "space after comma", "quoted", "dot", "space before comma"],
)
def test_the_spellings_of_a_table_do_not_matter(root, text, encoding):
    assert read(root, text, root, encoding).rows["A/1.png"]["patient"] == "7"


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("path,patient\nA/1.png,p\nB/1.png,p\n", [["A/1.png", "B/1.png"]]),
        ("path,group\nA/1.png,g\nB/1.png,g\n", [["A/1.png", "B/1.png"]]),
        ("path,patient,group\nA/1.png,p,\nA/2.png,p,g\nB/1.png,,g\n", [["A/1.png", "A/2.png", "B/1.png"]]),
        ("path,patient,group\nA/1.png,x,\nB/1.png,,x\n", []),  # a patient and a group of one name
        ("path,patient,group\nA/1.png,,\nB/1.png,,\n", []),
        ("path,patient,group\nA/1.png\nB/1.png\n", []),
        ("path,patient\nA/1.png,  \nB/1.png,  \n", []),
        ("path,source\nA/1.png,s\nB/1.png,s\n", []),
        ("path,patient\nA/1.png,p\nA/2.png,p\nB/1.png,q\nB/2.png,q\n", [PATHS[:2], PATHS[2:]]),
        ("path,patient\n", []),
    ],
    ids=["patient", "group", "chain", "same name", "empty", "short rows", "blank", "source", "two pairs", "no row"],
)
def test_images_are_linked_by_chains_of_patients_or_groups(root, text, linked):
    assert together(read(root, text, root).rows) == linked


def test_a_long_chain_links_its_ends():
    paths = [f"{n}.png" for n in range(3000)]
    rows = {path: {"patient": f"p{n // 2}", "group": f"g{(n + 1) // 2}"} for n, path in enumerate(paths)}
    assert set(linked_groups(paths, rows)) == {0}


def test_pairs_link_too_and_make_chains_with_the_table(root):
    rows = read(root, "path,patient\nA/1.png,p\nB/1.png,p\n", root).rows
    first, second, third, fourth = linked_groups(PATHS, rows, np.array([[0, 1]]))
    assert first == second == third != fourth


def test_a_written_table_is_read_back(root):
    rows = [{"path": path, "patient": "Zoë", "group": "a, b", "source": ""} for path in PATHS]
    write_metadata(root / "metadata.csv", rows)
    back = read_metadata(root / "metadata.csv", root, PATHS).rows
    assert [{"path": path, **back[path]} for path in PATHS] == rows
    assert [file.name for file in root.iterdir()] == ["metadata.csv"]


def test_columns_that_we_do_not_use_survive(root):
    read_first = read(root, "path,patient,tube,Finding\nA/1.png,7,yes,Mass\nA/2.png,8,,\n", root).rows
    write_metadata(root / "metadata.csv", [{"path": path, **row} for path, row in read_first.items()])
    assert read_metadata(root / "metadata.csv", root, PATHS).rows["A/1.png"] == {
        **{"patient": "7", "group": "", "source": "", "tube": "yes", "Finding": "Mass"}
    }


def test_a_group_number_is_given_to_every_image_without_any_table():
    assert len(set(linked_groups(PATHS, {}))) == len(PATHS)


def test_rows_of_images_that_are_not_there_are_counted(root):
    metadata = read(root, "path,patient\nA/1.png,7\nA/9.png,8\n/elsewhere/C/2.png,9\n,\n", root)
    assert (list(metadata.rows), metadata.unmatched) == (["A/1.png"], 2)


def test_a_row_may_come_twice_but_not_contradict_itself(root):
    assert read(root, "path,patient\nA/1.png,7\nA/1.png,7\n", root).rows == {"A/1.png": {"patient": "7"}}
    with pytest.raises(UserError, match=r"names A/1\.png twice.*patient.*data\.metadata=none"):
        read(root, "path,patient\nA/1.png,7\nA\\1.png,8\n", root)


def test_rows_that_differ_in_what_is_not_used_leave_that_unknown(root):
    rows = read(root, "path,patient,x\nA/1.png,7,10\nA/1.png,7,20\n", root).rows  # a row a box
    assert rows == {"A/1.png": {"patient": "7", "x": ""}}


FOREIGN = {
    "filename,patient_id\n1.png,7\n": "path is 'filename', patient is 'patient_id'",
    "Image Index;Patient\nA/1.png;7\n": "path is 'Image Index', patient is 'Patient'; it is read with semicolons",
    "file\tsubject_id\r\nA\\1.png\t7\r\n": "path is 'file', patient is 'subject_id'; it is read with tabs",
    "Path,PatientID\nC:\\xrays\\A\\1.png,7\n": "path is 'Path', patient is 'PatientID'",
}


@pytest.mark.parametrize("text", FOREIGN)
def test_a_foreign_table_is_understood_and_what_was_guessed_is_told(root, text):
    metadata = read_metadata_of(root, text, ["A/1.png", "B/2.png"])
    assert {path: row["patient"] for path, row in metadata.rows.items()} == {"A/1.png": "7"}
    [told] = metadata.told
    assert FOREIGN[text] in told


def read_metadata_of(root, text, paths):
    (root / "metadata.csv").write_text(text)
    return read_metadata(root / "metadata.csv", root, paths)


@pytest.mark.parametrize("word", ["", "nan", "NaN", "NA", "N/A", "None", "null", "unknown", "Unknown", "-", "?"])
def test_patients_that_nobody_knows_are_never_one_patient(root, word):
    assert together(read(root, f"path,patient\nA/1.png,{word}\nB/1.png,{word}\n", root).rows) == []


def test_a_column_may_be_named_by_the_user_or_left_out(root):
    (root / "metadata.csv").write_text("path,case,patient\nA/1.png,7,x\nA/2.png,7,y\n")
    rows = read_metadata(root / "metadata.csv", root, PATHS, columns={"patient": "case"}).rows
    assert rows["A/1.png"] == {"patient": "7", "patient (column)": "x"}
    rows = read_metadata(root / "metadata.csv", root, PATHS, columns={"patient": "none"}).rows
    assert together(rows) == []
    with pytest.raises(UserError, match=r"patient: cace.*no column 'cace'.*Did you mean 'case'\?"):
        read_metadata(root / "metadata.csv", root, PATHS, columns={"patient": "cace"})


@pytest.mark.parametrize("text", ["", "where,patient\nA/1.png,7\n", "where;patient\nA/1.png;7\n"])
def test_a_table_without_a_column_path_names_its_columns_and_the_key(root, text):
    with pytest.raises(UserError, match=r"has the columns \[.*\], but data\.metadata needs a column 'path'"):
        read(root, text, root)


@pytest.mark.parametrize("content", [None, b"PK\x03\x04\xff\xfe", b"path,patient\nA/1.png,\xff\x00\n"])
def test_an_unreadable_table_names_the_key(root, content):
    if content is not None:
        (root / "metadata.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"metadata\.csv cannot be read as a table.*data\.metadata"):
        read_metadata(root / "metadata.csv", root, PATHS)
