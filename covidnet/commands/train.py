"""What trains and tests: run, fit, validate, test, repeat, crossval, loso, search; and what follows a run."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from covidnet.commands.help import command_help
from covidnet.commands.keys import keys_of
from covidnet.commands.options import tell_loading
from covidnet.data.typed import refuse_missing, refuse_no_data, refuse_no_file, value_of
from covidnet.errors import UserError, exit_with
from covidnet.runs.find import find_checkpoint
from covidnet.runs.members import record_of
from covidnet.training.args import NAMES, CommandLine, as_called, expand, group_content

READ = "covidnet.data.module.RadiographyDataModule"  # data that are read, and not drawn, so they must be there
NEWEST = ("last", "auto")  # checkpoints that are found by the folder of runs


def run(words: Sequence[str]) -> int:
    """Run the command that the words ask for as the last thing that this process does; return its exit code.

    Raises:
        SystemExit: With code 2 for a user's mistake, after one message on stderr.
    """
    line = _expanded(words)
    tell_loading("pytorch_lightning")
    from covidnet.training.processes import run_to_the_end

    run_to_the_end(lambda: _run_line(line))
    return 0


def main(words: Sequence[str]) -> Any:
    """Run a command in this process, for programs; return what it built: ``main(["data=phantom"]).trainer``.

    Raises:
        SystemExit: As ``run``.
    """
    return _run_line(_expanded(words))


def call(words: Sequence[str]) -> Any:
    """Run a command as ``main`` does; what it refuses is raised, and nothing exits.

    Raises:
        UserError: For a user's mistake and for what the machine lacks.
    """
    return _run_line(_sorted(words), raises=True)


def _expanded(words: Sequence[str]) -> CommandLine:
    """Sort the words; help, typos and a folder that is not there answer here, before torch is imported."""
    try:
        line = _sorted(words)
    except UserError as error:
        exit_with(error)
    if line.help == "keys":
        print(command_help(line))
        sys.exit(0)
    return line


def _sorted(words: Sequence[str]) -> CommandLine:
    line = expand(words, os.environ)
    if not (line.help or "--print_config" in line.settings):  # which look at nothing
        _refuse_wrong_paths(line)
    return line


def _refuse_wrong_paths(line: CommandLine) -> None:
    """Refuse folders and files that were typed and are not there.

    What a file or a checkpoint may say as well is left to those who read it.
    """
    for config in line.configs:
        if not config.lstrip().startswith("{"):
            refuse_no_file(config, "--config")
    keys = _data_keys(line)
    refuse_missing(keys)
    typed = {key: text for key, text in line.typed_keys().items() if value_of(text) == text}
    for key in ("model.weights", "space"):
        if key in typed:
            refuse_no_file(typed[key], key)
    if "ckpt_path" in typed:
        _refuse_no_checkpoint(line, typed["ckpt_path"])
    chosen = group_content("data", line.groups["data"])["data"]
    other = chosen["class_path"] != READ or "data" in line.typed_keys() or "class_path" in keys  # which may draw them
    told_elsewhere = line.configs or "ckpt_path" in line.typed_keys()
    misspelt = not other and bool(keys.keys() - keys_of(READ).keys())  # perhaps the root itself: the parser tells
    if not other and not misspelt and (not told_elsewhere or "root" in keys):
        refuse_no_data({**chosen.get("init_args", {}), **keys})


def _data_keys(line: CommandLine) -> dict[str, Any]:
    """Return the typed keys of the data with their values; a part of a mapping may have been typed by itself."""
    keys: dict[str, Any] = {}
    for key, text in line.typed_keys().items():
        if key.startswith("data."):
            name, _, part = key.removeprefix("data.").removeprefix("init_args.").partition(".")
            value = value_of(text, names=name in NAMES)
            keys[name] = {**(keys.get(name) or {}), part: value} if part else value
    return keys


def _refuse_no_checkpoint(line: CommandLine, given: str) -> None:
    root = line.typed_keys().get("trainer.default_root_dir", "runs")
    in_a_store = "://" in given or "://" in root
    elsewhere = given in NEWEST and (line.configs or in_a_store)
    if not (in_a_store or elsewhere):
        find_checkpoint(given, Path(root), line.groups["model"])


def _run_line(line: CommandLine, *, raises: bool = False) -> Any:
    from covidnet.training.interface import CommandLineInterface
    from covidnet.training.run_line import carry_out, run_line

    interface: type[CommandLineInterface] = CommandLineInterface
    if line.command == "repeat":
        from covidnet.series.repeat import Repetition as interface
    elif line.command == "crossval":
        from covidnet.series.crossval import CrossValidation as interface
    elif line.command == "loso":
        from covidnet.series.loso import LeaveSourcesOut as interface
    elif line.command == "search":
        interface = _search()
    return (carry_out if raises else run_line)(line, interface, _after_run)


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
    """Do the lungs test of a run where it was asked for, and write its report and card; anew those of a tested run.

    A series that has ended has its runs' behind it, and gets a page of them all.
    """
    if record_of(folder):
        if done.config["run"].report:
            from covidnet.report.series import write_series_report

            print(write_series_report(folder))
        return
    config = done.config_init.get("run")
    if not config:
        from covidnet.report.renew import renew

        renew(folder)
        return
    if config.shortcuts:
        from covidnet.evidence.lungs_test import measure_lungs

        measure_lungs(folder)
    if config.report:
        from covidnet.report.brief import commands_left, print_brief
        from covidnet.report.card import write_card
        from covidnet.report.page import judged_report
        from covidnet.runs.screen import print_next

        file, found = judged_report(folder)
        write_card(folder)
        if done.alone:
            print_brief(found)
            print()
            print_next(map(as_called, commands_left(found)))
            print_next([file.absolute().as_uri()], "report")
