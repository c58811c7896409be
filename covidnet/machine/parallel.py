"""Work on all cores, in order, under a progress bar."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

from tqdm import tqdm

from covidnet.errors import MachineError

BAR = "{desc}: {percentage:3.0f}% {bar} {n_fmt}/{total_fmt} [{elapsed}, {remaining} left]"
STALLED = 600  # seconds after which a worker that has not answered is given up
Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(work: Callable[[Item], Result], items: Sequence[Item], processes: int) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order, worked on by so many processes; by this one alone for 1.

    Where worker processes cannot live (a script without a ``__main__`` guard, a machine short of memory), this process
    does what is left.

    Raises:
        MachineError: Where a worker has not answered for ``STALLED`` seconds.
    """
    if processes == 1:
        yield from map(work, items)
        return
    # Spawned, not forked: this process may hold CUDA and threads. Work should import NumPy and Pillow only.
    executor = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_live_with_parent)
    done = 0
    try:
        futures = deque(executor.submit(work, item) for item in items)
        while futures:
            result = futures[0].result(timeout=STALLED)
            futures.popleft()  # and its result with it, which may be large
            yield result
            done += 1
    except TimeoutError:
        # A worker that waits would keep this process from ending; only Python 3.14 has kill_workers().
        for process in list(executor._processes.values()):  # noqa: SLF001
            process.kill()
        raise MachineError(
            f"A process that reads images has not answered for {STALLED} seconds. Does the disk or the network folder "
            "of data.root answer? What is finished is kept."
        ) from None
    except BrokenProcessPool:
        print("covidnet: worker processes ended; the work goes on in this one process.", file=sys.stderr)
        yield from map(work, items[done:])
    finally:
        executor.shutdown(wait=False, cancel_futures=True)  # on Ctrl-C the rest is not waited for


def progress_bar(
    total: int | None, title: str, *, unit: str = "image", hidden: bool = False, after: float | None = None
) -> "tqdm[Any]":
    """Return a bar on stderr; in a log file it moves every ten seconds, not ten times a second.

    Bytes, the unit "B", are shown as kB, MB and so on. With ``after`` it is on a terminal alone, comes where the work
    lasts more than so many seconds, and leaves no line.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=title,
        unit=unit,
        unit_scale=unit == "B",
        mininterval=0.1 if terminal else 10.0,
        disable=hidden or (after is not None and not terminal),
        leave=after is None,
        delay=after or 0,
        bar_format=BAR,
        file=sys.stderr,
    )


@contextmanager
def named_steps(total: int, title: str, *, hidden: bool = False) -> Iterator[Callable[[str], None]]:
    """Show so many works of different kinds under one bar; yields what is called with the name of each as it begins."""
    with progress_bar(total, title, unit="step", hidden=hidden) as bar:
        begun = False

        def begin(name: str) -> None:
            nonlocal begun
            bar.update(int(begun))
            bar.set_description_str(f"{title}: {name}", refresh=sys.stderr.isatty())
            begun = True

        yield begin
        bar.set_description_str(title, refresh=False)
        bar.update(int(begun))


@contextmanager
def one_thread() -> Iterator[None]:
    """Have linear algebra compute on one core.

    In many small products threads wait for one another longer than they work, and their number changes the last digits.
    """
    from threadpoolctl import threadpool_limits  # here: it costs those time who need it not

    with threadpool_limits(limits=1):
        yield


def refuse_in_unguarded_worker() -> None:
    """Raise RuntimeError in a worker that imports a main script without a ``__main__`` guard, and so runs it again."""
    # What multiprocessing itself looks at before it tells the same; where it is renamed, only our sentence is lost.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError("a worker process ran the main script: guard it with if __name__ == '__main__'")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _live_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it is gone: the executor's own workers would wait for it for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch_parent, daemon=True, name="parent-observer").start()


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in workers only"
    parent.join()
    os._exit(1)  # what the main thread waits for does not come
