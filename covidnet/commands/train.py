"""What trains and tests: run, fit, validate, test, repeat, crossval, loso, search; and what follows a run."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from covidnet.commands.help import command_help
from covidnet.data.walk import refuse_no_root
from covidnet.errors import UserError, exit_with
from covidnet.files.reading import parse_yaml
from covidnet.training.args import GROUPS, CommandLine, expand


def run(words: Sequence[str]) -> int:
    """Run the command that the words ask for as the last thing that this process does; return its exit code.

    Raises:
        SystemExit: With code 2 for a user's mistake, after one message on stderr.
    """
    line = _expanded(words)
    from covidnet.training.processes import run_to_the_end

    run_to_the_end(lambda: _run_line(line))
    return 0


def main(words: Sequence[str]) -> Any:
    """Run a command in this process, for programs; return what it built: ``main(["data=phantom"]).trainer``.

    Raises:
        SystemExit: As ``run``.
    """
    return _run_line(_expanded(words))


def _expanded(words: Sequence[str]) -> CommandLine:
    """Sort the words; help, typos and a folder that is not there answer here, before torch is imported."""
    try:
        line = expand(words, os.environ)
        if line.help == "keys":
            print(command_help(line))
            sys.exit()
        _refuse_wrong_root(line)
    except UserError as error:
        exit_with(error)
    return line


def _refuse_wrong_root(line: CommandLine) -> None:
    """Refuse a folder of radiographs that was typed and is not there, where nothing is drawn into it."""
    typed = line.typed_keys()
    root, roots = typed.get("data.root"), typed.get("data.roots")
    other = line.groups["data"] != GROUPS["data"] or "data" in line.typed_keys()  # which may draw what it serves
    if root and not other and "://" not in root and _is_plain(root):
        refuse_no_root(Path(root).expanduser(), "data.root")
    for name, folder in _folders(roots).items() if roots else []:
        if "://" not in folder:
            refuse_no_root(Path(folder).expanduser(), f"data.roots[{name}]")


def _folders(text: str) -> dict[str, str]:
    """Return the folders that data.roots names; none where it is no such thing, of which the parser tells."""
    try:
        value = parse_yaml(text)
    except (yaml.YAMLError, ValueError):
        return {}
    named = value.items() if isinstance(value, dict) else []
    return {name: folder for name, folder in named if isinstance(name, str) and isinstance(folder, str)}


def _is_plain(text: str) -> bool:
    """Tell a text that the parser, which reads YAML, takes as it is."""
    try:
        return bool(parse_yaml(text) == text)
    except (yaml.YAMLError, ValueError):
        return False


def _run_line(line: CommandLine) -> Any:
    from covidnet.training.interface import CommandLineInterface
    from covidnet.training.run_line import run_line

    interface: type[CommandLineInterface] = CommandLineInterface
    if line.command == "repeat":
        from covidnet.series.repeat import Repetition as interface
    elif line.command == "crossval":
        from covidnet.series.crossval import CrossValidation as interface
    elif line.command == "loso":
        from covidnet.series.loso import LeaveSourcesOut as interface
    elif line.command == "search":
        interface = _search()
    return run_line(line, interface, _after_run)


def _search() -> Any:
    """Return the command search, which needs libraries that the others do not."""
    try:
        from covidnet.series.search import Search
    except ImportError as error:
        exit_with(
            f"What searches is not installed ({error}): pip install 'covidnet[search]', then the same command again."
        )
    return Search


def _after_run(done: Any, folder: Path) -> None:
    """Do the lungs test of a run where it was asked for, and write its report and model card."""
    config = done.config_init["run"]
    if config.shortcuts:
        from covidnet.evidence.lungs_test import measure_lungs

        measure_lungs(folder)
    if config.report:
        from covidnet.report.card import write_card
        from covidnet.report.page import write_report

        print(write_report(folder))
        print(write_card(folder))
