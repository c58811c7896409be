import gc
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from covidnet.models.parts.cuda_graph import Gpu

POOL = (0, 7)


class Graph:
    """torch.cuda.graph, whose end fails where its work has: as CUDA's does after an operation that waits."""

    def __init__(self, graph, pool, capture_error_mode):
        assert (pool, capture_error_mode) == (POOL, "thread_local")

    def __enter__(self):
        pass

    def __exit__(self, kind, *rest):
        if kind is RuntimeError:
            raise RuntimeError("operation failed due to a previous error during capture")


@pytest.fixture
def torch_cuda(monkeypatch):
    """What recording takes of torch, without a GPU."""
    generator = Mock()
    reserved = iter((100, 350))
    for name, stand_in in {
        "CUDAGraph": lambda: SimpleNamespace(replay="replay"),
        "graph_pool_handle": lambda: POOL,
        "graph": Graph,
        "empty_cache": lambda: None,
        "memory_reserved": lambda device: next(reserved),
        "current_stream": lambda: None,
        "stream": lambda stream: nullcontext(),
        "default_generators": (generator,),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch, "Generator", lambda device: f"a fresh one of {device}")
    ended = Mock(side_effect=RuntimeError("endAllocatePool: not currently recording to mempool_id"))
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", ended, raising=False)
    return SimpleNamespace(generator=generator, ended=ended)


def test_python_collects_no_garbage_while_work_is_recorded(torch_cuda):
    seen = []
    recording = Gpu(torch.device("cuda", 0)).record(lambda: seen.append(gc.isenabled()))
    assert seen == [False]
    assert gc.isenabled()
    assert recording == ("replay", 250)
    torch_cuda.generator.graphsafe_set_state.assert_not_called()


@pytest.mark.parametrize("error", [RuntimeError("operation not permitted"), ValueError("of the model")])
def test_a_recording_that_breaks_tells_the_cause_and_leaves_torch_as_it_was(torch_cuda, error):
    def work():
        raise error

    try:
        raise KeyError("of somebody who trains again after it")
    except KeyError:
        with pytest.raises(type(error)) as raised:
            Gpu(torch.device("cuda", 0)).record(work)
    assert raised.value is error
    assert gc.isenabled()
    torch_cuda.ended.assert_called_once_with(0, POOL)
    torch_cuda.generator.graphsafe_set_state.assert_called_once_with("a fresh one of cuda:0")
