"""A table out of DICOM headers keeps a patient's images together and says nowhere who the patient is."""

import csv
import io
import os
import stat

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from covidnet.commands.main import main
from covidnet.imaging import kinds
from covidnet.imaging.dicom.facts import COLUMNS, read_facts

SECRETS = {
    "PatientName": "Quastel^Zebedee",
    "PatientID": "MRN-7714203",
    "PatientBirthDate": "19510417",
    "InstitutionName": "Saint Swithun Infirmary",
    "AccessionNumber": "ACC9981723",
    "ReferringPhysicianName": "Wiggins^Ottoline",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.11111",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.22222",
}
SALT = b"0" * 64


def written(file, **elements):
    """Write a small radiograph with these elements."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.Rows, data.Columns, data.SamplesPerPixel = "DX", 4, 4, 1
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation, data.PhotometricInterpretation = 7, 0, "MONOCHROME2"
    data.PixelData = np.zeros((4, 4), np.uint8).tobytes()
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    data.save_as(content, enforce_file_format=True)
    file.write_bytes(content.getvalue())
    return file


def rows_of(file):
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "scans"
    told = {"ViewPosition": "PA", "PatientAge": "069Y", "PatientSex": "F", "Manufacturer": "GE Healthcare"}
    written(root / "a" / "1.dcm", **SECRETS, **told, BodyPartExamined="CHEST", ImageLaterality="U")
    written(root / "a" / "2", **{**SECRETS, "StudyInstanceUID": "1.2.3.4"}, ViewPosition="LL", PatientAge="093Y")
    written(root / "b" / "3.dcm", PatientID="OTHER-1", PatientAge="006M", ViewPosition="PA ")
    written(root / "b" / "4.dcm", PatientID="ANONYMOUS")
    (root / "notes.txt").write_text("notes")
    return root


def table_of(tree, tmp_path, *words):
    return main(["table", str(tree), "--salt", str(tmp_path / "salt"), *words])


def test_a_table_keeps_together_who_is_one_patient(tree, tmp_path):
    assert table_of(tree, tmp_path) == 0
    rows = {row["path"]: row for row in rows_of(tree / "metadata.csv")}
    assert list(rows) == ["a/1.dcm", "a/2", "b/3.dcm", "b/4.dcm"]
    assert rows["a/1.dcm"]["patient"] == rows["a/2"]["patient"] != rows["b/3.dcm"]["patient"]
    assert rows["a/1.dcm"]["study"] != rows["a/2"]["study"]
    assert rows["b/4.dcm"]["patient"] == ""  # a placeholder is nobody
    facts = {column: rows["a/1.dcm"][column] for column in COLUMNS[2:]}
    assert facts == {
        "view": "PA",
        "laterality": "U",
        "age": "69",
        "sex": "F",
        "maker": "GE Healthcare",
        "body_part": "CHEST",
    }
    assert [rows[path]["age"] for path in ("a/2", "b/3.dcm", "b/4.dcm")] == ["90", "0.5", ""]


def test_the_first_bytes_of_a_file_are_read_once(tree, tmp_path, monkeypatch):
    asked = []
    head = kinds._head
    monkeypatch.setattr(kinds, "_head", lambda path: asked.append(path.name) or head(path))
    table_of(tree, tmp_path)
    assert sorted(asked) == ["2"]  # whose ending tells nothing


def test_no_value_that_says_who_somebody_is_comes_out(tree, tmp_path, capfd, caplog):
    (tree / "c.dcm").write_bytes((tree / "a" / "1.dcm").read_bytes()[:-150])  # damaged: what pydicom would quote
    assert b"Zebedee" in (tree / "c.dcm").read_bytes()
    table_of(tree, tmp_path)
    out, err = capfd.readouterr()
    found = (tree / "metadata.csv").read_text() + out + err + caplog.text
    for value in SECRETS.values():
        for part in (value, *value.split("^")):
            assert part.lower() not in found.lower()


def test_a_fact_in_which_a_personal_value_stands_is_left_out(tmp_path):
    file = written(tmp_path / "1.dcm", **SECRETS, Manufacturer="Saint Swithun Infirmary X", ViewPosition="QUASTEL")
    facts = read_facts(file, SALT)
    assert (facts["maker"], facts["view"]) == ("", "")


def test_a_view_may_stand_there_as_a_code(tmp_path):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "399348003", "SCT", "antero-posterior"
    assert read_facts(written(tmp_path / "1.dcm", ViewCodeSequence=[item]), SALT)["view"] == "AP"


def test_another_salt_gives_other_names_and_the_same_the_same(tree, tmp_path):
    first, again = (read_facts(tree / "a" / "1.dcm", SALT) for _ in range(2))
    other = read_facts(tree / "a" / "1.dcm", b"1" * 64)
    assert first == again
    assert first["patient"] != other["patient"]


def test_the_salt_is_made_once_and_for_its_owner_alone(tree, tmp_path, capsys):
    table_of(tree, tmp_path)
    salt = (tmp_path / "salt").read_bytes()
    assert len(salt) == 64
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "salt").stat().st_mode) == 0o600
    first = rows_of(tree / "metadata.csv")
    table_of(tree, tmp_path, "--force")
    assert (tmp_path / "salt").read_bytes() == salt
    assert rows_of(tree / "metadata.csv") == first


def test_a_long_header_is_read_to_its_end(tmp_path):
    file = written(tmp_path / "1.dcm", PatientID="P1", ViewPosition="AP", ICCProfile=bytes(400_000))
    assert read_facts(file, SALT)["view"] == "AP"


def refused(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(["table", *map(str, words)])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_table_that_is_there_is_kept(tree, tmp_path, capsys):
    (tree / "metadata.csv").write_text("path,patient\n")
    assert "is there already. Give --force" in refused(capsys, tree, "--salt", tmp_path / "salt")
    assert (tree / "metadata.csv").read_text() == "path,patient\n"


def test_a_folder_without_dicom_says_what_it_must_be(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    assert "holds no DICOM files" in refused(capsys, tmp_path / "x", "--salt", tmp_path / "salt")


def test_a_salt_too_short_to_keep_a_secret_is_refused(tree, tmp_path, capsys):
    (tmp_path / "salt").write_bytes(b"short")
    assert "holds 5 bytes, but a salt" in refused(capsys, tree, "--salt", tmp_path / "salt")


def test_what_cannot_be_understood_is_counted_and_named(tree, tmp_path, capsys):
    (tree / "bad.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 300)
    table_of(tree, tmp_path)
    told = capsys.readouterr().out
    assert "4 DICOM files of 2 patients." in told
    assert "1 files name no patient, or a placeholder" in told
    assert "1 files tell nothing: bad.dcm is no DICOM file that can be understood" in told
    assert "1 other files are not in the table." in told


def test_names_of_files_are_told_to_stand_in_the_table(tree, tmp_path, capsys):
    table_of(tree, tmp_path)
    assert "Names of files and folders stand in the table as they are" in capsys.readouterr().out
