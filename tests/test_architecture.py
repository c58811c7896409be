"""The house is as ARCHITECTURE.md draws it: what is named there is there, and nothing grows too long."""

import ast
import json
import re
from pathlib import Path

import pytest
from helpers import ROOT

SOURCES = sorted((ROOT / "covidnet").rglob("*.py"))
TEXTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "bench" / "README.md"]
MOST_BODY, MOST_FILE, MOST_CLASS = 60, 350, 250  # lines


def drawn() -> dict[str, str]:
    """Return the rooms of the map, as folders below covidnet/, with the text that stands beside them."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    lines = text.split("```")[1].split("covidnet/\n")[1].split("\nbench/")[0].splitlines()
    rooms, path = {}, []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        found = re.match(r" +([\w/]+)/ ", line)
        if indent <= 2 * len(path) or found:  # else the line before goes on, or names a file of its room
            path = [*path[: indent // 2 - 1], *([found[1]] if found else [])]
        rooms["/".join(path)] = rooms.get("/".join(path), "") + " " + line
    return rooms


def test_each_room_is_drawn_and_each_drawn_room_is_there():
    there = {file.parent.relative_to(ROOT / "covidnet").as_posix() for file in SOURCES} - {"."}
    told = {room for room in drawn() if room}
    assert told - there == set()
    assert {room for room in there if "/" not in room} - told == set()


def test_each_file_on_the_map_is_there():
    missing = [
        name
        for room, text in drawn().items()
        for name in re.findall(r"[\w/]+\.py\b", text)
        if not any((ROOT / "covidnet" / place / name).is_file() for place in (room, ""))
    ]
    assert missing == []


def test_each_path_that_a_text_names_is_there():
    notebook = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
    cells = "".join("".join(cell["source"]) for cell in notebook["cells"])
    texts = {str(file): file.read_text(encoding="utf-8") for file in TEXTS} | {"tutorial.ipynb": cells}
    gone = []
    for name, text in texts.items():
        gone += [(name, path) for path in re.findall(r"\bcovidnet/[\w/]+\.py\b", text) if not (ROOT / path).is_file()]
        for path in re.findall(r"\b(?:from|import) (covidnet(?:\.\w+)+)", text):
            file = ROOT / path.replace(".", "/")
            gone += [(name, path)] if not (file.is_dir() or file.with_suffix(".py").is_file()) else []
    assert gone == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_nothing_is_too_long_to_be_read_at_once(file: Path):
    text = file.read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            assert node.end_lineno - node.lineno < MOST_CLASS, node.name
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[bool(ast.get_docstring(node)) :]
            assert not body or node.end_lineno - body[0].lineno < MOST_BODY, node.name
