"""How long it takes to list images by a table of their labels: seconds by the number of rows, for tables of each make.

python -m bench.tables --rows 25000 50000 100000

The images are empty files: none is opened. Each table is listed three times, and the fastest counts.
"""

import argparse
import csv
import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from covidnet.data.division.metadata import read_metadata
from covidnet.data.tables.keys import table_keys
from covidnet.data.tables.listing import TableListing

REPEATS = 3
LABELS = ("No Finding", "Pneumonia", "Pneumonia|Effusion", "Mass", "Effusion|Mass|Nodule")
KEYS = {"Normal": ["No Finding"], "Pneumonia": ["Pneumonia"]}
FINDINGS = [f"Finding {number}" for number in range(10)]


def path_of(number: int) -> str:
    """Return where image number n lies: three to a patient, in twelve folders, as NIH's are."""
    return f"images_{number // 3 % 12:03d}/images/{number // 3:08d}_{number % 3:03d}.png"


def make_images(root: Path, count: int) -> None:
    """Write so many empty files."""
    for number in range(count):
        file = root / path_of(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def as_csv(rows: list[list[str]], separator: str = ",") -> str:
    """Return rows as a text."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue()


def nih(count: int, name: Callable[[int], str]) -> list[list[str]]:
    """Return a table of twelve columns with a cell of labels."""
    head = [
        "Image Index",
        "Finding Labels",
        "Follow-up #",
        "Patient ID",
        "Patient Age",
        "Patient Gender",
        "View Position",
    ]
    more = ["2682", "2749", "0.143", "0.143", ""]
    rows = [[name(n), LABELS[n % 5], str(n % 3), str(n // 3), str(20 + n % 60), "M", "PA", *more] for n in range(count)]
    return [[*head, *(f"x{number}" for number in range(5))], *rows]


def chexpert(count: int) -> list[list[str]]:
    """Return a table with paths of another machine and a column a finding."""
    cells = [["1.0", "", "0.0"], ["", "1.0", "-1.0"], ["0.0", "", ""]]
    rows = [
        [f"/data/nih/{path_of(n)}", str(n // 3), *cells[n % 3], *(("", "1.0")[n % (k + 2) == 0] for k in range(10))]
        for n in range(count)
    ]
    return [["Path", "patient", "No Finding", "Pneumonia", "Edema", *FINDINGS], *rows]


def boxes(count: int) -> list[list[str]]:
    """Return a table of names without an ending, with three equal rows an image."""
    rows = [[Path(path_of(n // 3)).stem, LABELS[n // 3 % 2], str(n), str(n % 3)] for n in range(count)]
    return [["image_id", "class_name", "x_min", "rad_id"], *rows]


def write_workbook(file: Path, rows: list[list[str]]) -> None:
    """Write rows as a workbook."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in rows:
        sheet.append(row)
    book.save(file)


def write_tables(folder: Path, count: int) -> dict[str, Path]:
    """Write a table of each make; return what it is -> its file."""
    bare = nih(count, lambda n: Path(path_of(n)).name)
    texts = {
        "12 columns, bare names": as_csv(bare).encode(),
        "12 columns, paths": as_csv(nih(count, path_of)).encode(),
        "the same, UTF-16, tabs": as_csv(nih(count, path_of), "\t").encode("utf-16"),
        "15 columns, a column a finding": as_csv(chexpert(count)).encode(),
        "3 rows an image, no endings": as_csv(boxes(count)).encode(),
    }
    files = {}
    for number, (name, content) in enumerate(texts.items()):
        files[name] = folder / f"{number}.csv"
        files[name].write_bytes(content)
    files["12 columns, bare names, .xlsx"] = folder / "0.xlsx"
    write_workbook(folder / "0.xlsx", bare)
    return files


def fastest(act: Callable[[], object]) -> float:
    """Return the seconds of the fastest of some tries."""
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[25_000, 50_000, 100_000])
    options = parser.parse_args()
    keys = table_keys("x", None, KEYS, None, "unknown", "skip")
    found: dict[str, list[float]] = {}
    for count in options.rows:
        with tempfile.TemporaryDirectory() as scratch:
            root, tables = Path(scratch, "images"), Path(scratch, "tables")
            tables.mkdir()
            make_images(root, count)
            acts: dict[str, Callable[[], object]] = {
                name: partial(TableListing, {"": root}, {file: ""}, keys, None, "data.root")
                for name, file in write_tables(tables, count).items()
            }
            paths = sorted(map(path_of, range(count)))
            acts["data.metadata, 12 columns, paths"] = partial(read_metadata, tables / "1.csv", root, paths)
            for name, act in acts.items():
                found.setdefault(name, []).append(fastest(act))
    table = Table("seconds to list by a table", *(f"{count:,} rows" for count in options.rows))
    for name, seconds in found.items():
        table.add_row(name, *(f"{one:.2f}" for one in seconds))
    Console().print(table)


if __name__ == "__main__":
    main()
