"""What only a GPU can show, in one prepared run of at most nine minutes.

python -m bench.gpu                  # all parts, on a CUDA GPU
python -m bench.gpu equal convnet    # some of them
python -m bench.gpu --rehearse       # all parts, tiny, on the CPU: does the bench itself work?

The report is rewritten throughout: whatever ends the bench, what is known by then is there. Exit code 0 where all is
as it should be, 1 where something is not or was not found out, 2 where there is no GPU.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.gpu.report import JSON, Report
from bench.gpu.setting import Setting
from bench.gpu.stages import Stages
from bench.gpu.table import NUMBERS, SECONDS

BUDGET = 530.0  # seconds of everything
REHEARSAL = 1800.0
ROOM = 24 * 2**30  # bytes that the runs of several parts at once may take
SHARED = Path("/dev/shm")  # Linux's folder in memory
NAMES = [part.name for part in (*NUMBERS, *SECONDS)]


def main() -> int:
    """Run the parts; return the exit code."""
    args = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the parts end with this process
    args.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as scratch:
        disk = _scratch(scratch, args.work.resolve() if args.work else None)
        in_memory = not args.rehearse and SHARED.is_dir() and shutil.disk_usage(SHARED).free > ROOM
        memory = _scratch(scratch, SHARED) if in_memory else disk
        notes = disk / "notes"
        notes.mkdir()
        report = Report(args.out, notes, args.rehearse)
        stages = Stages(Setting(disk, memory, args.rehearse), report, REHEARSAL if args.rehearse else BUDGET)
        try:
            if not stages.prepare():
                print("torch finds no CUDA GPU here; --rehearse runs everything on the CPU.", file=sys.stderr)
                return 2
            stages.run(*([part for part in stage if part.name in args.parts] for stage in (NUMBERS, SECONDS)))
        finally:
            stages.end()
            report.show()
            print(f"{report.seconds:.0f} s; {args.out / JSON}")
        return 0 if report.good() else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(NAMES)}; all where left out")
    parser.add_argument("--out", type=Path, default=Path("runs", "gpu"), help="folder of the report")
    parser.add_argument("--work", type=Path, help="scratch folder on the disk to measure; the system's where left out")
    parser.add_argument("--rehearse", action="store_true", help="tiny images and networks, on the CPU")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(NAMES):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    args.parts = args.parts or NAMES
    return args


def _scratch(stack: ExitStack, below: Path | None) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="covidnet-gpu-", dir=below)))


if __name__ == "__main__":
    sys.exit(main())
