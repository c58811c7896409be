"""Fit the last layer of a run anew, classes and sources weighing alike, and write that as a run of its own."""

import argparse
from pathlib import Path

from covidnet.commands.options import add_device, add_json, add_run, here, refuse_no_place, tell_loading, write_json
from covidnet.errors import UserError
from covidnet.runs.find import find_best, finished_runs, refuse_unfinished


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_run(parser)
    text = "directory of the new run; the next number beside RUN if left out"
    parser.add_argument("--out", type=here, metavar="FOLDER", help=text)
    add_json(parser)
    add_device(parser)


def run(options: argparse.Namespace) -> None:
    """Rebalance, print what was gained and lost, and write report and card."""
    refuse_no_run(options.run)
    refuse_no_place(options.json, "--json")
    tell_loading("pytorch_lightning")
    from covidnet.report.card import write_card
    from covidnet.report.page import write_report
    from covidnet.training.rebalance import rebalance
    from covidnet.training.rebalance_table import print_rebalanced

    folder, results = rebalance(options.run, options.out, options.device)
    print_rebalanced(results, folder)
    write_json(options.json, {**results["rebalanced"], "folder": str(folder)})
    print(write_report(folder))
    print(write_card(folder))


def refuse_no_run(folder: Path) -> None:
    """Refuse what is no directory of one finished run with its best model.

    Raises:
        UserError: With what to give instead.
    """
    runs = finished_runs(folder)
    if runs != [folder]:
        raise UserError(f"{folder} holds {len(runs)} runs. Give the directory of one of them, such as {runs[0]}.")
    refuse_unfinished(folder)
    find_best(folder)
