"""What is in a folder of radiographs, before any training."""

import argparse
from pathlib import Path

from covidnet.commands.options import add_body_part, add_json, write_json
from covidnet.data.walk import refuse_no_root
from covidnet.errors import UserError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder that holds one folder of radiographs a class")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="which class folders; all where left out")
    text = "table (path, patient, group, source) to read, or none; if left out, metadata.csv in ROOT or its parent"
    parser.add_argument("--metadata", metavar="FILE", help=text)
    text = "where to write the table; ROOT/metadata.csv if left out"
    parser.add_argument("--out", type=Path, metavar="FILE", help=text)
    parser.add_argument("--force", action="store_true", help="overwrite a table that is there")
    add_body_part(parser, "chest")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Inspect the folder, write the table where it may be written, print the checks."""
    refuse_no_root(options.root, "ROOT")
    from covidnet.evidence.audit import audit, write_table
    from covidnet.evidence.audit_screen import print_audit

    if options.out and options.out.exists() and not options.force:
        raise UserError(f"{options.out} is there already. Give --force to overwrite it, or another --out.")
    audited = audit(options.root, options.classes, options.metadata, options.body_part)
    if options.metadata == "none" and not options.out:
        table, told = None, "No table was written: in ROOT it would hide one that was not read. Give --out FILE."
    else:
        table, told = write_table(audited, options.root, options.out, force=options.force)
    print_audit(audited.report, told)
    write_json(options.json, {**audited.report, "table": str(table) if table else None})
