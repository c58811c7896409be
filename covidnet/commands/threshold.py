"""Find the threshold that gives a class a wanted sensitivity or specificity, and keep it in the model."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from covidnet.commands.options import add_device, add_run, tell_loading
from covidnet.errors import UserError
from covidnet.runs.files import CROSSVAL
from covidnet.runs.find import find_best, finished_runs, refuse_unfinished
from covidnet.runs.members import record_of


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_run(parser, repeat=", or of a repeat: each of its seeds, and their ensemble")
    text = "the class that is called from the threshold upward; below it, the most probable other class is called"
    parser.add_argument("--class", dest="name", metavar="CLASS", help=text)
    wish = parser.add_mutually_exclusive_group(required=True)
    text = "the highest threshold that finds this share of the validation images of CLASS, as 0.95"
    wish.add_argument("--sensitivity", type=float, metavar="SHARE", help=text)
    text = "the lowest threshold that does not call this share of the other validation images CLASS"
    wish.add_argument("--specificity", type=float, metavar="SHARE", help=text)
    wish.add_argument("--undo", action="store_true", help="take the threshold back: the most probable class is called")
    add_device(parser)


def run(options: argparse.Namespace) -> None:
    """Keep the threshold, or take it back, and write what shows it anew."""
    if (options.run / CROSSVAL).is_file():
        raise UserError(
            f"{options.run} is a cross-validation, whose ensemble has no calibrated probability that a threshold could "
            "be of. Give the directory of one of its runs, or of a repeat."
        )
    runs = finished_runs(options.run)
    for folder in runs:
        refuse_unfinished(folder)
        find_best(folder)
    _refuse_wish(options)
    tell_loading("torch")
    from covidnet.evidence.decision import keep_wish, print_decision, take_back
    from covidnet.report.renew import renew

    for folder in runs:
        if options.undo:
            there = take_back(folder)
            print(f"{folder}: {'the threshold is taken back' if there else 'no threshold was kept'}.")
        else:
            print_decision(keep_wish(folder, options.name, *_wish(options), options.device), folder)
        renew(folder)
        _tell_export(folder)
    if record_of(options.run):
        _of_series(options)


def _of_series(options: argparse.Namespace) -> None:
    """Do the same for the ensemble of a series, which has no card of its own."""
    from covidnet.evidence.decision import print_decision
    from covidnet.evidence.series_decision import keep_wish_of_series, take_back_of_series

    folder = options.run
    if options.undo:
        there = take_back_of_series(folder)
        print(f"{folder}: {'the threshold is taken back' if there else 'no threshold was kept'}.")
    else:
        print_decision(keep_wish_of_series(folder, options.name, *_wish(options)), folder)
    _tell_export(folder)


def _tell_export(folder: Path) -> None:
    from covidnet.inference.export import FOLDER, ONNX

    if (folder / FOLDER / ONNX).is_file():
        print(f"{folder / FOLDER} was written before: covidnet export {shlex.quote(str(folder))} writes it anew.")


def _wish(options: argparse.Namespace) -> tuple[Any, float]:
    return ("sensitivity", options.sensitivity) if options.specificity is None else ("specificity", options.specificity)


def _refuse_wish(options: argparse.Namespace) -> None:
    """Refuse words that do not go together, and a share that is none."""
    if options.undo:
        if options.name is not None:
            raise UserError("--undo takes back the threshold of whatever class: leave --class out.")
        return
    wish, wanted = _wish(options)
    if options.name is None:
        raise UserError(f"--{wish} is wanted of which class? Give --class CLASS.")
    if not 0 < wanted <= 1:
        raise UserError(f"--{wish} {wanted:g} must be a share above 0 and up to 1, as 0.95.")
