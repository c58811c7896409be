"""Odd tables: split files and tables of metadata beside good images."""

import contextlib
from collections.abc import Sequence

from hypothesis import strategies as st

from bench.fuzz.folders import serve
from bench.fuzz.pieces import CLASSES, GOOD, PER_CLASS, scratch, write_good
from covidnet.errors import UserError
from covidnet.evidence.audit import audit

# fmt: off
cells = st.sampled_from(
    [
        *(f"{name}/{number}.png" for name in CLASSES for number in range(PER_CLASS)),
        "train", "val", "test", *CLASSES, "path", "label", "split", "patient", "group", "source", "", "test:A/0.png",
        "../A/0.png", "/A/0.png", "A\\0.png", "=1+1", " A/0.png", "a" * 300,
    ]
) | st.text(max_size=8)
# fmt: on
separators = st.sampled_from([",", ",", ",", ";", "\t", ",,", '",', '"'])
line_ends = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", '"\n'])


@st.composite
def tables(draw: st.DrawFn, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Draw a table near to a right one, or far from it, in some encoding, perhaps with wrong bytes."""
    table = [list(header), *(list(row) for row in rows)]
    if draw(st.booleans()):
        table = draw(st.lists(st.lists(cells, max_size=6), max_size=12))
    for _ in range(draw(st.integers(0, 4))):
        if table and (row := draw(st.sampled_from(table))):
            change = draw(st.sampled_from(["cell", "drop", "add", "copy"]))
            if change == "cell":
                row[draw(st.integers(0, len(row) - 1))] = draw(cells)
            elif change == "drop":
                row.pop()
            elif change == "add":
                row.append(draw(cells))
            else:
                table.insert(draw(st.integers(0, len(table))), list(row))
    separator, end = draw(separators), draw(line_ends)
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    content = bytearray(end.join(separator.join(row) for row in table).encode(encoding, "replace"))
    for _ in range(draw(st.integers(0, 3)) if content else 0):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content)


SPLIT = [[path, path[0], ("train", "train", "train", "val", "test")[number % 5]] for number, path in enumerate(GOOD)]
METADATA = [[path, f"p{number // 2}", "", f"s{number % 3}"] for number, path in enumerate(GOOD)]
split_files = tables(("path", "label", "split"), SPLIT)
metadata_tables = tables(("path", "patient", "group", "source"), METADATA)


def read_split_file(content: bytes) -> None:
    """Serve good images by a split file."""
    with scratch() as here:
        write_good(here / "root")
        (here / "split.csv").write_bytes(content)
        serve(here / "root", here, split_file=str(here / "split.csv"))


def read_metadata_table(content: bytes) -> None:
    """Audit and serve good images with a table."""
    with scratch() as here:
        root, file = write_good(here / "root"), here / "table.csv"
        file.write_bytes(content)
        with contextlib.suppress(UserError):
            audit(root, metadata=str(file))
        serve(root, here, metadata=str(file), balance="source")
