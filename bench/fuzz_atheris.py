"""Bytes that reach new code: Atheris changes them and watches which lines of the parsers run.

pip install atheris
python -m bench.fuzz_atheris image -max_total_time=300

The first word names a target; the rest are libFuzzer's options. It stops at the first exception that would reach the
user, and writes the bytes to a file `crash-...`.
"""

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["covidnet", "pydicom", "PIL", "csv", "yaml"]):
    import covidnet.data.division.metadata
    import covidnet.data.division.split
    import covidnet.imaging.decode
    import covidnet.imaging.dicom.read
    import covidnet.runs.trust
    import covidnet.serving.limits

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.fuzz.pieces import CLASSES, GOOD
from bench.fuzz.tables import METADATA, SPLIT
from bench.hostile import good
from covidnet.errors import UserError
from covidnet.imaging.radiograph import UnreadableImageError

HERE = Path(tempfile.mkdtemp())
FILE = HERE / "file"
SEEDS = 60  # good files of each kind that it begins from


def image(content: bytes) -> None:
    """Decode an image, as training and as the server do."""
    for act in (
        lambda: covidnet.serving.limits.check(content, 4_000_000),
        lambda: covidnet.imaging.decode.decode(content, 8),
    ):
        with contextlib.suppress(UnreadableImageError):
            act()


def dicom(content: bytes) -> None:
    """Decode the bytes as a DICOM file, whatever they begin with."""
    with contextlib.suppress(UnreadableImageError):
        covidnet.imaging.dicom.read.open_dicom(content)


def split(content: bytes) -> None:
    """Read a split file."""
    FILE.write_bytes(content)
    covidnet.data.division.split.read_split(FILE, GOOD, [CLASSES.index(path[0]) for path in GOOD], CLASSES)


def metadata(content: bytes) -> None:
    """Read a table of metadata."""
    FILE.write_bytes(content)
    table = covidnet.data.division.metadata.read_metadata(FILE, HERE, GOOD)
    covidnet.data.division.metadata.linked_groups(GOOD, table.rows)


def config(content: bytes) -> None:
    """Measure a configuration as the command line does before it reads it."""
    FILE.write_bytes(content)
    covidnet.runs.trust.refuse_bomb(FILE)


def _table(*rows: list[str]) -> bytes:
    return "\n".join(",".join(row) for row in rows).encode()


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[np.random.Generator], bytes]]] = {
    "image": (image, good),
    "dicom": (dicom, good),
    "split": (split, lambda _: _table(["path", "label", "split"], *SPLIT)),
    "metadata": (metadata, lambda _: _table(["path", "patient", "group", "source"], *METADATA)),
    "config": (config, lambda _: b"data: {root: x, seed: 1}\ntrainer: &a [1, 2]\nb: *a\n"),
}


def main() -> None:
    """Run a target until it fails or its time is up."""
    act, make = TARGETS[sys.argv[1]]
    seeds = HERE / "seeds"
    seeds.mkdir()
    rng = np.random.default_rng(0)
    for number in range(SEEDS):
        (seeds / str(number)).write_bytes(make(rng))

    def one(content: bytes) -> None:
        with warnings.catch_warnings(), contextlib.suppress(UserError):
            warnings.simplefilter("ignore")
            act(content)

    atheris.Setup([sys.argv[0], *sys.argv[2:], str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
