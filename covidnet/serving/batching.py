"""Requests that wait are answered together: one thread works on all that has come in, up to a number."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class FullError(Exception):
    """As many items wait as may."""


class Batcher(Generic[Item, Answer]):
    """Answer items in one thread of its own, those together that wait at the same time.

    Nothing is waited for: an item that comes alone is worked on alone, at once; what comes in meanwhile is the next
    batch. So a batch is as large as the load makes it.

    Args:
        work: Items -> their answers, in order; called in one thread only.
        batch_size: Items that are worked on at once, at most.
        waiting: Items that may wait, at most.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Answer]], batch_size: int, waiting: int) -> None:
        self.work = work
        self.batch_size = batch_size
        self.largest = 0  # items of the largest batch so far
        self._waiting: queue.Queue[tuple[Item, Future[Answer]] | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._run, name="covidnet-model", daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> "Future[Answer]":
        """Return the answer to come.

        Raises:
            FullError: Where too many wait.
        """
        future: Future[Answer] = Future()
        try:
            self._waiting.put_nowait((item, future))
        except queue.Full:
            raise FullError from None
        return future

    def close(self) -> None:
        """Answer what waits, then end the thread; nothing may be submitted any more."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            taken = [self._waiting.get()]
            while len(taken) < self.batch_size and taken[-1] is not None:
                try:
                    taken.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            open_ = taken[-1] is not None
            self._answer([one for one in taken if one is not None])

    def _answer(self, taken: "list[tuple[Item, Future[Answer]]]") -> None:
        wanted = [(item, future) for item, future in taken if future.set_running_or_notify_cancel()]
        if not wanted:
            return
        self.largest = max(self.largest, len(wanted))
        try:
            answers = self.work([item for item, _ in wanted])
        except BaseException as error:  # whatever it is, those who wait must hear of it, and the thread must live on
            for _, future in wanted:
                future.set_exception(error)
            return
        for (_, future), answer in zip(wanted, answers, strict=True):
            future.set_result(answer)
