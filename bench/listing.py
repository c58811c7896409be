"""Seconds to list a folder: files with an ending that tells what they are, and files that must be looked into.

python -m bench.listing --files 100000

Each kind is listed three times; the least counts. Nothing is decoded.
"""

import argparse
import tempfile
import time
from pathlib import Path

from covidnet.data.folder import RadiographFolder

DICOM = bytes(128) + b"DICM" + bytes(100)  # only its first bytes are read
KINDS = {"1.png": b"", "1.2.840.113619.2.5.1.dcm": DICOM, "1.2.840.113619.2.5.1": DICOM}  # a name -> its bytes
TIMES = 3


def lay(root: Path, name: str, content: bytes, files: int) -> None:
    """Lay so many files of two classes, each name with a number of its own."""
    for label in "AB":
        (root / label).mkdir(parents=True)
        for number in range(files // 2):
            (root / label / name.replace("1", f"1{number:06d}", 1)).write_bytes(content)


def seconds(root: Path) -> float:
    """Return how long it takes to list a folder."""
    began = time.perf_counter()
    RadiographFolder(root)
    return time.perf_counter() - began


def main() -> None:
    """Print a line a kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    files = parser.parse_args().files
    for name, content in KINDS.items():
        with tempfile.TemporaryDirectory() as scratch:
            lay(Path(scratch) / "root", name, content, files)
            least = min(seconds(Path(scratch) / "root") for _ in range(TIMES))
        print(f"{files:,} files such as {name}: {least:.2f} s")


if __name__ == "__main__":
    main()
