"""Odd tables of labels, one or several, with a header or without, and odd lists of a split beside good images."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from bench.fuzz.folders import serve
from bench.fuzz.pieces import GOOD, scratch, write_good
from bench.fuzz.tables import SPLIT, cells, tables

LABELLED = [[path, path[0], f"p{number // 2}", SPLIT[number][2]] for number, path in enumerate(GOOD)]
FOUND = [[path, str(int(path[0] == "A")), str(int(path[0] == "B"))] for path in GOOD]
table_keys = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.sampled_from([{"A": "A", "B": ["B", "b"]}, {"A": "A", "B": "B"}, {"A": "1", "B": "0"}, {"A": ""}]),
        "classes": st.just(["B", "A"]),
        "header": st.sampled_from([["path", "label", "patient", "split"], ["path", "A", "B"], ["A", "path"], []]),
        "path_suffix": st.sampled_from([".png", "g", "_study", ""]),
        "columns": st.dictionaries(st.sampled_from(["path", "label", "patient", "split", "x"]), cells, max_size=2),
        "separator": st.sampled_from([",", "|", "", "A"]),
        "uncertain": st.sampled_from(["unknown", "positive"]),
        "disagree": st.sampled_from(["skip", "any", "most"]),
    },
)


@st.composite
def near_tables(draw: st.DrawFn, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Draw a right table in one of its spellings, with a cell or two changed, a row doubled or a line left blank."""
    table = [list(header), *(list(row) for row in rows)]
    for _ in range(draw(st.integers(0, 2))):
        row = draw(st.sampled_from(table))
        row[draw(st.integers(0, len(row) - 1))] = draw(cells)
    table += draw(st.lists(st.sampled_from(table[1:]), max_size=2))
    table.insert(draw(st.integers(0, len(table))), [])
    text, ends = io.StringIO(newline=""), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    separator = draw(st.sampled_from([",", ";", "\t"]))
    csv.writer(text, delimiter=separator, lineterminator=ends, quoting=quoting).writerows(table)
    return text.getvalue().encode(
        draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])), "replace"
    )


in_cells, in_columns = ("path", "label", "patient", "split"), ("path", "A", "B")
label_tables = st.tuples(
    near_tables(in_cells, LABELLED)
    | near_tables(in_columns, FOUND)
    | tables(in_cells, LABELLED)
    | tables(in_columns, FOUND),
    st.just({}) | table_keys,
)


def read_label_table(case: tuple[bytes, dict[str, Any]]) -> None:
    """Serve good images by a table of their labels."""
    content, keys = case
    with scratch() as here:
        root, file = write_good(here / "root"), here / "table.csv"
        file.write_bytes(content)
        serve(root, here, table=str(file), **keys)


sides = st.sampled_from(["train", "Training", "valid", "val", "test", "", "tset"])
several_tables = st.tuples(
    st.lists(
        st.tuples(
            sides, near_tables(in_cells, LABELLED[:6]) | near_tables(in_columns, FOUND[4:]) | tables((), LABELLED)
        ),
        min_size=1,
        max_size=3,
    ),
    st.just({}) | st.just({"header": list(in_cells)}) | table_keys,
)
lines = st.one_of(
    st.sampled_from([*GOOD, "A", "B/", "5.png", "A/1", "x.png", "path", '"B/2.png",', "\\A\\1.png"]), cells
)
split_lists = st.dictionaries(
    sides,
    st.tuples(
        st.lists(lines, max_size=8).map(lambda names: [*names, *GOOD[:3]]) | st.lists(lines, max_size=3),
        st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    ),
    max_size=3,
)


def read_several_tables(case: tuple[list[tuple[str, bytes]], dict[str, Any]]) -> None:
    """Serve good images by several tables, as a list of them or by the side that each stands for."""
    given, keys = case
    with scratch() as here:
        root = write_good(here / "root")
        by_side: dict[str, list[str]] = {}
        for number, (side, content) in enumerate(given):
            (root / f"{number}.csv").write_bytes(content)
            by_side.setdefault(side, []).append(f"<root>/{number}.csv")
        files = [file for files in by_side.values() for file in files]
        serve(root, here, table=files if "" in by_side else by_side, **keys)


def read_split_lists(case: dict[str, tuple[list[str], str, str]]) -> None:
    """Serve good images by lists of a split."""
    with scratch() as here:
        root = write_good(here / "root")
        given = {}
        for number, (side, (names, end, encoding)) in enumerate(case.items()):
            given[side] = str(here / f"{number}.txt")
            (here / f"{number}.txt").write_bytes(end.join(names).encode(encoding, "replace"))
        serve(root, here, split_lists=given)
