"""Odd run directories: a real one whose files a stranger has changed, and the commands that read such a directory."""

import contextlib
import csv
import io
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from bench.fuzz.commands import tool, train, train_by
from bench.fuzz.pieces import scratch
from bench.fuzz.recipes import Doctored, doctored
from bench.fuzz.running import expect
from bench.fuzz.tables import tables
from bench.fuzz.trained import SPECIAL, Change, changes, trained

JSONS = ("results.json", "shortcuts.json", "external.json", "comparison.json", "audit.json")
TABLES = ("split.csv", "predictions.csv", "metrics.csv", "external_predictions.csv", "test_evaluations.csv")
WRITTEN = [name for name in SPECIAL if name != "shared lists"]  # which JSON writes out
CONFIG = "config.yaml"
CHECKPOINTS = ("checkpoints/best.ckpt", "checkpoints/last.ckpt")
# What stands in the place of a file, by a name: a link, or something that is no file.
PLACES = {
    "nothing": lambda file: None,
    "itself": lambda file: file.symlink_to(file.name),
    "zeros": lambda file: file.symlink_to("/dev/zero"),
    "passwords": lambda file: file.symlink_to("/etc/passwd"),
    "a folder": lambda file: file.mkdir(),
    "a pipe": os.mkfifo,
    "no bytes": lambda file: file.touch(),
    "other bytes": lambda file: file.write_bytes(bytes(range(256)) * 9),
    "without end": lambda file: (file.touch(), os.truncate(file, 2**40)),
}
COMMANDS = {  # that read a run directory -> how often one is drawn: some take long
    "report": 2,
    "card": 6,
    "compare": 3,
    "compare other": 2,
    "predict": 4,
    "publish": 4,
    "evaluate": 1,
    "test": 1,
    "feed back": 3,
    "go on": 1,
    "shortcuts": 1,
}


@dataclass(frozen=True)
class RunDirectory:
    """A file of a run, and what it holds or what stands in its place; and the command that reads the directory."""

    file: str
    holds: list[Change] | bytes | str | Doctored
    command: str

    def write(self, here: Path) -> Path:
        """Write the directory."""
        run = here / "run"
        shutil.copytree(trained() / "run", run)
        file = run / self.file
        if isinstance(self.holds, list):
            file.write_bytes(_changed(file, self.holds))
        elif isinstance(self.holds, bytes):
            file.write_bytes(self.holds)
        elif isinstance(self.holds, Doctored):
            self.holds.write(file)
        else:
            file.unlink(missing_ok=True)
            PLACES[self.holds](file)
        return run


def _changed(file: Path, changed: list[Change]) -> bytes:
    content = plain_in(file)
    for change in changed:
        content = change.apply(content)
    if file.suffix == ".json":
        return json.dumps(content).encode(errors="surrogatepass")
    return yaml.safe_dump(content, allow_unicode=True).encode(errors="surrogatepass")


def plain_in(file: Path) -> Any:
    """Return what a JSON or YAML file of the trained run holds."""
    return json.loads(file.read_text()) if file.suffix == ".json" else yaml.safe_load(file.read_text())


@cache
def _changes_of(name: str) -> st.SearchStrategy[list[Change]]:
    return changes(plain_in(trained() / "run" / name), WRITTEN if name.endswith(".json") else SPECIAL)


@cache
def _table_of(name: str) -> st.SearchStrategy[bytes]:
    text = (trained() / "run" / name).read_text()
    header, *rows = csv.reader(io.StringIO(text))
    return tables(tuple(header), rows)


@st.composite
def run_directories(draw: st.DrawFn) -> RunDirectory:
    """Draw a file of a run and what becomes of it."""
    command = draw(st.sampled_from([name for name, count in COMMANDS.items() for _ in range(count)]))
    name = draw(st.sampled_from([*JSONS, "results.json", "results.json", *TABLES, CONFIG, CONFIG, *CHECKPOINTS]))
    if draw(st.integers(0, 6)) == 0:
        return RunDirectory(name, draw(st.sampled_from(sorted(PLACES))), command)
    if name in CHECKPOINTS:
        return RunDirectory(name, draw(doctored("fit" if "last" in name else "predict")), command)
    return RunDirectory(name, draw(_table_of(name) if name in TABLES else _changes_of(name)), command)


def read_run(case: RunDirectory) -> None:
    """Let a command read a doctored directory; nothing is written above it."""
    place = trained()
    with scratch() as here:
        run = case.write(here)
        (here / "work").mkdir()
        with contextlib.chdir(here / "work"):
            _read(case.command, run, place)
        expect({one.name for one in here.iterdir()} <= {"run", "work"}, "a file that is written elsewhere")


def _read(command: str, run: Path, place: Path) -> None:
    words: dict[str, Sequence[object]] = {
        "report": ("report", run),
        "card": ("card", run),
        "compare": ("compare", place / "other", run),
        "compare other": ("compare", run, run),
        "predict": ("predict", run, "--format", "csv"),
        "publish": ("publish", run, "--to", "me/x", "--folder", "out"),
        "evaluate": ("evaluate", run, place / "root"),
        "shortcuts": ("shortcuts", run),
    }
    if command in words:
        tool(*words[command], codes=(0, 2, 3))
    elif command == "test":
        train_by("test", f"ckpt_path={run / 'checkpoints' / 'best.ckpt'}")
    elif command == "go on":
        train_by("fit", f"ckpt_path={run / 'checkpoints' / 'last.ckpt'}", "trainer.max_epochs=2", "data.num_workers=0")
    else:
        train(place / "root", f"--config={run / CONFIG}", f"data.split_file={run / 'split.csv'}", "ckpt_path=null")
