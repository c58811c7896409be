"""Rank labels by how doubtful they are, by models that had not seen the image; write a table to correct."""

import argparse
import shlex

from covidnet.commands.options import add_json, here, refuse_no_place, tell_loading, write_json
from covidnet.errors import UserError
from covidnet.runs.files import LABELS
from covidnet.runs.find import finished_runs, refuse_unfinished
from covidnet.runs.members import record_of

SHOWN = 20


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    text = "directory of a crossval: all its images; or of a run or a repeat: the images of its test alone"
    parser.add_argument("run", type=here, metavar="RUN", help=text)
    text = f"how many of the most doubtful labels to show, and to keep in labels.json (default: {SHOWN})"
    parser.add_argument("--top", type=int, default=SHOWN, metavar="N", help=text)
    parser.add_argument("--out", type=here, metavar="FILE", help="where to write the table (default: RUN/labels.csv)")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Rank the labels, print, write the table and the numbers, and of a series the page that shows its images."""
    folder = options.run
    for one in finished_runs(folder):
        refuse_unfinished(one)
    if options.top < 0:
        raise UserError(f"--top {options.top} must be 0 or more: so many images are shown.")
    refuse_no_place(options.out, "--out")
    refuse_no_place(options.json, "--json")
    tell_loading("torch")
    from covidnet.evidence.labels import doubt_labels, refuse_corrected
    from covidnet.evidence.labels_table import print_labels
    from covidnet.runs.files import write_results

    table, numbers = (folder / name for name in LABELS)
    table = options.out or table
    doubted = doubt_labels(folder)
    refuse_corrected(table, doubted.given)
    found = doubted.plain(options.top)
    print_labels(found, str(folder))
    try:
        doubted.write(table)
        write_results(numbers, found)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be written: {error.strerror or error}. Give --out FILE.") from error
    write_json(options.json, found)
    print(f"{table}\n{numbers}")
    corrected = shlex.quote(f"data.table={table}")
    print(f"Correct the column label there, then train as before with {corrected} beside data.root=FOLDER.")
    if record_of(folder):
        from covidnet.report.series import write_series_report

        print(write_series_report(folder))
