"""A fact about memory: what is freed is used again without the system's help."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from covidnet.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
faults = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**23)  # 64 MiB: 16,384 pages, or 32 of the system's huge ones
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(faults[-1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems are left as they are")
def test_freed_memory_is_touched_for_the_first_time_once():
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True).stdout)

    assert faults("kept") < 10 < faults("given back")
