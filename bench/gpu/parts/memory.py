"""Where the GPU's memory is short: a captured step needs more of it than an eager one."""

from typing import Any

from bench.gpu.record import Record, gap
from bench.gpu.work import EAGER, Work

ROOM = 1.4  # times what eager training holds is left free: enough for it, not for a graph's memory besides
MB = 2**20


def memory(work: Work) -> None:
    """Training that fits eagerly also ends where a graph's memory does not fit beside it."""
    batch = 16 if work.setting.rehearse else 100  # a full batch, and a ragged one nearly as large
    words = [*work.setting.inception, f"data.batch_size={batch}", "trainer.max_epochs=2"]
    eager = work.train("eager", [*words, EAGER])
    if eager is None:
        return
    filled = _fill(work, eager)
    auto = work.train("auto, short of memory", [*words, "model.capture=auto"])
    del filled
    if auto:  # not to the last bit: where its workspace does not fit, cuDNN takes another way
        found = gap(eager, auto)
        work.notes.check("short of memory: as many steps", found["steps"][0] == found["steps"][1], found)


def _fill(work: Work, eager: Record) -> Any:
    """Take all memory of the GPU but for a little more than eager training holds; free it with what is returned."""
    import torch

    if work.setting.rehearse:
        return None
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    left = int(ROOM * eager.reserved * MB)
    work.notes.figure("MB left free", left / MB)
    return torch.empty(max(free - left, 0), dtype=torch.uint8, device="cuda")
