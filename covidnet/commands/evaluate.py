"""Test a model on images from elsewhere, beside its own test: the drop, and each source."""

import argparse
import sys
from pathlib import Path
from typing import Any

from covidnet.commands.options import add_body_part, add_device, add_masks, here, refuse_no_place, tell_loading
from covidnet.data.typed import refuse_no_file, refuse_no_masks
from covidnet.data.walk import refuse_no_external_root
from covidnet.errors import UserError
from covidnet.runs.files import EXTERNAL, EXTERNAL_PREDICTIONS, write_results
from covidnet.runs.find import find_best, finished_runs, run_directory
from covidnet.runs.members import find_model, record_of


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    text = (
        "directory of a run (its best.ckpt), or of a repeat or crossval: each of its runs, then the mean of their "
        "models; or a checkpoint"
    )
    parser.add_argument("checkpoint", type=here, metavar="RUN", help=text)
    parser.add_argument("root", type=here, metavar="FOLDER", help="folder above class folders, at any depth")
    text = "what a folder's name means: a class, or skip to leave it out; may be given again"
    parser.add_argument("--map", action="append", default=[], metavar="NAME=CLASS", help=text)
    text = "table (path, patient, group, source), or none (default: metadata.csv in FOLDER or its parent)"
    parser.add_argument("--metadata", metavar="FILE", help=text)
    text = "ages at which a new group begins, such as 18,40,65 (default: as in training)"
    parser.add_argument("--bins", metavar="AGES", help=text)
    text = "a column of the table by whose values the scores are told too, at most 10 of them; may be given again"
    parser.add_argument("--subgroups", action="append", metavar="COLUMN", help=text)
    parser.add_argument("--keep-seen", action="store_true", help="measure on images of its training and validation too")
    parser.add_argument("--json", type=here, metavar="FILE", help="write what external.json holds here too")
    text = "write what external_predictions.csv holds here too"
    parser.add_argument("--predictions", type=here, metavar="FILE", help=text)
    add_device(parser)
    add_body_part(parser)
    add_masks(parser, "covidnet's own lung network, or box as in training; only where the model's images are cut")
    parser.add_argument("--cache-dir", type=here, metavar="FOLDER", help="where decoded images are kept")
    parser.add_argument("--no-cache", action="store_true", help="keep no decoded images")


def run(options: argparse.Namespace) -> None:
    """Evaluate, print and write; of a series each run, then their ensemble. Write anew what shows it."""
    given = options.checkpoint
    checkpoints = [find_best(one) for one in (finished_runs(given) if given.is_dir() else [given])]
    checkpoints += _ensemble_of(given)
    refuse_no_external_root(options.root)
    refuse_no_masks(options.masks, "--masks")
    if options.metadata:
        refuse_no_file(options.metadata, "--metadata")
    _refuse_files(options, len(checkpoints))
    tell_loading("torch")
    bins = _ages(options.bins) if options.bins is not None else None
    from covidnet.evidence.external import Options, evaluate
    from covidnet.evidence.external_table import print_report
    from covidnet.report.renew import renew

    how = Options(
        names=dict(_name_and_class(text) for text in options.map),
        metadata=options.metadata,
        keep_seen=options.keep_seen,
        device=options.device,
        cache=not options.no_cache,
        cache_dir=options.cache_dir,
        body_part=options.body_part,
        bins=bins,
        subgroups=options.subgroups,
        masks=options.masks,
    )
    folders = [one if one.is_dir() else run_directory(one) for one in checkpoints]
    for checkpoint, folder in zip(checkpoints, folders, strict=True):
        evaluation = evaluate(checkpoint, options.root, how)
        print_report(evaluation.report)
        _write(evaluation, folder, options.json, options.predictions)
    renew(*folders, options.json)


def _ensemble_of(given: Path) -> list[Path]:
    """Return the directory of a series whose runs are all there; tell where one is not."""
    try:
        return [find_model(given)] if record_of(given) else []
    except UserError as error:
        print(f"covidnet: {error} Until then its runs are evaluated, and not their mean.", file=sys.stderr)
        return []


def _ages(text: str) -> list[int]:
    from covidnet.data.attributes import check_bins

    parts = text.strip("[] ").split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise UserError(f"--bins {text} must be ages in whole years with commas between them, such as 18,40,65.")
    ages = [int(part) for part in parts]
    check_bins(ages, "--bins")
    return ages


def _name_and_class(text: str) -> tuple[str, str]:
    from covidnet.data.external import SKIP

    name, equals, value = text.rpartition("=")
    if not (equals and name.strip() and value.strip()):
        raise UserError(f"--map {text} must be NAME=CLASS, or NAME={SKIP}: a folder's name and what it means.")
    return name.strip(), value.strip()


def _refuse_files(options: argparse.Namespace, runs: int) -> None:
    """Refuse files that cannot be written, now and not after the work."""
    for option, file in {"--json": options.json, "--predictions": options.predictions}.items():
        if file and runs > 1:
            raise UserError(
                f"{file} can hold one run, but {options.checkpoint} holds {runs}: leave it out, as each "
                f"of them gets its {EXTERNAL} and {EXTERNAL_PREDICTIONS}."
            )
        refuse_no_place(file, option)


def _write(evaluation: Any, folder: Path | None, report: Path | None, predictions: Path | None) -> None:
    """Write what was found into the run directory and wherever else it was asked for; tell where."""
    from covidnet.runs.predictions import write_predictions

    tables = [*([folder / EXTERNAL_PREDICTIONS] if folder else []), *([predictions] if predictions else [])]
    reports = [*([folder / EXTERNAL] if folder else []), *([report] if report else [])]
    more: dict[str, Any] = {"source": evaluation.sources, "patient": evaluation.groups.tolist()}
    if evaluation.apart is not None:
        more["disagreement"] = [f"{one:.4g}" for one in evaluation.apart]
    try:
        for file in tables:
            write_predictions(file, evaluation.paths, evaluation.logits, evaluation.labels, evaluation.classes, more)
        for file in reports:
            write_results(file, evaluation.report)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be written: {error.strerror}.") from error
    if not folder:
        print(
            f"covidnet: {evaluation.report['checkpoint']} does not lie in its run directory, so no {EXTERNAL} is left; "
            "--json FILE writes it.",
            file=sys.stderr,
        )
    for file in (*reports, *tables):
        print(file)
