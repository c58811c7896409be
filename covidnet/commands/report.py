"""Write one HTML page about a run, repeat or crossval: verdicts, results with intervals, curves, heat maps."""

import argparse

from covidnet.commands.options import add_run, tell_loading
from covidnet.runs.find import refuse_unfinished
from covidnet.runs.members import record_of


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_run(parser, repeat=", or of a repeat or crossval: one page of all its runs")


def run(options: argparse.Namespace) -> None:
    """Write the report and the card with it; of a series, which has no card, the report alone."""
    if record_of(options.run):
        tell_loading("torch")
        from covidnet.report.series import write_series_report

        print(write_series_report(options.run))
        return
    refuse_unfinished(options.run)
    tell_loading("torch")
    from covidnet.report.card import write_card
    from covidnet.report.page import write_report

    print(write_report(options.run))
    print(write_card(options.run))
