"""Facts about the run of a command line: what Lightning recommends to whoever writes code is not told."""

import logging

import pytest
import torch
from lightning_fabric.accelerators import cuda
from pytorch_lightning.utilities import rank_zero_info

from covidnet.training.run_line import _quieten


@pytest.fixture
def told(caplog):
    """What Lightning tells."""
    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_advice_on_the_precision_of_products_is_not_told(monkeypatch, told):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU with tensor cores")
    _quieten()
    cuda._check_cuda_matmul_precision.__wrapped__(torch.device("cpu"))
    rank_zero_info("what else it says")
    assert "what else it says" in told.text
    assert "Tensor Cores" not in told.text
