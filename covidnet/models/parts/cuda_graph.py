"""What recording takes of CUDA: in this package the one file that a machine without a GPU cannot run."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import torch


class Recording(NamedTuple):
    """Work that a CUDA graph holds."""

    replay: Callable[[], None]
    memory: int  # bytes that the graph keeps for itself


class Gpu:
    """A CUDA device on which work is tried, timed and recorded.

    Args:
        device: The device, with its number.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Work on another stream, as CUDA demands of what comes before a recording."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]  # torch leaves it bare
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):
                yield
        finally:
            torch.cuda.current_stream().wait_stream(stream)

    @contextmanager
    def waits_forbidden(self) -> Iterator[None]:
        """Raise RuntimeError where Python waits for the device: there a recording would break, here nothing does."""
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)

    def now(self) -> float:
        """Return the time in seconds when the device has done all that it was given."""
        torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def free_memory(self) -> int:
        """Return the bytes that nobody has taken."""
        return torch.cuda.mem_get_info(self._device)[0]

    def record(self, work: Callable[[], None]) -> Recording:
        """Record what ``work`` launches, without doing it.

        Raises:
            Exception: What ``work`` raises, or CUDA of it. Generators must be restored then: theirs has a fresh state.
        """
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        cause: Exception | None = None
        collects = gc.isenabled()
        gc.collect()
        gc.disable()  # in mid-recording the collector might free what an earlier run left on the device
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(self._device)
        try:
            # torch.cuda.graph leaves its own stream only where the recording ends well, so another stands around it.
            # Mistakes of this thread alone break the recording: others may pin memory meanwhile.
            with (
                torch.cuda.stream(torch.cuda.current_stream()),
                torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"),
            ):
                try:
                    work()
                except Exception as error:
                    cause = error
                    raise
        except Exception as error:  # of the end, perhaps, which only says that the recording is broken
            self._forget(pool)
            raise (cause or error) from None
        finally:
            if collects:
                gc.enable()
        return Recording(graph.replay, torch.cuda.memory_reserved(self._device) - before)

    def _forget(self, pool: tuple[int, int]) -> None:
        """Make allocator and generator forget a recording that broke; torch itself does from 2.13 on."""
        # Else the allocator waits for its end, and fails where memory is next given back. There is no public way.
        with suppress(RuntimeError):  # it has forgotten
            torch._C._cuda_endAllocateToPool(self._device.index, pool)  # noqa: SLF001
        # Else the generator refuses to draw numbers.
        torch.cuda.default_generators[self._device.index].graphsafe_set_state(torch.Generator(self._device))
