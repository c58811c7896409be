"""A fact about memory: what is freed is used again without the system's help."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from covidnet.machine.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
faults = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**23)  # 64 MiB, 16,384 pages
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(faults[-1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems are left as they are")
def test_freed_memory_is_touched_for_the_first_time_once():
    def faults(how: str) -> int:
        command = [sys.executable, "-c", PROGRAM, how]
        small = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"}  # huge pages, where there are any left, are few faults
        return int(subprocess.run(command, env=small, capture_output=True, check=True).stdout)

    assert faults("kept") < 100 < faults("given back")
