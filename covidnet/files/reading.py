"""The one way in which a text, a JSON, a YAML or a CSV file that may be a stranger's becomes plain values.

Each has a limit on its bytes, on how many values it stands for and on how deep they lie; what exceeds one, or is no
such file, is an error with a reason. Tensors have ``tensors.py``, archives ``archive.py``, workbooks ``sheet.py``,
images ``imaging/decode``.
"""

import csv
import io
import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from covidnet.files.plain import measure

LONGEST_TEXT = 2**26  # bytes; a report of a hundred thousand images has a fifth
LONGEST_YAML = 2**18  # bytes: PyYAML reads some hundred thousand a second
LONGEST_TABLE = 2**30  # bytes: five million rows
MOST_YAML_VALUES = 100_000  # counted as often as an alias repeats them
WIDEST_TABLE = 20_000  # columns; a class is one
_NUMERIC = tuple("0123456789+-.")  # what numbers begin with
UNREADABLE = (OSError, ValueError, csv.Error)  # what the functions below raise


def read_bytes(file: Path, most: int = LONGEST_TEXT, *, pipes: bool = False) -> bytes:
    """Return what a file holds; of a pipe, which may have us wait for ever, only where ``pipes`` are the user's own.

    Raises:
        OSError: As ``open``.
        ValueError: Where it has more than ``most`` bytes, or is no plain file.
    """
    with open(file, "rb", opener=None if pipes else _open) as content:  # a path takes no opener
        mode = os.fstat(content.fileno()).st_mode
        if not (stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode))):
            raise ValueError("it is no plain file")
        found: bytes = content.read(most + 1)
    if len(found) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return found


def read_text(file: Path, most: int = LONGEST_TEXT, *, errors: str = "strict") -> str:
    """Return the text in a UTF-8 file, its ends of lines as one character; else as ``read_bytes``."""
    return io.TextIOWrapper(io.BytesIO(read_bytes(file, most)), encoding="utf-8", errors=errors).read()


def read_json(file: Path) -> Any:
    """Return what a JSON file holds: finite numbers of a size to reckon with.

    Raises:
        OSError: As ``open``.
        ValueError: Where it is no JSON, or exceeds a limit.
    """
    return parse_json(read_text(file))


def parse_json(text: str) -> Any:
    """Return what a text in JSON means; else as ``read_json``."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("its values lie too deep in one another") from error
    measure(value, finite=True, longest=LONGEST_TEXT)
    return value


def read_yaml(file: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        OSError: As ``open``.
        ValueError: Where it is no text, or exceeds a limit.
        yaml.YAMLError: Where it is no YAML, or has tags that would build something.
    """
    return parse_yaml(read_text(file, LONGEST_YAML))


def parse_yaml(text: str) -> Any:
    """Return what a text in YAML means; else as ``read_yaml``."""
    if len(text) > LONGEST_YAML:
        raise ValueError(f"it has more than {LONGEST_YAML:,} characters")
    try:
        if count_yaml(text) > MOST_YAML_VALUES:
            raise ValueError(f"it stands for more than {MOST_YAML_VALUES:,} values")
        value = yaml.safe_load(text)
    except RecursionError as error:
        raise ValueError("its values lie too deep in one another") from error
    measure(value, lambda _: None, most=2 * MOST_YAML_VALUES)  # a date is a value too; what holds itself is refused
    return value


def count_yaml(text: str) -> int:
    """Return for how many values a text in YAML stands, before one of them is built."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = 1  # what holds itself is refused where it is built
            inner = node.value if isinstance(node, yaml.CollectionNode) else []
            pairs = [part for pair in inner for part in (pair if isinstance(pair, tuple) else (pair,))]
            sizes[id(node)] = 1 + sum(size(part) for part in pairs)
        return sizes[id(node)]

    node = yaml.compose(text, yaml.SafeLoader)
    return size(node) if node is not None else 0


def keep_names(text: str, keys: Sequence[str] | None = None) -> str:
    """Return a text in YAML in which names stay what they are: ``[1, no]`` becomes ``['1', 'no']``.

    Args:
        text: What is no YAML, or one value alone, is returned as it is.
        keys: The keys whose lists and mappings hold names; all of the text does where left out.
    """
    if keys is not None and not any(key in text for key in keys):
        return text
    try:
        node = yaml.compose(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError):  # told by who reads it
        return text
    if not isinstance(node, yaml.CollectionNode):
        return text
    waiting, seen = [(node, keys is None)], set()
    while waiting:
        one, named = waiting.pop()
        if (id(one), named) in seen:
            continue
        seen.add((id(one), named))
        if isinstance(one, yaml.ScalarNode):
            if named:  # in quotes what other readers of YAML take for numbers, such as 1e3
                one.tag, one.style = "tag:yaml.org,2002:str", "'" if one.value[:1] in _NUMERIC else None
        elif isinstance(one, yaml.MappingNode):
            for key, value in one.value:
                below = named or (keys is not None and key.value in keys and isinstance(value, yaml.CollectionNode))
                waiting += [(key, named), (value, below)]
        else:
            waiting += [(part, named) for part in one.value]
    return str(yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True, width=2**20))


def parse_rows(text: str, separator: str) -> Iterator[list[str]]:
    """Yield the rows of a table in a text as lists of cells; an empty line gives an empty one.

    Raises:
        ValueError: Where a row exceeds a limit.
        csv.Error: Where the text is no such table, odd quotes among it; it names the line.
    """
    spaces = separator != " "  # may stand before a cell
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=spaces)
    try:
        for row in lines:
            if len(row) > WIDEST_TABLE:
                raise ValueError(f"it has more than {WIDEST_TABLE:,} columns")
            yield row
    except csv.Error as error:
        raise csv.Error(f"line {lines.line_num}: {error}") from error


def read_table(
    file: Path, *, strict: bool = False, spaces: bool = False, pipes: bool = False
) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns of a CSV file in UTF-8 and its rows; what a short row lacks is None, as in ``csv.DictReader``.

    Args:
        file: The table; names of any bytes in it are kept.
        strict: Refuse odd quotes.
        spaces: Leave out those around the columns' names and before a value.
        pipes: Read a pipe too.

    Raises:
        OSError: As ``open``.
        ValueError: Where it is no such text, or exceeds a limit.
        csv.Error: Where it is no CSV.
    """
    content = read_bytes(file, LONGEST_TABLE, pipes=pipes)
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", errors="surrogatepass", newline="")
    reader = csv.DictReader(lines, strict=strict, skipinitialspace=spaces)
    columns = list(reader.fieldnames or [])
    if len(columns) > WIDEST_TABLE:
        raise ValueError(f"it has more than {WIDEST_TABLE:,} columns")
    if spaces:
        reader.fieldnames = columns = [name.strip() for name in columns]
    rows = []
    left = len(content) + len(columns)  # a value takes a byte or more; one that a row lacks takes none
    for row in reader:
        left -= len(columns)
        if left < 0:
            raise ValueError("its rows lack most of their values")
        rows.append(row)
    return columns, rows


def read_rows(file: Path) -> list[list[str]]:
    """Return the rows of a CSV file as lists, its columns' names first; else as ``read_table``."""
    content = read_bytes(file)
    return list(csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")))


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
