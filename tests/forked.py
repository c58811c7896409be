"""The command line in processes of its own that need not import torch: each is forked off one that has done it."""

import os
import resource
import socket
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

context = get_context("forkserver")  # starts a process once, from which all others come
context.set_forkserver_preload(["covidnet.training.interface", "covidnet.training.fitted", "covidnet.models.convnet"])
LONG = 120  # seconds after which a process is ended


def run_forked(*words: str, processes: int = 1, limit: tuple[int, int] | None = None) -> CompletedProcess[str]:
    """Run ``train.py`` with these words here, in a process of its own; return how it ended and what it said.

    Args:
        words: The command line.
        processes: So many of one training, as a launcher starts them: then the code is that of the first.
        limit: A number of ``resource`` and what it may be at most.
    """
    several = _ranks(processes) if processes > 1 else [{}]
    with TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ("stdout", "stderr")]
        for output in outputs:
            output.touch()
        given = [(words, {**os.environ, **rank}, Path.cwd(), outputs, limit) for rank in several]
        jobs = [context.Process(target=_run, args=of_rank) for of_rank in given]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join(LONG)
            job.kill()
            job.join()
        told = [output.read_text() for output in outputs]
    return CompletedProcess(words, jobs[0].exitcode, *told)


def _ranks(processes: int) -> list[dict[str, str]]:
    """Return what a launcher tells each process of a training."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    known = {**meeting, "NODE_RANK": "0", "WORLD_SIZE": str(processes)}
    return [{**known, "LOCAL_RANK": str(rank)} for rank in range(processes)]


def _run(
    words: tuple[str, ...],
    environment: Mapping[str, str],
    folder: Path,
    outputs: list[Path],
    limit: tuple[int, int] | None,
) -> None:
    import torch
    from pytorch_lightning.utilities import rank_zero_only

    from covidnet.commands.main import main

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for descriptor, output in enumerate(outputs, start=1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    torch.set_num_threads(1)
    rank_zero_only.rank = int(environment.get("LOCAL_RANK", 0))  # which Lightning read when it was imported
    if limit:
        resource.setrlimit(limit[0], (limit[1], limit[1]))
    sys.argv = ["train.py", *words]
    sys.exit(main(default="run"))
