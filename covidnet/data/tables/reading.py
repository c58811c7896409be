"""A table of whatever make -> its columns and rows of texts: separators, encodings and Excel are found out."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from covidnet.data.spelling import composed, plain
from covidnet.errors import UserError, short
from covidnet.files.reading import LONGEST_TABLE, UNREADABLE, WIDEST_TABLE, parse_rows, read_bytes
from covidnet.files.sheet import START, read_sheet

SEPARATORS = (",", ";", "\t")
SPACE = " "  # separates the cells of lists without a header alone: names of columns have spaces in them
SEEN, SEEN_TEXT = 50, 2**18  # rows and characters by which the separator is found out
FULL, FREE = 20, 10_000_000  # a table may stand for so many times the cells that it has, and for so many more
_MARKS = {  # what a file begins with -> its encoding; the longer ones first
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_OTHERS = {  # what is no table, by its beginning -> what to do
    b"\xd0\xcf\x11\xe0": "it is an old Excel workbook (.xls): save it as .xlsx or CSV",
    b"\x1f\x8b": "it is compressed: unpack it first",
    b"%PDF": "it is a PDF",
    b"PAR1": "it is a Parquet file: write it as CSV",
}
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")  # what no text holds
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", SPACE: "spaces"}
_ENDS = re.compile(r"\r\n?|\n")  # of lines; Python knows others, which may stand in names
_AROUND = "\ufeff \t,;"  # a line that is a row of one cell
_QUOTES = re.compile(r"^(['\"])(.*)\1$")
_MORE_SPACES = re.compile("(?m)^ +| +$|(?<= ) +")  # than the one between two cells


@dataclass(frozen=True)
class Table:
    """The cells of a table, without the spaces around them, their accents composed.

    Attributes:
        file: Where it lies, as a message says it.
        columns: A name for each of C columns; one without a name is called by its number.
        rows: As many cells as columns each, those of empty rows left out.
        doubled: Names that stood above two columns or more; the later ones are called "NAME (2)" and so on.
        told: How it was read where that had to be found out; nothing for a CSV in UTF-8.
    """

    file: str
    columns: list[str]
    rows: list[list[str]]
    doubled: frozenset[str]
    told: str

    def has(self, name: str) -> bool:
        """Tell whether a column is called so, in whatever case and punctuation."""
        return any(plain(column) == plain(name) for column in self.columns)


def read_any_table(file: Path, key: str, header: Sequence[str] | None = None) -> Table:
    """Read a CSV, TSV or semicolon table in UTF-8, UTF-16, UTF-32 or Latin-1, or the first sheet of a workbook.

    Args:
        file: The table; a pipe is read too.
        key: The setting that gave it, as an error names it.
        header: What its columns are called, where its first line is a row like the others; then spaces may stand
            between the cells too.

    Raises:
        UserError: Where it is not there, or no such table.
    """
    try:
        content = read_bytes(file, LONGEST_TABLE, pipes=True)
        rows, told = _rows_of(content, SEPARATORS if header is None else (*SEPARATORS, SPACE))
        if header is None:
            return _table(file, rows, told)
        return _table(file, _under(header, rows), told, first=1)
    except UNREADABLE as error:
        raise _unread(file, "a table", key, error) from error


def read_lines(file: Path, key: str) -> list[str]:
    """Return the lines of a text in any of these encodings, without what stands around them; no empty ones.

    Raises:
        UserError: Where it is not there, or no text.
    """
    try:
        text, _ = _decoded(read_bytes(file, LONGEST_TABLE, pipes=True))
    except UNREADABLE as error:
        raise _unread(file, "a list of names", key, error) from error
    return [name for line in _ENDS.split(text) if (name := _QUOTES.sub(r"\2", line.strip(_AROUND)))]


def _unread(file: Path, what: str, key: str, error: BaseException) -> UserError:
    why = f"{error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
    return UserError(f"{file} cannot be read as {what}: {why}. Mend it, or change {key}.")


def _under(header: Sequence[str], rows: list[list[str]]) -> list[list[str]]:
    """Return rows below a header that stands elsewhere.

    Raises:
        ValueError: Where it names more columns than any row has.
    """
    widest = max(map(len, rows), default=0)
    if widest < len(header):
        raise ValueError(
            f"data.header names {len(header)} columns, {short(', '.join(header))}, but its rows have {widest} cells"
        )
    return [list(header), *rows]


def _rows_of(content: bytes, separators: Sequence[str]) -> tuple[list[list[str]], str]:
    """Return the rows of a file, and how it was read."""
    if other := next((what for start, what in _OTHERS.items() if content.startswith(start)), None):
        raise ValueError(other)
    if content.startswith(START):
        rows, sheets = read_sheet(content)
        return rows, f"of its {len(sheets)} sheets the first, {sheets[0]!r}, is read" if len(sheets) > 1 else ""
    text, encoding = _decoded(content)
    typed = re.match(r"sep=([,;\t|])\r?\n", text)  # Excel's own word
    separator = typed[1] if typed else _separator(text, separators)
    rows = list(_parsed(text[typed.end() :] if typed else text, separator))
    ways = [f"in {encoding}"] if encoding else []
    ways += [f"with {_NAMES.get(separator, separator)} between its cells"] if separator != "," else []
    return rows, f"it is read {' and '.join(ways)}" if ways else ""


def _decoded(content: bytes) -> tuple[str, str]:
    """Return a file's text, and its encoding where that is not UTF-8."""
    marked = next((encoding for mark, encoding in _MARKS.items() if content.startswith(mark)), None)
    if not marked:  # UTF-16 without its mark: every second byte of English is 0
        halves = {"utf-16-be": content[:4096:2], "utf-16-le": content[1:4096:2]}
        marked = next((encoding for encoding, half in halves.items() if 2 * half.count(0) > len(half)), None)
    try:
        encoding = marked or "utf-8"
        text = content.decode(encoding, errors="surrogatepass")  # names of any bytes
    except UnicodeDecodeError as error:
        if marked:
            raise ValueError(f"it is no text in {marked.upper().removesuffix('-SIG')}") from error
        encoding = "cp1252" if not set(content) & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "latin-1"
        text = content.decode(encoding)
        if _CONTROL.search(text):
            raise ValueError("it is no text") from error
    text = text.rstrip("\x1a")  # with which old systems end a text
    if "\0" in text:
        raise ValueError("it is no text")
    plain = encoding in ("utf-8", "utf-8-sig")
    return text, "" if plain else "Latin-1, for it is not UTF-8" if encoding[:3] in ("cp1", "lat") else encoding.upper()


def _parsed(text: str, separator: str) -> Iterator[list[str]]:
    """Yield the rows of a text; where spaces separate, several are as one."""
    return parse_rows(_MORE_SPACES.sub("", text) if separator == SPACE else text, separator)


def _separator(text: str, separators: Sequence[str]) -> str:
    """Return what stands between the cells: what cuts the first rows into the most, and all into equally many."""
    best, found = (0.0, 0), ","
    for separator in separators:
        sizes = []
        with suppress(*UNREADABLE):  # of a wrong separator; and where the sample ends
            for row in islice(_parsed(text[:SEEN_TEXT], separator), SEEN):
                sizes += [len(row)] if row else []
        if sizes and sizes[0] > 1:
            score = (round(Counter(sizes)[sizes[0]] / len(sizes), 1), sizes[0])
            best, found = max((best, found), (score, separator))
    return found


def _table(file: Path, rows: list[list[str]], told: str, first: int = 2) -> Table:
    filled = [cells for row in rows if any(cells := [composed(cell.strip()) for cell in row])]
    header, body = (filled[0], filled[1:]) if filled else ([], [])
    header = [name.strip("\ufeff") for name in header]  # a second mark
    width = len(header)
    if width > WIDEST_TABLE:
        raise ValueError(f"it has more than {WIDEST_TABLE:,} columns")
    if width * len(body) > FULL * sum(map(len, body)) + FREE:
        raise ValueError("its rows lack most of their values")
    for number, row in enumerate(body, start=first):
        if len(row) > width and any(row[width:]):
            raise ValueError(
                f"row {number} ({short(row[0])}) has {len(row)} cells, but there are {width} columns: is there a text "
                "with a separator in it, but no quotes around it?"
            )
        row[width:] = [""] * (width - len(row))
    nameless = [index for index, name in enumerate(header) if not name]
    if empty := {index for index in nameless if not any(row[index] for row in body)}:  # after a separator too many
        kept = [index for index in range(width) if index not in empty]
        header, body = [header[index] for index in kept], [[row[index] for index in kept] for row in body]
    names, doubled = distinct_names(header)
    return Table(str(file), names, body, doubled, told)


def distinct_names(header: Sequence[str]) -> tuple[list[str], frozenset[str]]:
    """Return a name for each column, no two alike, and those that were."""
    counts: Counter[str] = Counter()
    names = []
    for number, cell in enumerate(header, start=1):
        name = cell or f"column {number}"
        counts[name] += 1
        names.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return names, frozenset(name for name, count in counts.items() if count > 1)
