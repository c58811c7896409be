"""Write a model as ONNX and torch.export files: pixels of any size in, probabilities out."""

import argparse
from collections.abc import Iterator
from typing import Any

from covidnet.commands.options import add_checkpoint, here, tell_loading
from covidnet.errors import UserError
from covidnet.runs.members import find_model


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_checkpoint(parser)
    text = "where model.onnx and model.pt2 go (default: the folder export of the run)"
    parser.add_argument("--out", type=here, metavar="FOLDER", help=text)
    text = "compare with PyTorch on all images below it (default: 32 of the run's test images)"
    parser.add_argument("--check", type=here, metavar="FOLDER", help=text)


def run(options: argparse.Namespace) -> None:
    """Write the files, and tell how near each is to PyTorch."""
    find_model(options.checkpoint)
    if options.check and not options.check.is_dir():
        raise UserError(f"--check {options.check} is no folder. Give a folder of radiographs, or leave --check out.")
    tell_loading("torch")
    from covidnet.inference.export import (
        Examples,
        default_folder,
        export,
        files_below,
        files_of_test,
        lacks,
        refuse_missing_libraries,
    )
    from covidnet.inference.predictor import Predictor

    refuse_missing_libraries()
    predictor = Predictor(options.checkpoint, "cpu")
    folder = options.out or default_folder(predictor)
    files = files_below(options.check) if options.check else files_of_test(predictor)
    print(f"covidnet: {predictor.notice}")
    if predictor.cost:
        print(f"covidnet: {predictor.cost}")
    if lacking := lacks(predictor):
        print(f"covidnet: {lacking}")
    examples = Examples(predictor, files)
    written = export(predictor, folder, _under_a_bar(examples))
    print(f"Compared with PyTorch on {examples.told(options.check)}; greatest difference of a probability:")
    for one in written:
        print(f"{one.file}  {one.size / 1e6:.1f} MB  {one.difference:.1e}")
    for reason in examples.unreadable:
        print(f"left out: {reason}")


def _under_a_bar(examples: Any) -> Iterator[Any]:
    from covidnet.machine.parallel import progress_bar

    with progress_bar(len(examples), "comparing") as bar:
        for example in examples:
            if example is not None:
                yield example
            bar.update()
