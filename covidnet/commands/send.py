"""Send what is not yet in its object store of a run of trainer.default_root_dir=s3://BUCKET/FOLDER."""

import argparse

from covidnet.commands.options import add_run


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Send, and tell where to."""
    from covidnet.runs.remote import send_run

    print(send_run(options.run))
