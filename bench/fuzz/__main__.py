"""Runs odd cases of all kinds and prints a table of targets, cases and failures.

python -m bench.fuzz --cases 10000 --seed 0
python -m bench.fuzz --cases 10000 --only recipes

A failure is any exception but the one that a user's mistake ends in, an exit code that is none of its command, a
message that is none, a file that is written elsewhere, an answer of the server that is its fault, or a case that takes
longer than a minute or 500 MB. Each is shown once, with its case. `tests/test_fuzz.py` runs a few of each kind.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence

from bench.fuzz.running import fuzz
from bench.fuzz.targets import TARGETS


def run(cases: int, number: int, only: Sequence[str]) -> int:
    """Print a table of all targets; return how many cases failed."""
    logging.disable(logging.WARNING)
    failed = total = 0
    lines = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for name, target in TARGETS.items():
            if only and name not in only:
                continue
            began = time.perf_counter()
            found = fuzz(target, max(1, round(cases * target.share)), number)
            total += found.cases
            failed += found.failures.total()
            seconds = time.perf_counter() - began
            lines.append(f"{name:<36} {found.cases:>7,} {found.failures.total():>9} {seconds:>9.0f}")
            print(lines[-1], file=sys.stderr, flush=True)
            for what, count in found.failures.most_common():
                print(f"  {count} x {found.examples[what]}", file=sys.stderr, flush=True)
    print(f"{'target':<36} {'cases':>7} {'failures':>9} {'seconds':>9}")
    print("\n".join(lines))
    print(f"{'all':<36} {total:>7,} {failed:>9}")
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[], choices=TARGETS, metavar="TARGET")
    options = parser.parse_args()
    sys.exit(1 if run(options.cases, options.seed, options.only) else 0)
