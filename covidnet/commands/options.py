"""Options that commands share, and how a command writes what it found."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from covidnet.errors import UserError


def add_run(parser: argparse.ArgumentParser, repeat: str = "") -> None:
    """Add RUN, the directory of a finished run; ``repeat`` says what that of a repeat means."""
    text = f"directory of a finished run, as runs/convnet/version_0{repeat}"
    parser.add_argument("run", type=Path, metavar="RUN", help=text)


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add CKPT, a checkpoint or the directory of its run, or of several that are one model."""
    text = (
        "a checkpoint, or the directory of a run (its best.ckpt) or of a repeat or crossval (the mean of its runs' "
        "models); also written ckpt_path=CKPT"
    )
    parser.add_argument("checkpoint", type=_checkpoint, metavar="CKPT", help=text)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, ...; a GPU where there is one, if left out")


def add_body_part(parser: argparse.ArgumentParser, left_out: str = "as in training") -> None:
    """Add --body-part; ``left_out`` says what holds without it."""
    text = f"any reads DICOM files too whose header names another part than the chest (default: {left_out})"
    parser.add_argument("--body-part", choices=("chest", "any"), help=text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json, whose file ``write_json`` writes."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there, for programs")


LIBRARIES = {
    "torch": "PyTorch",
    "pytorch_lightning": "PyTorch and Lightning",
    "sklearn": "scikit-learn",
    "scipy": "SciPy",
    "huggingface_hub": "what writes the card",
    "pydicom": "pydicom",
}
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # variables that number the processes of one training


def tell_loading(module: str) -> None:
    """Tell, on stderr and by the first of several processes, that libraries are loaded, unless they have been."""
    if module not in sys.modules and all(os.environ.get(rank, "0") == "0" for rank in RANKS):
        print(f"covidnet: loading {LIBRARIES[module]} ...", file=sys.stderr, flush=True)


def refuse_no_place(file: Path | None, option: str) -> None:
    """Refuse a file that could not be written, before the work and not after it.

    Raises:
        UserError: Where its folder is none.
    """
    if file and not file.absolute().parent.is_dir():
        folder = file.absolute().parent
        raise UserError(f"{file} cannot be written: there is no folder {folder}. Give another {option} FILE.")


def write_json(file: Path | None, found: dict[str, Any]) -> None:
    """Write what was found, where a file was asked for.

    Raises:
        UserError: Where it cannot be written.
    """
    if file is None:
        return
    try:
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror or error}. Give another --json FILE.") from error


def _checkpoint(text: str) -> Path:
    return Path(text.removeprefix("ckpt_path="))
