"""The first sheet of a workbook is read as a table; what would harm is refused."""

import datetime
import io
import zipfile

import pytest

from covidnet.files import sheet
from covidnet.files.sheet import read_sheet

openpyxl = pytest.importorskip("openpyxl")


def workbook(*rows, more=()) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for name in more:
        book.create_sheet(name).append([name])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def changed(content: bytes, change) -> bytes:
    """Return a workbook with the bytes of some of its parts changed."""
    new = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as book:
        for part in old.infolist():
            book.writestr(part.filename, change(part.filename, old.read(part)))
    return new.getvalue()


def test_cells_are_texts_as_a_csv_has_them():
    content = workbook(["a", "b", "c", "d"], [1, 2.0, 2.5, None], ["x", True, datetime.date(2020, 1, 2)])
    rows, names = read_sheet(content)
    assert rows == [["a", "b", "c", "d"], ["1", "2", "2.5"], ["x", "True", "2020-01-02T00:00:00"]]
    assert names == ["Sheet"]


def test_the_first_of_its_sheets_is_read():
    rows, names = read_sheet(workbook(["a"], more=["second"]))
    assert (rows, names) == ([["a"]], ["Sheet", "second"])


SHEET = "xl/worksheets/sheet1.xml"
HARMFUL = {
    "a row far away": lambda name, text: (
        text.replace(b'<row r="2"', b'<row r="99999999999"') if name == SHEET else text
    ),
    "entities": lambda name, text: text.replace(b"<worksheet", b"<!DOCTYPE x><worksheet") if name == SHEET else text,
    "entities in UTF-16": lambda name, text: "<!DOCTYPE x>".encode("utf-16-be") + text if name == SHEET else text,
    "half a sheet": lambda name, text: text[:-40] if name == SHEET else text,
    "no sheet": lambda name, text: b"" if name == SHEET else text,
    "a column of no name": lambda name, text: text.replace(b'r="A2"', b'r="??2"') if name == SHEET else text,
}


@pytest.mark.parametrize("change", HARMFUL.values(), ids=HARMFUL)
def test_what_is_no_workbook_of_excel_is_an_error_with_a_reason(change):
    content = workbook(["a", "b"], ["x", "y"])
    assert read_sheet(content)[0] == [["a", "b"], ["x", "y"]]
    with pytest.raises(ValueError, match=r"lack most|declares entities|damaged one"):
        read_sheet(changed(content, change))


def test_a_workbook_that_unpacks_to_more_than_it_may_is_refused(monkeypatch):
    monkeypatch.setattr(sheet, "LONGEST_WORKBOOK", 3_000)
    with pytest.raises(ValueError, match="unpacked it has more than 3,000 bytes"):
        read_sheet(workbook(["a"]))


def test_without_the_library_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(ValueError, match=r"pip install 'covidnet\[excel\]', or save it as CSV"):
        read_sheet(b"PK\x03\x04")
