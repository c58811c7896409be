"""Write lung masks for all images of a folder, with a quality each and a contact sheet."""

import argparse
import os
import sys
from pathlib import Path

from covidnet.commands.options import add_body_part, here, tell_loading
from covidnet.data.walk import MASKS, Ignored, is_folder, left_out, radiographs_below, told_by_reason
from covidnet.errors import UserError, printable, some
from covidnet.inference.mask_files import SHEET, TABLE, refuse_others_files


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    text = "folder with radiographs at any depth; folders in it that are named masks are not looked into"
    parser.add_argument("folder", type=here, metavar="FOLDER", help=text)
    text = "where the masks go, by the images' own relative names; a new folder, or one that this command has written"
    parser.add_argument("--out", type=here, metavar="FOLDER", required=True, help=text)
    add_body_part(parser, "chest")


def run(options: argparse.Namespace) -> None:
    """Write the masks, say which are doubtful and what to look at."""
    folder, out = options.folder, options.out
    paths, left = images_for(folder, out)
    tell_loading("torch")
    from covidnet.imaging.radiograph import Reading
    from covidnet.inference.mask_folder import DOUBTFUL, write_masks

    if left:
        print(f"covidnet: {printable(left_out(left))}", file=sys.stderr)
    masks = write_masks(folder, paths, out, Reading(body_part=options.body_part or "chest"))
    doubtful = sorted((one.quality, one.path) for one in masks if one.quality < DOUBTFUL)
    empty = sum(not one.lung_share for one in masks)
    print(
        f"{len(masks):,} masks in {out}, {len(doubtful):,} of a quality below {DOUBTFUL}, {empty:,} without any lung."
    )
    if doubtful:
        print(f"  {some([printable(f'{quality:.2f} {path}') for quality, path in doubtful], between=chr(10) + '  ')}")
    print(f"Look at {out / SHEET}: the worst come first. The quality of each stands in {out / TABLE}.")


def images_for(folder: Path, out: Path) -> tuple[list[str], list[Ignored]]:
    """Return the images of a folder that get masks in another, by their paths below it; and what is left out.

    Raises:
        UserError: Where there are none, or the masks cannot lie there.
    """
    _refuse_places(folder, out)
    images, left = radiographs_below(folder)
    if not images:
        others = f" ({told_by_reason(left, '; ')})" if left else ""
        raise UserError(f"{folder} holds no images{others}. Give a folder of radiographs.")
    return [image.relative_to(folder).as_posix() for image in images], left


def _refuse_places(folder: Path, out: Path) -> None:
    """Refuse what is no folder, and masks that would be taken for images of the folder."""
    if not is_folder(folder):
        found = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {found}; FOLDER must be a folder of radiographs.")
    if os.path.lexists(out) and not is_folder(out):
        raise UserError(f"--out {out} is a file, or a link that leads nowhere. Give a folder: --out FOLDER.")
    here, there = folder.resolve(), out.resolve()
    if here.is_relative_to(there):
        raise UserError(f"--out {out} holds the images of {folder}. Give a folder of its own.")
    refuse_others_files(out)
    if there.is_relative_to(here) and not {part.lower() for part in there.relative_to(here).parts} & {*MASKS}:
        raise UserError(
            f"--out {out} lies in {folder}, so that the masks would be taken for images. Give a folder elsewhere, or "
            f"one that is named {MASKS[0]}."
        )
