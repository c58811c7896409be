"""Views that DICOM headers tell, where no table does: read once, and only where somebody asks."""

import numpy as np
import pytest
from helpers import paint
from pydicom.dataset import Dataset

from bench.hostile import dicom
from covidnet.data import headers
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.imaging.dicom.header import read_header
from covidnet.imaging.dicom.view import KEYWORDS, view_text

SHADES = np.add.outer(np.arange(30), np.arange(40)).astype(np.uint8)


def code(value: str, meaning: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return [item]


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "LL"}, "LL"),
        ({"ViewPosition": "PA", "ViewCodeSequence": code("399348003", "antero-posterior")}, "PA"),
        ({"ViewCodeSequence": code("399348003", "von vorn")}, "AP"),
        ({"ViewPosition": "", "ViewCodeSequence": code("R-40888", "")}, "PA"),
        ({"ViewCodeSequence": code("1", "left lateral")}, "left lateral"),
        ({"ViewCodeSequence": []}, ""),
        ({}, ""),
    ],
    ids=["position", "position first", "code", "old code", "meaning", "no code", "nothing"],
)
def test_a_header_tells_its_view_by_a_position_or_by_a_code(elements, view):
    header, _, _ = read_header(dicom(SHADES, **elements), KEYWORDS)
    assert view_text(header) == view


@pytest.fixture
def scans(tmp_path):
    """Eight DICOM files of two classes, half of them without an ending, two of each lateral; and drawn PNGs beside."""
    root = paint(tmp_path / "x", ("A", "B"), 2)
    views = ("PA", "AP", "LL", "RL")
    for label in ("A", "B"):
        for number, view in enumerate(views):
            name = f"1.2.{number}" if number % 2 else f"{number}.dcm"
            (root / label / name).write_bytes(dicom(SHADES + number, ViewPosition=view))
    return root


def images(root, **options):
    return Radiographs(str(root), **{"views": ["PA", "AP"], **options})


def test_lateral_views_are_left_out_by_their_headers_with_a_line_and_a_count(scans):
    folder = images(scans).folder
    assert folder.class_counts == {"A": 4, "B": 4}
    assert folder.known.told == [
        "4 LATERAL of 12 images are left out by their view (4 by that in their DICOM headers): data.views=[PA, AP]; "
        "data.views=null takes all."
    ]
    assert images(scans, views=None).folder.class_counts == {"A": 6, "B": 6}


def test_what_a_table_tells_of_a_view_goes_before_the_header_and_what_it_does_not_know_does_not(scans):
    (scans / "metadata.csv").write_text("path,view\nA/2.dcm,PA\nA/1.2.3,\nA/0.dcm,Lateral\n")
    assert {path for path in images(scans).folder.paths if "A/" in path and ".png" not in path} == {
        "A/2.dcm",
        "A/1.2.1",
    }


def test_each_header_is_read_once_and_none_where_nobody_asks_or_there_is_none(scans, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("covidnet.imaging.dicom.view.read_view_text", lambda file: asked.append(file) or "PA")
    data = images(scans)
    assert len(data.folder.paths) == len({*data.header_views}) + 4 == 12
    assert len(data.images.paths) == 12
    assert sorted(asked) == sorted(scans / path for path in data.folder.paths if ".png" not in path)
    asked.clear()
    _ = images(scans, views=None).folder, images(paint(tmp_path / "plain", ("A", "B"), 2)).folder
    (tmp_path / "split.csv").write_text("path,label,split\nA/2.dcm,A,train\nB/0.dcm,B,train\n")
    named = images(scans, split_file=str(tmp_path / "split.csv")).folder.paths
    assert asked
    assert not {scans / "A/2.dcm", scans / "B/0.dcm"} & {*asked}  # a split file decides by itself
    assert "A/2.dcm" in named


def test_each_root_and_the_test_root_are_asked(scans, tmp_path):
    other = paint(tmp_path / "y", ("A", "B"), 2)
    (other / "A" / "l.dcm").write_bytes(dicom(SHADES, ViewPosition="LATERAL"))
    data = Radiographs(roots={"x": str(scans), "y": str(other)}, views=["PA"])
    assert not {"y/A/l.dcm", "x/A/2.dcm", "x/A/1.2.1"} & {*data.folder.paths}
    apart = Radiographs(str(scans), test_root=str(other), views=["PA", "AP"])
    assert "A/l.dcm" not in apart.test_folder.paths


def test_a_strangers_text_is_not_repeated_and_its_image_stays_in(scans):
    (scans / "A" / "odd.dcm").write_bytes(dicom(SHADES, ViewPosition="QUASTEL"))
    (scans / "A" / "cut.dcm").write_bytes(dicom(SHADES, ViewPosition="LL")[:200])
    folder = images(scans).folder
    assert {"A/odd.dcm", "A/cut.dcm"} <= {*folder.paths}
    assert folder.known.told[-1] == "1 images of a view that is not understood ('a term in a DICOM header') stay in."


def test_a_class_of_lateral_headers_alone_is_one_sentence(tmp_path):
    for label, view in (("A", "PA"), ("B", "LL")):
        (tmp_path / label).mkdir()
        for number in range(2):
            (tmp_path / label / str(number)).write_bytes(dicom(SHADES, ViewPosition=view))
    with pytest.raises(UserError, match=r"leaves no image of \['B'\]: all 2 images of B are of other views"):
        _ = images(tmp_path).folder


def test_many_headers_are_read_by_worker_processes(scans, monkeypatch):
    monkeypatch.setattr(headers, "FEW", 2)
    monkeypatch.setattr(headers, "CHUNK", 3)
    assert images(scans).folder.class_counts == {"A": 4, "B": 4}
