"""Facts about what is read from elsewhere: each reader goes through a gate, and each gate has its limits."""

import ast
import csv
import io
import json
import os
import time
from pathlib import Path

import pytest
import yaml
from helpers import mistake, slow
from made_run import write_run

import covidnet
from covidnet.commands.main import main as tools
from covidnet.data.division.metadata import read_metadata
from covidnet.data.division.split import read_split
from covidnet.errors import UserError
from covidnet.files import reading
from covidnet.runs.claim import recorded_recipe
from covidnet.runs.predictions import read_predictions
from covidnet.runs.remote import store_of
from covidnet.runs.run import Run

PACKAGE = Path(covidnet.__file__).parent
# What reads a file or gives values for a text -> the files that may do so. The last name counts, whatever the module
# is called where it is used.
GATES = {
    "json.load": (),
    "json.loads": (
        "files/reading.py",
        "data/cache.py",  # the journal's first line, whose length lines_of has bounded
        "data/cache_journal.py",  # its lines, one by one
        "data/cache_shelf.py",  # the journal's first line, of which it reads so many bytes
        "files/mirror.py",  # likewise
        "series/study.py",  # what this process has just written
        "report/checklist.py",  # a file of the package
    ),
    "yaml.safe_load": ("files/reading.py",),
    "yaml.load": (),
    "yaml.full_load": (),
    "yaml.unsafe_load": (),
    "yaml.compose": ("files/reading.py",),
    "csv.reader": ("files/reading.py",),
    "csv.DictReader": ("files/reading.py",),
    "torch.load": ("files/tensors.py",),
    "torch.jit.load": (),
    "safetensors.torch.load_file": ("files/tensors.py",),
    "pickle.load": (),
    "pickle.loads": (),
    "pickle.Unpickler": ("files/tensors.py",),
    "zipfile.ZipFile": ("files/tensors.py", "files/archive.py", "files/sheet.py"),
    "openpyxl.load_workbook": ("files/sheet.py",),
    "tarfile.open": ("files/archive.py",),
    "gzip.open": (),
    "numpy.load": (),
    "numpy.loadtxt": (),
    "numpy.genfromtxt": (),
    "numpy.fromfile": (),
    "numpy.memmap": ("data/cache.py",),
    "pandas.read_csv": (),
    "shelve.open": (),
    "xml.etree.ElementTree.parse": (),
    "sqlite3.connect": ("series/study.py",),  # search.db, by Optuna
    "PIL.Image.open": (
        "imaging/opened.py",
        "serving/limits.py",
        "imaging/sizes.py",
    ),  # formats that Pillow reads itself
    "pydicom.dcmread": ("imaging/dicom/read.py",),
}
METHODS = {  # of any object
    "read_text": (
        "data/phantoms.py",
        "report/checklist.py",
        "serving/app.py",  # files of the package
    ),
    "read_bytes": (
        "imaging/decode.py",
        "data/phantoms.py",
        "commands/keys.py",  # this program's own source
    ),
    "load_from_checkpoint": ("runs/checkpoint.py",),  # after its own gate has read the file
    "construct_document": (),
}


def names_in(tree: ast.AST) -> dict[str, str]:
    """Return what each imported name stands for."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                known[one.asname or one.name.partition(".")[0]] = one.name if one.asname else one.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module:
            known.update({one.asname or one.name: f"{node.module}.{one.name}" for one in node.names})
    return known


def dotted(node: ast.AST, known: dict[str, str]) -> str:
    """Return what a name with its attributes stands for, or nothing."""
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    if isinstance(node, ast.Attribute):
        return f"{above}.{node.attr}" if (above := dotted(node.value, known)) else ""
    return ""


def readers_in(text: str, file: str) -> list[str]:
    """Return the readers in a file of Python that may not be there."""
    tree = ast.parse(text)
    known, found = names_in(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = dotted(node, known)
            if name in GATES and file not in GATES[name]:
                found.append(f"{file}:{node.lineno} {name}")
        if isinstance(node, ast.Attribute) and file not in METHODS.get(node.attr, (file,)):
            gate = dotted(node.value, known).startswith("covidnet.files.reading")
            found += [] if gate else [f"{file}:{node.lineno} .{node.attr}"]
    return found


def test_every_reader_goes_through_a_gate():
    files = sorted(PACKAGE.rglob("*.py"))
    found = [one for file in files for one in readers_in(file.read_text(), file.relative_to(PACKAGE).as_posix())]
    assert found == []


def test_what_a_gate_is_for_is_found_elsewhere():
    careless = """
import json as j, numpy as np, yaml
from csv import DictReader as Rows
from torch import load
j.loads(file.read_text()); np.load(file); yaml.safe_load(file); Rows(file); load(file); file.read_bytes()
"""
    found = [line.rpartition(" ")[2] for line in readers_in(careless, "runs/new.py")]
    expected = [
        "json.loads",
        ".read_text",
        "numpy.load",
        "yaml.safe_load",
        "csv.DictReader",
        "torch.load",
        ".read_bytes",
    ]
    assert sorted(found) == sorted(expected)


def test_no_name_of_a_gate_is_out_of_date():
    files = {name for gates in (GATES, METHODS) for places in gates.values() for name in places}
    assert all((PACKAGE / name).is_file() for name in files)


# JSON

SOON = 5.0  # seconds: a machine of the tests may be busy
ODD_JSON = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep within": "[" * 500 + "]" * 500,
    "a long integer": "1" * 10**6,
    "an integer that no float holds": "1" * 400,
    "nan": '{"a": NaN}',
    "inf": '{"a": 1e999}',
    "half a text": '{"a": "',
    "no text": b"\xff\xfe\x00",
    "nothing": "",
    "many values": "[" + "1," * 1_500_000 + "1]",
}


@pytest.mark.parametrize("content", ODD_JSON.values(), ids=ODD_JSON)
def test_odd_json_is_an_error_with_a_reason(tmp_path, content):
    file = tmp_path / "x.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = time.process_time()
    with pytest.raises(ValueError, match=" "):
        reading.read_json(file)
    assert time.process_time() - before < SOON


def test_odd_json_is_read_or_crashes_where_it_is_read_without_care():
    assert json.loads('{"a": NaN}')["a"] != json.loads('{"a": NaN}')["a"]
    with pytest.raises(RecursionError):
        json.loads(ODD_JSON["deep"])
    with pytest.raises(OverflowError):
        float(json.loads(ODD_JSON["an integer that no float holds"]))


def draw_odd_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which cost most of a report, where they show nothing of the file that is odd."""
    if name not in ("results.json", "metrics.csv", "predictions.csv"):
        monkeypatch.setattr("covidnet.report.page._figures", lambda _: {})


@pytest.mark.parametrize("content", ODD_JSON.values(), ids=ODD_JSON)
@pytest.mark.parametrize("name", ["results.json", "shortcuts.json", "external.json", "audit.json", "comparison.json"])
def test_odd_json_in_a_run_is_one_sentence(tmp_path, capsys, monkeypatch, name, content):
    run = write_run(tmp_path)
    draw_odd_alone(name, monkeypatch)
    (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        code = tools(["report", str(run)])
    except SystemExit as ended:
        code = ended.code
    assert code in (0, 2)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == (code == 2)


def test_odd_json_in_the_records_of_a_run_counts_for_nothing(tmp_path):
    for content in ODD_JSON.values():
        for name in (".store.json", "repeat.json"):
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        assert store_of(tmp_path) is None
        assert recorded_recipe(tmp_path / "repeat.json") is None


# YAML


def bomb() -> str:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    return "\n".join(lines + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)])


def merged() -> str:
    lines = ["a0: &a0 {b: 1, c: 2}"]
    return "\n".join(lines + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9)])


ODD_YAML = {
    "aliases": bomb(),
    "merges": merged(),
    "a loop": "a: &a [*a]",
    "a loop of keys": "a: &a {b: *a}",
    "deep": "[" * 50_000,
    "deep by lines": "a:\n" + "\n".join(" " * n + "- " for n in range(600)) + "x",
    "long": "a: 1\n" * 100_000,
    "a long integer": "a: " + "1" * 10_000,
    "a tag": "a: !!python/object/apply:os.mkdir [ran]",
    "no text": b"\xff\xfe\x00",
    "no keys": "[1, 2]",
    "a section of text": "model: x",
    "a section of lists": "data: {init_args: [1]}",
    "half": "a: [1",
}


@slow
@pytest.mark.parametrize("content", ODD_YAML.values(), ids=ODD_YAML)
def test_odd_yaml_in_a_run_is_one_sentence(tmp_path, capsys, content):
    run = write_run(tmp_path)
    (run / "config.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = time.process_time()
    with pytest.raises(UserError, match="is damaged"):
        _ = Run(run).settings
    assert time.process_time() - before < SOON
    for command in (["report", str(run)], ["card", str(run)]):
        assert "is damaged" in mistake(lambda command=command: tools(command), capsys)


def test_a_bomb_of_yaml_is_one_where_it_is_read_without_care():
    loaded = yaml.safe_load(bomb())["a8"]
    for _ in range(8):
        loaded = loaded[0]
    assert len(bomb()) < 1_000
    assert len(loaded) == 10


# Tables


def lacking(rows: int = 20_000) -> str:
    """Return a table of a million bytes that stands for 200,000,000 values."""
    return ",".join(["path", "label", "split", *map(str, range(10_000))]) + "\n" + "a\n" * rows


ODD_TABLES = {
    "lacking": lacking(),
    "wide": "path," * 50_000 + "\n",
    "a long value": 'path\n"' + "a" * 200_000 + '"\n',
    "an open quote": 'path,label\n"' + "a\n" * 200_000,
    "no text": b"\xff\xfe\x00\x01",
    "nothing": "",
    "zeros": b"\0" * 1_000,
    "a pickle": b"\x80\x04\x95\x00",
}


@pytest.mark.parametrize("content", ODD_TABLES.values(), ids=ODD_TABLES)
def test_odd_tables_are_one_sentence(tmp_path, content):
    file = tmp_path / "x.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    readers = [
        lambda: read_split(file, ["A/a.png"], [0], ["A", "B"]),
        lambda: read_metadata(file, tmp_path, ["A/a.png"]),
        lambda: read_predictions(file),
    ]
    for read in readers:
        before = time.process_time()
        with pytest.raises(UserError) as refused:
            read()
        assert time.process_time() - before < SOON
        assert len(str(refused.value)) < 2_000


def test_a_table_of_short_rows_is_a_bomb_where_it_is_read_without_care():
    small = list(csv.DictReader(io.StringIO(lacking(10))))
    assert sum(map(len, small)) > 100_000


@pytest.mark.parametrize("name", ["split.csv", "metrics.csv", "predictions.csv", "test_evaluations.csv"])
@pytest.mark.parametrize("content", ODD_TABLES.values(), ids=ODD_TABLES)
def test_odd_tables_in_a_run_are_one_sentence(tmp_path, capsys, monkeypatch, name, content):
    run = write_run(tmp_path)
    draw_odd_alone(name, monkeypatch)
    (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        code = tools(["report", str(run)])
    except SystemExit as ended:
        code = ended.code
    assert code in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_tables_are_read_as_before(tmp_path):
    file = tmp_path / "x.csv"
    file.write_bytes(b'\xef\xbb\xbf path , label\r\nA/\xc3\xa9.png, "a, b"\r\nshort\r\n')
    columns, rows = reading.read_table(file, spaces=True)
    assert columns == ["path", "label"]
    assert rows == [{"path": "A/é.png", "label": "a, b"}, {"path": "short", "label": None}]


# Any file


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among files")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x")
    for read in (reading.read_json, reading.read_yaml, reading.read_table, reading.read_rows, reading.read_text):
        with pytest.raises(ValueError, match="no plain file"):
            read(tmp_path / "x")


def test_a_file_without_end_is_not_read(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.truncate(2**40)  # without a byte on the disk
    for read in (reading.read_json, reading.read_yaml, reading.read_rows, reading.read_text):
        with pytest.raises(ValueError, match="more than"):
            read(tmp_path / "x")
