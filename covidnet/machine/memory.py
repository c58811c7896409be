"""Keep freed memory in the process, which the C library would give back to the system in each training step."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # numbers of mallopt's parameters in glibc's malloc.h
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Have glibc keep what PyTorch frees, for the step that asks for as much again.

    By default each block above some size is mapped anew and zeroed page by page at its first touch: a third of the
    time of a training step on a CPU. Other systems and C libraries are left as they are.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, LARGEST)
        mallopt(M_MMAP_MAX, 0)
