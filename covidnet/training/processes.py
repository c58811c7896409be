"""How the processes of one training end together: by SIGTERM, or when one of them is gone."""

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable

import torch.distributed as dist

LOOK = 2.0  # seconds between two looks at whether the parent lives
LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "remote process exited",
    "Socket closed",
)


def started() -> tuple[str, int]:
    """Return how many processes torchrun or srun has started for this training, and the variable that says so."""
    name = "WORLD_SIZE" if "WORLD_SIZE" in os.environ else "SLURM_STEP_NUM_TASKS"
    return name, int(os.environ.get(name, "1"))


def lost_another(error: BaseException) -> bool:
    """Tell whether an error says that another process of this training is gone (gloo and NCCL have no class for it)."""
    return _several() and isinstance(error, RuntimeError) and any(text in str(error) for text in LOST)


def run_to_the_end(command: Callable[[], object]) -> None:
    """Run a command as the last thing that this process does.

    One of several processes is left without the destructors of C++, which now and then abort there: gloo's threads may
    still run (seen in 2 of 50 runs of two processes, after all results were written).
    """
    code = 0
    try:
        command()
    except SystemExit as ended:
        if not _several():
            raise
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    if _several():
        atexit._run_exitfuncs()  # noqa: SLF001  # os._exit leaves them out, and there is no public way to call them
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def end_with_parent() -> None:
    """End this process when the one that launched it is gone, if it is one of several that something launched.

    Where rank 0 is killed, those that it started would wait for it, on a GPU for many minutes.
    """
    if "LOCAL_RANK" in os.environ and os.name == "posix":
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True, name="parent-observer").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    print(f"The process {parent} that launched this one is gone: ending too.", file=sys.stderr, flush=True)
    os._exit(1)
