"""Options that commands share, and how a command writes what it found."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from covidnet.errors import UserError, did_you_mean
from covidnet.files.home import at_home


def here(text: str) -> Path:
    """Return the folder or file of this machine that is typed, ``~`` being the user's home."""
    if not text or "://" in text:
        raise argparse.ArgumentTypeError(f"'{text}' is no folder or file of this machine")  # Path would take it for one
    try:
        return at_home(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_run(parser: argparse.ArgumentParser, repeat: str = "") -> None:
    """Add RUN, the directory of a finished run; ``repeat`` says what that of a repeat means."""
    text = f"directory of a finished run, as runs/convnet/version_0{repeat}"
    parser.add_argument("run", type=here, metavar="RUN", help=text)


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add RUN, the directory of a run, or of several that are one model, or a checkpoint."""
    text = (
        "directory of a run (its best.ckpt), or of a repeat or crossval (the mean of its runs' models); or a "
        "checkpoint; also written ckpt_path=RUN"
    )
    parser.add_argument("checkpoint", type=_checkpoint, metavar="RUN", help=text)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, ... (default: a GPU where there is one)")


def add_body_part(parser: argparse.ArgumentParser, left_out: str = "as in training") -> None:
    """Add --body-part; ``left_out`` says what holds without it."""
    text = f"any reads DICOM files too whose header names another part than the chest (default: {left_out})"
    parser.add_argument("--body-part", choices=("chest", "any"), help=text)


def add_masks(parser: argparse.ArgumentParser, left_out: str) -> None:
    """Add --masks, as data.masks; ``left_out`` says what holds without it."""
    text = (
        "where the lungs lie: auto (mask files beside the images where every image has one, else the central box), "
        f"box, or a folder with a mask for each image, as covidnet lungs writes it (default: {left_out})"
    )
    parser.add_argument("--masks", metavar="auto|box|FOLDER", help=text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json, whose file ``write_json`` writes."""
    parser.add_argument("--json", type=here, metavar="FILE", help="write what was found there, for programs")


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
        UserError: Where its folder is none, or it is one.
    """
    if file and not file.absolute().parent.is_dir():
        folder = file.absolute().parent
        raise UserError(f"{file} cannot be written: there is no folder {folder}. Give another {option} FILE.")
    if file and file.is_dir():
        raise UserError(f"{file} cannot be written: it is a folder. Give another {option} FILE.")


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


def words_of(words: Sequence[str], actions: Sequence[str]) -> tuple[str, str | None]:
    """Return which of ``actions`` is asked for, the first where none is named, and the folder that follows.

    Raises:
        UserError: Where there are more words.
    """
    action, rest = (words[0], words[1:]) if words and words[0] in actions else (actions[0], words)
    if len(rest) > 1:
        raise UserError(
            f"'{rest[0]}' is followed by '{rest[1]}': give one of {', '.join(actions)}, then one folder."
            f"{did_you_mean(rest[0], actions)}"
        )
    return action, rest[0] if rest else None


def say_disk(found: Sequence[tuple[str, int, object]], nothing: str) -> None:
    """Print what is to go, kind by kind: the bytes of each and its places; ``nothing`` where there is none."""
    for kind in dict.fromkeys(kind for kind, _, _ in found):
        own = [(size, place) for other, size, place in found if other == kind]
        print(f"{sum(size for size, _ in own) / 1e6:10,.1f} MB  {len(own)} x {kind}")
        for size, place in own:
            print(f"{size / 1e6:14,.1f}    {place}")
    if not found:
        print(nothing)


def agreed(question: str, *, yes: bool) -> bool:
    """Return whether the user agrees: by ``--yes``, or when asked.

    Raises:
        UserError: Where nobody can be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError("Nobody is there to be asked, so nothing was removed. Give --yes to remove what is listed.")
    if input(f"{question} [y/N] ").strip().lower() in ("y", "yes"):
        return True
    print("Nothing was removed.")
    return False


def _checkpoint(text: str) -> Path:
    return here(text.removeprefix("ckpt_path="))
