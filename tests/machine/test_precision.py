"""Facts about full precision: float32 is float32 inside, and outside all is as it was."""

import pytest
import torch

from covidnet.machine import precision
from covidnet.machine.precision import full_precision


def switches():
    return [getattr(kind, precision._SWITCH) for kind in precision._TF32]


def switch(values):
    for kind, value in zip(precision._TF32, values, strict=True):
        setattr(kind, precision._SWITCH, value)


@pytest.fixture(params=["default", "TF32 everywhere"])
def before(request):
    """The state of the switches before."""
    default = switches()
    if request.param != "default":
        switch(["tf32" if precision._NEW else True] * 2)
    yield switches()
    switch(default)


def test_nothing_inside_may_take_tf32_and_outside_all_is_as_it_was(before):
    with full_precision("cpu"):
        assert switches() == [precision._OFF] * 2
    assert switches() == before


def test_an_error_inside_changes_nothing_outside(before):
    with pytest.raises(ZeroDivisionError), full_precision("cpu"):
        1 / 0  # noqa: B018
    assert switches() == before


def test_it_may_be_nested(before):
    with full_precision("cpu"):
        with full_precision("cpu"):
            pass
        assert switches() == [precision._OFF] * 2
    assert switches() == before


def test_autocast_around_it_does_not_reach_inside():
    left, right = torch.rand(2, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        with full_precision("cpu"):
            assert torch.equal(left @ right, torch.mm(left, right).float())
            assert (left @ right).dtype == torch.float32
        assert (left @ right).dtype == torch.bfloat16


def test_afterwards_torch_still_tells_its_switches():
    with full_precision("cpu"):
        pass
    assert torch.backends.cudnn.allow_tf32 is True  # torch refuses this where old and new switches were mixed
    assert torch.get_float32_matmul_precision() == "highest"
