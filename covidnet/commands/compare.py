"""Tell whether recipe B is better than A on the same images: at home, without lungs, elsewhere."""

import argparse

from covidnet.commands.options import add_json, here, refuse_no_place, tell_loading, write_json
from covidnet.errors import UserError
from covidnet.runs.find import runs_of_side


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    # Before A and B, --over would take them too.
    parser.usage = f"{parser.prog} A B [--over CLASS ...] [--ensemble A|B|both] [--json FILE]"
    text = "directory of a run, of a repeat (the mean of its seeds), or of a crossval; comparison.json is written there"
    parser.add_argument("first", type=here, metavar="A", help=text)
    parser.add_argument("second", type=here, metavar="B", help=text)
    text = "elsewhere, the scores are over these classes and their images only (default: all that are there)"
    parser.add_argument("--over", nargs="+", metavar="CLASS", help=text)
    text = "of a repeat or crossval: its ensemble, one model, in place of the mean of its runs"
    parser.add_argument("--ensemble", choices=("A", "B", "both"), help=text)
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Compare, print, write comparison.json into both directories, and anew what shows it."""
    sides = (options.first, options.second)
    runs = [runs_of_side(folder) for folder in sides]
    ensembles = [number for number, name in enumerate("AB") if options.ensemble in (name, "both")]
    for number in ensembles:
        if runs[number] == [sides[number]]:
            raise UserError(f"--ensemble {options.ensemble}: {sides[number]} is one run; leave it out.")
    refuse_no_place(options.json, "--json")
    tell_loading("scipy")
    from covidnet.evidence.compare import compare_runs
    from covidnet.evidence.compare_table import print_comparison
    from covidnet.report.renew import renew
    from covidnet.runs.files import COMPARISON, write_results

    found = compare_runs(options.first, options.second, options.over, ensembles)
    print_comparison(found)
    lacking = []
    for file in (options.second / COMPARISON, options.first / COMPARISON):
        try:
            write_results(file, found)
            print(file)
        except OSError as error:
            lacking.append(f"{file} cannot be written: {error.strerror or error}.")
    write_json(options.json, found)
    renew(options.first, options.second, options.json)
    if lacking:
        raise UserError(" ".join(lacking))
