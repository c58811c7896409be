import pytest
import torch
from torch import nn

from covidnet.models.parts.dropout import Dropout


@pytest.mark.parametrize("p", [0.25, 0.5, 0.3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_share_p_is_dropped_and_the_mean_stays(p, layout):
    torch.manual_seed(0)
    ones = torch.ones(8, 16, 50, 50).contiguous(memory_format=layout)
    dropped = Dropout(p)(ones)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)])
    assert (dropped == 0).double().mean() == pytest.approx(p, abs=0.005)
    assert dropped.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("shape", [(5,), (3, 7), (2, 3, 5, 7)])
def test_every_element_is_kept_as_often(shape):
    torch.manual_seed(0)
    layer = Dropout(0.5)
    kept = torch.stack([(layer(torch.ones(shape)) > 0).double() for _ in range(2000)]).mean(dim=0)
    assert (kept - 0.5).abs().max() < 0.06


def test_neighbours_are_independent():
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(100_000)) > 0).double()
    assert ((kept[1:] - 0.5) * (kept[:-1] - 0.5)).mean().abs() < 0.005


def test_the_gradient_passes_where_the_element_is_kept():
    torch.manual_seed(0)
    values = torch.ones(64, requires_grad=True)
    dropped = Dropout(0.5)(values)
    dropped.sum().backward()
    torch.testing.assert_close(values.grad, dropped.detach())


def test_evaluation_and_no_share_leave_the_input():
    values = torch.rand(4, 4)
    assert Dropout(0.5).eval()(values) is values
    torch.testing.assert_close(Dropout(0.0)(values), values)


def test_a_strided_input_is_dropped_too():
    torch.manual_seed(0)
    assert Dropout(0.5)(torch.ones(10, 10).t()[::2]).shape == (5, 10)
    assert isinstance(Dropout(0.5), nn.Dropout)


def test_a_seed_repeats_it():
    outputs = []
    for _ in range(2):
        torch.manual_seed(3)
        outputs.append(Dropout(0.5)(torch.ones(99)))
    assert torch.equal(*outputs)
