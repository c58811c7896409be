"""The first sheet of an Excel workbook (.xlsx) -> rows of texts, within limits, by openpyxl (the extra "excel")."""

import datetime
import io
import warnings
import zipfile
from typing import Any

START = b"PK\x03\x04"  # of each ZIP archive, which such a workbook is
LONGEST_WORKBOOK = 2**28  # bytes of all its parts, unpacked; 100,000 rows of ten columns have about 60 million
MOST_PARTS = 10_000
MOST_ROWS = 2**20  # Excel's own limit, which a number in a file need not keep
_SIGNS = ("<!DOCTYPE", "<!ENTITY")  # what lets XML stand for more than it holds; Excel writes neither
_BOMBS = tuple(sign.encode(form) for sign in _SIGNS for form in ("ascii", "utf-16-le", "utf-16-be"))
_OVERLAP = max(map(len, _BOMBS))
_CHUNK = 2**20  # bytes that are searched at once


class _ExceededError(ValueError):
    """A limit of ours, told as it is."""


def read_sheet(content: bytes) -> tuple[list[list[str]], list[str]]:
    """Return the rows of the first sheet, and the names of all sheets.

    Whole numbers are written without a point, dates as in ISO 8601; an empty cell is "".

    Raises:
        ValueError: Where it is no such workbook, or exceeds a limit.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise ValueError("it is an Excel workbook: pip install 'covidnet[excel]', or save it as CSV") from error
    try:
        size = _unpacked_size(content)
        with warnings.catch_warnings(action="ignore"):  # of parts that no table needs
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
            return (_rows(book.worksheets[0], size) if book.worksheets else []), [one.title for one in book.worksheets]
    except _ExceededError:
        raise
    except Exception as error:  # a damaged one fails in many ways: as ZIP, as XML, by what is missing
        raise ValueError(f"it is no Excel workbook, or a damaged one ({type(error).__name__})") from error


def _rows(sheet: Any, most: int) -> list[list[str]]:
    """Return the rows of a sheet, of ``most`` cells in all: each that the file holds takes a byte or more."""
    sheet.reset_dimensions()  # which are the file's own word
    rows: list[list[str]] = []
    for row in sheet.iter_rows(values_only=True):
        most -= len(row) + 1
        if most < 0 or len(rows) >= MOST_ROWS:
            raise _ExceededError("its rows lack most of their values")
        rows.append([_text(value) for value in row])
    return rows


def _unpacked_size(content: bytes) -> int:
    """Return the bytes of all parts of a workbook, none of which stands for more than it holds."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        parts = book.infolist()
        size = sum(part.file_size for part in parts)
        if size > LONGEST_WORKBOOK or len(parts) > MOST_PARTS:
            raise _ExceededError(f"unpacked it has more than {LONGEST_WORKBOOK:,} bytes, or {MOST_PARTS:,} parts")
        for part in parts:
            with book.open(part) as opened:
                end = b""
                while chunk := opened.read(_CHUNK):
                    if any(bomb in end + chunk for bomb in _BOMBS):
                        raise _ExceededError("its XML declares entities, as that of no workbook does")
                    end = chunk[-_OVERLAP:]
    return size


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
