"""Send a run to its object store: whatever is not there yet."""

import argparse

from covidnet.commands.options import add_run


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Send, and tell where to."""
    from covidnet.runs.remote import send_run

    print(send_run(options.run))
