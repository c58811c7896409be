"""What only a GPU can show, in one prepared run of at most nine minutes.

python -m bench.gpu                  # all parts, on a CUDA GPU
python -m bench.gpu equal convnet    # some of them
python -m bench.gpu --rehearse       # all parts, tiny, on the CPU: does the bench itself work?
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


def main() -> int:
    """Run the parts; return 0 where all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [part.name for part in (*NUMBERS, *SECONDS)]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(names)}; all where left out")
    parser.add_argument("--out", type=Path, default=Path("runs", "gpu"), help="folder of the report")
    parser.add_argument("--work", type=Path, help="scratch folder on the disk to measure; the system's where left out")
    parser.add_argument("--rehearse", action="store_true", help="tiny images and networks, on the CPU")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(names):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; the parts are {', '.join(names)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the parts end with this process
    args.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as scratch:
        disk = Path(scratch.enter_context(tempfile.TemporaryDirectory(prefix="covidnet-gpu-", dir=args.work)))
        memory = disk
        if not args.rehearse and SHARED.is_dir() and shutil.disk_usage(SHARED).free > ROOM:
            memory = Path(scratch.enter_context(tempfile.TemporaryDirectory(prefix="covidnet-gpu-", dir=SHARED)))
        notes = disk / "notes"
        notes.mkdir()
        report = Report(args.out, notes, args.rehearse)
        stages = Stages(Setting(disk, memory, args.rehearse), report, REHEARSAL if args.rehearse else BUDGET)
        wanted = set(args.parts or names)
        try:
            if not stages.prepare():
                parser.error("this machine has no CUDA GPU that torch can use; --rehearse runs everything on the CPU")
            stages.run(*([part for part in stage if part.name in wanted] for stage in (NUMBERS, SECONDS)))
        finally:
            stages.end()
            report.show()
            print(f"{report.seconds:.0f} s; {args.out / JSON}")
        return 0 if report.good() else 1


if __name__ == "__main__":
    sys.exit(main())
