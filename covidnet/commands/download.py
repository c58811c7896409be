"""Download the COVID-19 Radiography Database, unpack it and audit it."""

import argparse

from covidnet.commands.options import here, tell_loading
from covidnet.data.typed import refuse_no_file
from covidnet.errors import UserError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("--version", type=int, metavar="N", help="of the data set on Kaggle (default: the newest)")
    text = "folder to make, which training then reads (default: where training looks, data.root)"
    parser.add_argument("--to", type=here, metavar="FOLDER", help=text)
    text = "unpack this file, which was downloaded by hand, and keep it"
    parser.add_argument("--archive", type=here, metavar="FILE", help=text)


def run(options: argparse.Namespace) -> None:
    """Fetch the database, look at it, and tell how to train on it."""
    if options.version is not None and (options.archive or options.version < 1):
        raise UserError("--version must be 1 or more, and goes with a download, not with --archive.")
    if options.archive:
        refuse_no_file(str(options.archive), "--archive")
    tell_loading("sklearn")
    from covidnet.data.download import download
    from covidnet.data.radiographs import Radiographs
    from covidnet.evidence.audit import audit, write_table
    from covidnet.evidence.audit_screen import print_audit
    from covidnet.training.args import typed

    default = Radiographs.default_root
    root = download(options.to or default, options.version, options.archive)
    audited = audit(root)
    _, told = write_table(audited, root, None, force=False)
    print_audit(audited.report, told)
    print(f"Here is {audited.report['release'] or 'a release that is not known'}: {root}")
    print(f"Train: {typed('run', [] if root == default else [f'data.root={root}'])}")
