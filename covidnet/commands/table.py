"""Write a table of patients, views and ages from DICOM headers, with no name in it."""

import argparse

from covidnet.commands.options import here, refuse_no_place, tell_loading
from covidnet.errors import UserError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("folder", type=here, metavar="FOLDER", help="folder with DICOM files at any depth")
    text = "where to write the table (default: FOLDER/metadata.csv, where training finds it)"
    parser.add_argument("--out", type=here, metavar="FILE", help=text)
    parser.add_argument("--force", action="store_true", help="overwrite a table that is there")
    text = "secret that patients and studies are hashed with, made where it does not exist; keep it to yourself"
    parser.add_argument("--salt", type=here, metavar="FILE", help=text)


def run(options: argparse.Namespace) -> None:
    """Read the headers, write the table, say what is in it."""
    folder = options.folder
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {found}; FOLDER must be a folder that holds DICOM files.")
    refuse_no_place(options.out, "--out")
    tell_loading("pydicom")
    from covidnet.data.dicom_table import read_salt, read_tree, told_of
    from covidnet.data.division.metadata import NAME, write_metadata
    from covidnet.files.folders import default_salt

    out = options.out or folder / NAME
    if out.exists() and not options.force:
        raise UserError(f"{out} is there already. Give --force to overwrite it, or another --out FILE.")
    file = options.salt or default_salt()
    salt, new = read_salt(file)
    table = read_tree(folder, salt)
    try:
        write_metadata(out, table.rows)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}. Give --out FILE.") from error
    for line in told_of(table):
        print(line)
    kept = "Keep it: the same file gives the same patients the same names" if new else "It was there already"
    print(f"Patients and studies are hashed with the salt in {file}. {kept}; whoever has it can try IDs.")
    print(f"Names of files and folders stand in the table as they are: if they tell who somebody is, so does it. {out}")
