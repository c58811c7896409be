"""Run the lungs test: train twice more, lungs covered and lungs only. How much of the skill survives?"""

import argparse

from covidnet.commands.options import add_json, add_masks, add_run, refuse_no_place, tell_loading, write_json
from covidnet.data.typed import refuse_no_masks
from covidnet.errors import UserError
from covidnet.runs.files import SHORTCUTS
from covidnet.runs.find import finished_runs, refuse_unfinished


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_run(parser, repeat=", or of a repeat: each of its seeds")
    add_masks(parser, "as in the run")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Do the lungs test of each run, and write anew what shows it."""
    runs = finished_runs(options.run)
    for folder in runs:
        refuse_unfinished(folder)
    refuse_no_place(options.json, "--json")
    refuse_no_masks(options.masks, "--masks")
    tell_loading("pytorch_lightning")
    from covidnet.evidence.lungs_test import measure_lungs
    from covidnet.report.renew import renew

    if options.json and len(runs) > 1:
        raise UserError(
            f"{options.json} can hold one run, but {options.run} holds {len(runs)}: leave it out, as each of them gets "
            f"its {SHORTCUTS}."
        )
    for folder in runs:
        write_json(options.json, measure_lungs(folder, options.masks))
        renew(folder, options.json)
