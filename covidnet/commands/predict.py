"""Tell what a model says about files, folders and patterns: one line for each image."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from covidnet.commands.options import add_body_part, add_checkpoint, add_device, here, refuse_no_place, tell_loading
from covidnet.data.walk import find_images, left_out
from covidnet.errors import UserError
from covidnet.imaging.kinds import kind_of
from covidnet.runs.members import find_model

UNREADABLE = 3  # the exit code where some files could not be read, or hold pictures of a kind that is not
FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "table"}  # by the ending of --out
FEW = 16  # so many images need no progress bar


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_checkpoint(parser)
    text = "images, folders of images, patterns such as 'x/**/*.png' (default: the test images of the run)"
    parser.add_argument("paths", nargs="*", metavar="PATH", help=text)
    parser.add_argument("--out", type=here, metavar="FILE", help="write there (.csv, .jsonl, .txt), not on the screen")
    text = "default: by the ending of --out; without --out, a table on a terminal, else CSV"
    parser.add_argument("--format", choices=("csv", "jsonl", "table"), help=text)
    add_device(parser)
    add_body_part(parser)
    text = "images that the model sees at once (default: as in training)"
    parser.add_argument("--batch-size", type=int, metavar="N", help=text)


def run(options: argparse.Namespace) -> int:
    """Predict; return the exit code."""
    kind = _format(options.format, options.out)
    find_model(options.checkpoint)
    refuse_no_place(options.out, "--out")
    files, left = find_images(options.paths)
    tell_loading("torch")
    from covidnet.inference.predictions import WRITERS, files_in, rows, test_images
    from covidnet.inference.predictor import Predictor
    from covidnet.machine.parallel import progress_bar
    from covidnet.report.renew import renew

    predictor = Predictor(options.checkpoint, options.device, options.body_part)
    work = files_in(predictor, files) if options.paths else test_images(predictor)
    batch_size = predictor.batch_size if options.batch_size is None else options.batch_size
    if batch_size < 1:
        raise UserError(f"--batch-size {batch_size} must be 1 image or more.")
    for line in (predictor.notice, predictor.cost, predictor.unfitted if predictor.several else None):
        if line:
            print(f"covidnet: {line}", file=sys.stderr)
    if left:
        print(f"covidnet: {left_out(left)}", file=sys.stderr)
    unreadable = 0
    with _opened(options.out) as stream:
        write = WRITERS[kind](stream, predictor)
        with progress_bar(len(work.paths), "predicting", hidden=len(work.paths) <= FEW) as bar:
            for row in rows(predictor, work, batch_size):
                write(row)
                unreadable += row.error is not None
                bar.update()
    if options.out:
        print(options.out)
        renew(options.out)
    if unreadable:
        print(
            f"covidnet: {unreadable} of {len(work.paths)} files could not be read; the column error tells why.",
            file=sys.stderr,
        )
    return UNREADABLE if unreadable or any(kind_of(path).pictures for path, _ in left) else 0


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    """Open the standard output, or a file that is there whole or not at all.

    After Ctrl-C or an error the lines so far are kept under another name, which is told.
    """
    if out is None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="surrogateescape")  # names of files may be of any bytes
        yield sys.stdout
        return
    unfinished = out.with_name(f"{out.name}.{os.getpid()}")
    try:
        stream = unfinished.open("w", newline="", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror or error}.") from error
    try:
        with stream:
            yield stream
    except BaseException:
        kept = out.with_name(f"{out.name}.unfinished")
        unfinished.replace(kept)
        print(f"covidnet: what was predicted so far is in {kept}.", file=sys.stderr)
        raise
    unfinished.replace(out)


def _format(given: str | None, out: Path | None) -> str:
    """Return the format that was asked for, by name or by the ending of the file; on a terminal a table."""
    if given:
        return given
    if out is None:
        return "table" if sys.stdout.isatty() else "csv"
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"--out {out}: its ending tells no format. Give .csv, .jsonl or .txt, or --format.")
    return FORMATS[out.suffix.lower()]
