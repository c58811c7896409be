"""How the threads of torch and of BLAS wait for one another: set before either is loaded."""

import os

# A thread that has nothing to do turns in a loop for some milliseconds, in case that more comes: most of the processor
# time of a small step. Asleep, it takes some microseconds to wake. The numbers are the same: as many threads share the
# work. https://gcc.gnu.org/onlinedocs/libgomp/OMP_005fWAIT_005fPOLICY.html
ASLEEP = {
    "OMP_WAIT_POLICY": "PASSIVE",  # of OpenMP, by which torch computes
    "OPENBLAS_THREAD_TIMEOUT": "4",  # of the BLAS of NumPy and SciPy: 2 ** 4 turns, its least
}


def wait_asleep() -> None:
    """Have threads sleep while they wait, in this process and those that it starts; what a user has set stays."""
    for name, value in ASLEEP.items():
        os.environ.setdefault(name, value)
