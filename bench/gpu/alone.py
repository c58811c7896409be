"""One part of the bench, in this process. Started by ``bench.gpu``."""

import argparse
from pathlib import Path

from bench.gpu.notes import Notes
from bench.gpu.setting import Setting
from bench.gpu.table import ALL
from bench.gpu.work import Work


def main() -> None:
    """Do the part and keep its notes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=ALL)
    parser.add_argument("notes", type=Path)
    parser.add_argument("disk", type=Path)
    parser.add_argument("memory", type=Path)
    parser.add_argument("--rehearse", action="store_true")
    args = parser.parse_args()
    setting = Setting(args.disk, args.memory, args.rehearse)
    ALL[args.part].work(Work(args.part, setting, Notes(args.notes)))


if __name__ == "__main__":
    main()
