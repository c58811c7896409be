"""List the runs that are there, a row each, with what is known of them; or make room, without a loss."""

import argparse
import json
from pathlib import Path

from covidnet.commands.options import agreed, say_disk, words_of, write_json
from covidnet.files.home import at_home
from covidnet.training.args import CONFIGS, choices

ACTIONS = ("ls", "clean")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    text = (
        "ls, which is meant where nothing is said, or clean, which frees room and loses no result; then the folder of "
        "runs (default: runs)"
    )
    parser.add_argument("words", nargs="*", metavar="[ls|clean] [FOLDER]", help=text)
    text = "of ls: write what was found there, for programs; without FILE, on the screen in place of the table"
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help=text)
    text = "of clean: remove runs too that were cut off and could go on; what they have trained is lost"
    parser.add_argument("--cut-off", action="store_true", help=text)
    parser.add_argument("--yes", action="store_true", help="of clean: do not ask")


def run(options: argparse.Namespace) -> None:
    """Print the table, or free room."""
    action, given = words_of(options.words, ACTIONS)
    folder = at_home(given or "runs")
    if action == "clean":
        _clean(folder, cut_off=options.cut_off, yes=options.yes)
        return
    from covidnet.runs.states import runs_below

    found = runs_below(folder)
    from covidnet.files.reading import read_yaml
    from covidnet.report.overview import describe, print_overview

    recipes = {name: read_yaml(CONFIGS / "recipe" / f"{name}.yaml") for name in choices("recipe")}
    rows = [describe(one, recipes) for one in found]
    if options.json == "-":
        print(json.dumps({"runs": rows}, indent=2))
        return
    print_overview(folder, rows)
    write_json(Path(options.json) if options.json else None, {"runs": rows})


def _clean(folder: Path, *, cut_off: bool, yes: bool) -> None:
    from covidnet.runs.clean import clean, remains_in

    remains = remains_in(folder, cut_off=cut_off)
    say_disk([(one.kind, one.size, one.place) for one in remains], f"Nothing in {folder} can go without a loss.")
    if remains and agreed("Remove this? Results, reports and what runs need to go on stay.", yes=yes):
        print(f"{clean(remains) / 1e6:,.1f} MB are free again.")
