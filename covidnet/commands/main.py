"""The console script ``covidnet``: one function a command. Imports nothing heavy until a command runs."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from covidnet.errors import UserError, exit_with
from covidnet.machine.faults import explain
from covidnet.training.args import COMMANDS, expand

Command: TypeAlias = Callable[[argparse.Namespace], int | None]  # its exit code, 0 where it says nothing


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code.

    0 where the command did its work, whatever it found: a verdict is a finding, not an error. 2 for a user's mistake
    and 4 for what the machine lacks, after one message on stderr; 3 where files could not be read and the others were;
    130 for Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        return _train(words)
    options = build_parser().parse_args(words)
    try:
        code: int | None = options.command(options)
    except UserError as error:
        exit_with(error)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except Exception as error:
        mistake = explain(error)
        if mistake is None:
            raise
        exit_with(mistake)
    return code or 0


def _train(words: Sequence[str]) -> int:
    """Run one of train.py's commands, as an installed covidnet has no train.py."""
    try:
        command_line = expand(words, os.environ)
    except UserError as error:
        exit_with(error)
    from covidnet.training.interface import run_command_line
    from covidnet.training.processes import run_to_the_end

    run_to_the_end(lambda: run_command_line(command_line))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; a command's function is its ``command``."""
    parser = argparse.ArgumentParser(
        prog="covidnet",
        description="Train a chest X-ray classifier, know what its numbers are worth, and use it.",
        epilog="covidnet COMMAND --help tells what a command takes. Research software, not a medical device.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text.removesuffix(" (the default)"), add_help=False)  # `main` takes their words
    for add in (
        _download,
        _audit,
        _shortcuts,
        _evaluate,
        _compare,
        _report,
        _card,
        _predict,
        _serve,
        _export,
        _publish,
        _send,
    ):
        add(commands)
    return parser


def _shortcuts(commands: Any) -> None:
    """The lungs test of a run: train twice more, lungs covered and lungs only; how much of its skill survives."""
    parser = _command(commands, "shortcuts", _shortcuts.__doc__, _run_shortcuts)
    _add_run(parser, repeat=", or of a repeat: each of its seeds")
    _add_json(parser)


def _run_shortcuts(options: argparse.Namespace) -> None:
    from covidnet.evidence.lungs_test import test_lungs
    from covidnet.report.card import write_card
    from covidnet.runs.files import SHORTCUTS
    from covidnet.runs.run import finished_runs

    runs = finished_runs(options.run)
    if options.json and len(runs) > 1:
        raise UserError(
            f"{options.json} can hold one run, but {options.run} holds {len(runs)}: leave it out, as each of them gets "
            f"its {SHORTCUTS}."
        )
    for run in runs:
        _write_json(options.json, test_lungs(run))
        print(write_card(run))


def _evaluate(commands: Any) -> None:
    """A trained model on images from elsewhere, beside its own test: the drop, and each source."""
    parser = _command(commands, "evaluate", _evaluate.__doc__, _run_evaluate)
    text = "a checkpoint, or the directory of a run (its best.ckpt) or of a repeat (that of each seed)"
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help=text)
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder above class folders, at any depth")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="NAME=CLASS",
        help="what a folder's name means: a class, or skip to leave it out; may be given again",
    )
    parser.add_argument(
        "--metadata",
        metavar="FILE",
        help="table (path, patient, group, source), or none; if left out, metadata.csv in ROOT or its parent",
    )
    parser.add_argument("--keep-seen", action="store_true", help="measure on images of the training set too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what external.json holds here too")
    parser.add_argument(
        "--predictions", type=Path, metavar="FILE", help="write what external_predictions.csv holds here too"
    )
    _add_device(parser)
    parser.add_argument("--cache-dir", type=Path, metavar="FOLDER", help="where decoded images are kept")
    parser.add_argument("--no-cache", action="store_true", help="keep no decoded images")


def _run_evaluate(options: argparse.Namespace) -> None:
    from covidnet.evidence.external import run
    from covidnet.report.card import write_card

    for folder in run(options):
        print(write_card(folder))


def _compare(commands: Any) -> None:
    """Whether recipe B is better than recipe A, paired on the same images: inside, without lungs, outside."""
    parser = _command(commands, "compare", _compare.__doc__, _run_compare)
    parser.usage = "covidnet compare A B [--over CLASS ...] [--json FILE]"  # before A and B, --over would take them too
    text = "directory of a run, or of a repeat: the mean of its seeds"
    parser.add_argument("first", type=Path, metavar="A", help=text)
    parser.add_argument("second", type=Path, metavar="B", help=f"{text}; comparison.json is written there")
    text = "outside, the scores are over these classes and their images only; all that are there, if left out"
    parser.add_argument("--over", nargs="+", metavar="CLASS", help=text)
    _add_json(parser)


def _run_compare(options: argparse.Namespace) -> None:
    from covidnet.evidence.compare import run

    _write_json(options.json, run(options.first, options.second, options.over))


def _report(commands: Any) -> None:
    """One HTML file of a run: verdicts, results with intervals, curves, heat maps, data card."""
    parser = _command(commands, "report", _report.__doc__, _run_report)
    _add_run(parser)


def _run_report(options: argparse.Namespace) -> None:
    from covidnet.report.card import write_card
    from covidnet.report.page import write_report

    print(write_report(options.run))
    print(write_card(options.run))


def _card(commands: Any) -> None:
    """The model card of a run, as hubs read it: model_card.md."""
    parser = _command(commands, "card", _card.__doc__, _run_card)
    _add_run(parser)


def _run_card(options: argparse.Namespace) -> None:
    from covidnet.report.card import write_card

    print(write_card(options.run))


def _publish(commands: Any) -> None:
    """Send a run's model card, checkpoint and export to a hub repository, after showing what would be sent."""
    parser = _command(commands, "publish", _publish.__doc__, _run_publish)
    _add_run(parser)
    parser.add_argument("--to", required=True, metavar="USER/NAME", help="repository on the Hugging Face hub")
    parser.add_argument("--private", action="store_true", help="make the repository private, if it is new")
    parser.add_argument("--license", metavar="ID", help="licence of the weights, as the hub writes it: mit, cc-by-4.0")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="write the files there, and send nothing")
    parser.add_argument("--yes", action="store_true", help="send without asking")


def _run_publish(options: argparse.Namespace) -> None:
    from covidnet.report.publish import publish

    publish(
        options.run,
        options.to,
        private=options.private,
        license=options.license,
        folder=options.folder,
        yes=options.yes,
    )


def _send(commands: Any) -> None:
    """Send what is not yet in its object store of a run of trainer.default_root_dir=s3://BUCKET/FOLDER."""
    parser = _command(commands, "send", _send.__doc__, _run_send)
    _add_run(parser)


def _run_send(options: argparse.Namespace) -> None:
    from covidnet.runs.remote import send_run

    print(send_run(options.run))


def _predict(commands: Any) -> None:
    """What a trained model says of images: files, folders and patterns -> one line an image."""
    parser = _command(commands, "predict", _predict.__doc__, _run_predict)
    _add_checkpoint(parser)
    text = "images, folders of images, patterns such as 'x/**/*.png'; the test images of the run, if left out"
    parser.add_argument("paths", nargs="*", metavar="PATH", help=text)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there (.csv, .jsonl, .txt), not on the screen")
    text = "if left out: by the ending of --out, else a table on a terminal, and CSV elsewhere"
    parser.add_argument("--format", choices=("csv", "jsonl", "table"), help=text)
    _add_device(parser)
    text = "in which the model computes; a GPU trains in bfloat16 (default: float32)"
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help=text)
    text = "images that the model sees at once; as in training, if left out"
    parser.add_argument("--batch-size", type=int, metavar="N", help=text)


def _run_predict(options: argparse.Namespace) -> int:
    from covidnet.inference.predictions import run

    return run(options)


def _export(commands: Any) -> None:
    """A trained model as ONNX and torch.export: pixels of any size in, probabilities out."""
    parser = _command(commands, "export", _export.__doc__, _run_export)
    _add_checkpoint(parser)
    text = "where model.onnx and model.pt2 go; the folder export of the run, if left out"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=text)
    text = "compare with PyTorch on all images below it; on 32 of the run's test split, if left out"
    parser.add_argument("--check", type=Path, metavar="FOLDER", help=text)


def _run_export(options: argparse.Namespace) -> None:
    from covidnet.inference.export import run

    run(options)


def _serve(commands: Any) -> None:
    """A web page and a JSON API of a trained model, on this machine."""
    parser = _command(commands, "serve", _serve.__doc__, _run_serve)
    _add_checkpoint(parser)
    text = "address to listen on (default: 127.0.0.1, which only this machine reaches)"
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=text)
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="port; 0 is any free one (default: 8000)")
    _add_device(parser)
    text = "images that the model sees at once, at most, when several wait (default: 32; 1 is one at a time)"
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help=text)
    text = "requests at once, at most; more are told to try again (default: 128)"
    parser.add_argument("--waiting", type=int, default=128, metavar="N", help=text)
    text = "bytes of an upload, at most (default: 32,000,000)"
    parser.add_argument("--max-bytes", type=int, default=32_000_000, metavar="N", help=text)
    text = "pixels of an image, at most (default: 40,000,000)"
    parser.add_argument("--max-pixels", type=int, default=40_000_000, metavar="N", help=text)


def _run_serve(options: argparse.Namespace) -> int:
    from covidnet.serving.server import run

    return run(options)


def _audit(commands: Any) -> None:
    """What is in a folder of radiographs, before any training."""
    parser = _command(commands, "audit", _audit.__doc__, _run_audit)
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder that holds one folder of radiographs a class")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="which class folders; all where left out")
    parser.add_argument(
        "--metadata",
        metavar="FILE",
        help="table (path, patient, group, source) to read, or none; if left out, metadata.csv in ROOT or its parent",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write the table; ROOT/metadata.csv if left out"
    )
    parser.add_argument("--force", action="store_true", help="overwrite a table that is there")
    _add_json(parser)


def _run_audit(options: argparse.Namespace) -> None:
    from covidnet.evidence.audit import audit, print_audit, write_table

    if options.out and options.out.exists() and not options.force:
        raise UserError(f"{options.out} is there already. Give --force to overwrite it, or another --out.")
    audited = audit(options.root, options.classes, options.metadata)
    if options.metadata == "none" and not options.out:
        table, told = None, "No table was written: in ROOT it would hide one that was not read. Give --out FILE."
    else:
        table, told = write_table(audited, options.root, options.out, force=options.force)
    print_audit(audited.report, told)
    _write_json(options.json, {**audited.report, "table": str(table) if table else None})


def _download(commands: Any) -> None:
    """The COVID-19 Radiography Database: download, unpack, audit."""
    parser = _command(commands, "download", _download.__doc__, _run_download)
    parser.add_argument("--version", type=int, metavar="N", help="of the data set on Kaggle; the newest if left out")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="folder to make, which training then reads (data.root); its default, if left out",
    )
    parser.add_argument(
        "--archive", type=Path, metavar="FILE", help="unpack this file, which was downloaded by hand, and keep it"
    )


def _run_download(options: argparse.Namespace) -> None:
    from covidnet.data.download import download
    from covidnet.data.module import RadiographyDataModule
    from covidnet.evidence.audit import audit, print_audit, write_table

    if options.version is not None and (options.archive or options.version < 1):
        raise UserError("--version must be 1 or more, and goes with a download, not with --archive.")
    target = options.to or RadiographyDataModule.default_root
    root = download(target, options.version, options.archive)
    audited = audit(root)
    _, told = write_table(audited, root, None, force=False)
    print_audit(audited.report, told)
    print(f"Here is {audited.report['release'] or 'a release that is not known'}: {root}")
    print("Train: python train.py" + ("" if root == RadiographyDataModule.default_root else f' data.root="{root}"'))


def _command(commands: Any, name: str, text: str | None, run: Command) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(command=run)
    return parser


def _add_run(parser: argparse.ArgumentParser, repeat: str = "") -> None:
    text = f"directory of a finished run, as runs/convnet/version_0{repeat}"
    parser.add_argument("run", type=Path, metavar="RUN", help=text)


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    text = "a checkpoint, or the directory of a run (its best.ckpt); also written ckpt_path=CKPT"
    parser.add_argument("checkpoint", type=_checkpoint, metavar="CKPT", help=text)


def _checkpoint(text: str) -> Path:
    return Path(text.removeprefix("ckpt_path="))


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, ...; a GPU where there is one, if left out")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there, for programs")


def _write_json(file: Path | None, found: dict[str, Any]) -> None:
    if file is None:
        return
    try:
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror or error}. Give another --json FILE.") from error


if __name__ == "__main__":
    sys.exit(main())
