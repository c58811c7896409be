"""Send a run's model card, checkpoint and export to a hub, after showing what would be sent."""

import argparse

from covidnet.commands.options import add_run, here, tell_loading
from covidnet.runs.find import refuse_unfinished


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_run(parser)
    parser.add_argument("--to", required=True, metavar="USER/NAME", help="repository on the Hugging Face hub")
    parser.add_argument("--private", action="store_true", help="make the repository private, if it is new")
    parser.add_argument("--license", metavar="ID", help="licence of the weights, as the hub writes it: mit, cc-by-4.0")
    parser.add_argument("--folder", type=here, metavar="FOLDER", help="write the files there, and send nothing")
    parser.add_argument("--yes", action="store_true", help="send without asking")


def run(options: argparse.Namespace) -> None:
    """Show, ask and send."""
    refuse_unfinished(options.run)
    tell_loading("torch")
    from covidnet.report.publish import publish

    publish(
        options.run,
        options.to,
        private=options.private,
        license=options.license,
        folder=options.folder,
        yes=options.yes,
    )
