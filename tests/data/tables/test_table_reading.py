"""A table of whatever make is read right, or one sentence says why not."""

import csv
import io

import pytest

from covidnet.data.tables.reading import read_any_table
from covidnet.errors import UserError

ROWS = [["Image Index", "Finding Labels", "Patient ID"], ["1.png", "Mass|Nodule", "7"], ["2.png", "No Finding", "8"]]


def written(separator=",", end="\n", rows=ROWS, **options) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end, **options).writerows(rows)
    return text.getvalue()


PLAIN = written()
RIGHT = {  # each is the same table
    "commas": PLAIN,
    "semicolons": written(";"),
    "tabs": written("\t"),
    "commas, Windows": written(end="\r\n"),
    "commas, old Macintosh": written(end="\r"),
    "no end": PLAIN.rstrip("\n"),
    "quotes": written(quoting=csv.QUOTE_ALL),
    "quotes and semicolons": written(";", quoting=csv.QUOTE_ALL),
    "spaces": PLAIN.replace(",", " , "),
    "spaces before quotes": written(quoting=csv.QUOTE_ALL).replace(",", ", "),
    "spaces at the ends": PLAIN.replace("\n", "  \n"),
    "no-break spaces": PLAIN.replace(",", ",\xa0"),
    "blank lines": PLAIN.replace("\n", "\n\n"),
    "blank lines before": "\n\n" + PLAIN,
    "blank lines after": PLAIN + "\n\r\n\n",
    "rows of nothing": PLAIN + ",,\n , ,\n",
    "a separator too many": PLAIN.replace("\n", ",\n"),
    "a separator too many in the rows": PLAIN.replace("7\n", "7,\n"),
    "Excel's word": "sep=;\n" + written(";"),
    "Excel's word, Windows": "sep=,\r\n" + written(end="\r\n"),
    "an end of DOS": PLAIN + "\x1a",
    "UTF-8 with a mark": PLAIN.encode("utf-8-sig"),
    "UTF-8 with two marks": b"\xef\xbb\xbf" + PLAIN.encode("utf-8-sig"),
    "a mark and quotes": written(quoting=csv.QUOTE_ALL).encode("utf-8-sig"),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "UTF-16 without a mark, big end first": PLAIN.encode("utf-16-be"),
    "UTF-16 of tabs, as Excel writes it": written("\t", "\r\n").encode("utf-16"),
    "UTF-32": PLAIN.encode("utf-32"),
}


@pytest.mark.parametrize("content", RIGHT.values(), ids=RIGHT)
def test_one_table_in_many_spellings_is_read_alike(tmp_path, content):
    table = read(tmp_path, content)
    assert [table.columns, *table.rows] == ROWS


OTHERS = {  # what is read of other tables
    "a separator in quotes": ('a,b\n"1, 2",3\n', [["a", "b"], ["1, 2", "3"]]),
    "a quote in quotes": ('a,b\n"x ""y"" z",3\n', [["a", "b"], ['x "y" z', "3"]]),
    "a quote in a text": ('a,b\n5" tube,3\n', [["a", "b"], ['5" tube', "3"]]),
    "a line end in quotes": ('a,b\n"x\ny",3\n', [["a", "b"], ["x\ny", "3"]]),
    "a short row": ("a,b,c\n1\n", [["a", "b", "c"], ["1", "", ""]]),
    "one column": ("a\n1\n", [["a"], ["1"]]),
    "no name": (",a\n0,1\n", [["column 1", "a"], ["0", "1"]]),
    "one name twice": ("a,a,a\n1,2,3\n", [["a", "a (2)", "a (3)"], ["1", "2", "3"]]),
    "commas in cells between semicolons": ("a;b\n1,5;2\n2,5;3\n", [["a", "b"], ["1,5", "2"], ["2,5", "3"]]),
    "semicolons in cells between commas": ("a,b\n1;2;3,4\n", [["a", "b"], ["1;2;3", "4"]]),
    "commas in a name between tabs": ("a[x,y]\tb\n1\t2\n", [["a[x,y]", "b"], ["1", "2"]]),
    "commas in a name, as NIH has them": ("a,b[x,y],\n1,2,3,\n", [["a", "b[x", "y]"], ["1", "2", "3"]]),
    "Latin-1": ("a,b\nZo\xeb,\x80\n".encode("latin-1"), [["a", "b"], ["Zoë", "€"]]),
    "Latin-1, bytes that Windows lacks": (b"a,b\nZo\xeb\x81,2\n", [["a", "b"], ["Zoë\x81", "2"]]),
    "names of any bytes": (b"a,b\n\xed\xb3\xbf.png,2\n", [["a", "b"], ["\udcff.png", "2"]]),
    "UTF-8": ("a,b\nZoë 肺,2\n".encode(), [["a", "b"], ["Zoë 肺", "2"]]),
    "nothing": (b"", [[]]),
    "blank lines alone": (b"\n\n \n", [[]]),
    "names alone": (b"a,b\n", [["a", "b"]]),
}


@pytest.mark.parametrize(("content", "expected"), OTHERS.values(), ids=OTHERS)
def test_odd_tables_are_read_as_they_are_meant(tmp_path, content, expected):
    table = read(tmp_path, content)
    assert [table.columns, *table.rows] == expected


REFUSED = {
    "an open quote": ('a,b\n"1,2\n3,4\n', "line 3: unexpected end of data"),
    "text after a quote": ('a,b\n"1"x,2\n', "line 2: ',' expected after '\"'"),
    "a cell too many": ("a,b\n1,x,y\n", r"row 2 \(1\) has 3 cells, but there are 2 columns.*quotes"),
    "zeros": (b"\0" * 100, "it is no text"),
    "a zero": (b"a,b\n1\x00,2\n", "it is no text"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "it is no text"),
    "a pickle": (b"\x80\x04\x95\x00", "it is no text"),
    "half of UTF-16": ("a,b\n1,2\n".encode("utf-16")[:-1], "it is no text in UTF-16"),
    "old Excel": (b"\xd0\xcf\x11\xe0" + b"\0" * 9, r"old Excel workbook \(\.xls\): save it as \.xlsx or CSV"),
    "compressed": (b"\x1f\x8b\x08\0", "it is compressed: unpack it first"),
    "Parquet": (b"PAR1\x15\0", "it is a Parquet file: write it as CSV"),
    "PDF": (b"%PDF-1.7", "it is a PDF"),
    "an archive": (b"PK\x03\x04\0\0", "it is no Excel workbook, or a damaged one"),
    "many columns": ("a," * 30_000 + "\n", "more than 20,000 columns"),
    "rows that lack their values": ("a," * 10_000 + "\n" + "1\n" * 20_000, "its rows lack most of their values"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_is_one_sentence_with_the_key(tmp_path, content, reason):
    with pytest.raises(UserError, match=rf"x\.csv cannot be read as a table: .*{reason}.*change data\.table\.$") as one:
        read(tmp_path, content)
    assert len(str(one.value)) < 400


@pytest.mark.parametrize("there", [None, "folder"])
def test_a_table_that_is_not_there_is_told(tmp_path, there):
    if there:
        (tmp_path / "x.csv").mkdir()
    with pytest.raises(
        UserError, match=r"x\.csv cannot be read as a table: (No such file|Is a directory).*data\.table"
    ):
        read_any_table(tmp_path / "x.csv", "data.table")


def test_how_a_table_is_read_is_told_where_it_is_no_csv_in_utf_8(tmp_path):
    assert read(tmp_path, PLAIN).told == ""
    assert read(tmp_path, written(";")).told == "it is read with semicolons between its cells"
    told = "it is read in Latin-1, for it is not UTF-8 and with tabs between its cells"
    assert read(tmp_path, written("\t", rows=[["a", "b"], ["Zoë", "1"]]).encode("latin-1")).told == told


def read(folder, content):
    file = folder / "x.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_any_table(file, "data.table")
