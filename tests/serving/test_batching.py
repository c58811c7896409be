"""Facts about batching: who waits together is answered together, each with its own answer, whatever fails."""

import threading

import pytest

from covidnet.serving.batching import Batcher, FullError


class Held:
    """Work that waits to be let go, and notes its batches."""

    def __init__(self):
        self.go = threading.Event()
        self.begun = threading.Event()
        self.batches = []

    def __call__(self, items):
        self.batches.append(list(items))
        self.begun.set()
        assert self.go.wait(10)
        return [10 * item for item in items]


def test_what_waits_is_one_batch_up_to_its_size():
    work = Held()
    batcher = Batcher(work, batch_size=3, waiting=10)
    futures = [batcher.submit(0)]
    assert work.begun.wait(10)
    futures += [batcher.submit(number) for number in range(1, 6)]
    work.go.set()
    assert [future.result(10) for future in futures] == [0, 10, 20, 30, 40, 50]
    batcher.close()
    assert work.batches == [[0], [1, 2, 3], [4, 5]]
    assert batcher.largest == 3


def test_too_many_that_wait_are_refused():
    work = Held()
    batcher = Batcher(work, batch_size=1, waiting=2)
    first = batcher.submit(0)
    assert work.begun.wait(10)
    batcher.submit(1)
    batcher.submit(2)
    with pytest.raises(FullError):
        batcher.submit(3)
    work.go.set()
    assert first.result(10) == 0
    batcher.close()
    assert work.batches == [[0], [1], [2]]  # closing answers what waits


def test_an_error_reaches_those_who_wait_and_the_next_are_answered():
    def work(items):
        if 13 in items:
            raise ValueError("thirteen")
        return items

    batcher = Batcher(work, batch_size=1, waiting=2)
    with pytest.raises(ValueError, match="thirteen"):
        batcher.submit(13).result(10)
    assert batcher.submit(12).result(10) == 12
    batcher.close()


def test_who_has_gone_is_not_worked_for():
    work = Held()
    batcher = Batcher(work, batch_size=1, waiting=5)
    batcher.submit(0)
    assert work.begun.wait(10)
    assert batcher.submit(1).cancel()
    last = batcher.submit(2)
    work.go.set()
    assert last.result(10) == 20
    batcher.close()
    assert work.batches == [[0], [2]]
