"""Write a run's model card, as hubs read it: model_card.md."""

import argparse

from covidnet.commands.options import add_run, tell_loading
from covidnet.runs.find import refuse_unfinished


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_run(parser)


def run(options: argparse.Namespace) -> None:
    """Write the card."""
    refuse_unfinished(options.run)
    tell_loading("huggingface_hub")
    from covidnet.report.card import write_card

    print(write_card(options.run))
