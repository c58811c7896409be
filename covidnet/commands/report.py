"""Write one HTML page about a run: verdicts, results with intervals, curves, heat maps, data card."""

import argparse

from covidnet.commands.options import add_run, tell_loading
from covidnet.runs.find import refuse_unfinished


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Write the report, and the card with it."""
    refuse_unfinished(options.run)
    tell_loading("torch")
    from covidnet.report.card import write_card
    from covidnet.report.page import write_report

    print(write_report(options.run))
    print(write_card(options.run))
