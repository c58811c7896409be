"""Checkpoints that a stranger has changed, and how they have to be refused."""

import resource
import time
from pathlib import Path

import pytest
import torch
from made_run import write_run

from covidnet.errors import UserError
from covidnet.runs.checkpoint import KEY

SOON = 3.0  # seconds: a machine of the tests may be busy
LITTLE = 2**28  # bytes


def doctored(tmp_path: Path, change) -> Path:
    """Write a run, change what its checkpoint holds; return its file."""
    file = write_run(tmp_path) / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    change(content)
    torch.save(content, file)
    return file


def refused(call) -> str:
    """Return the one sentence with which a call is refused, soon and in little memory."""
    before, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as found:
        call()
    assert time.process_time() - before < SOON
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024 < LITTLE
    message = str(found.value)
    assert len(message.splitlines()) == 1
    return message


def recipe_of(key: str, value):
    return lambda content: content[KEY].update({key: value() if callable(value) else value})


def data_of(**more):
    return lambda content: content[KEY]["data"]["init_args"].update(more)


def model_of(**more):
    return lambda content: content["hyper_parameters"].update(more)
