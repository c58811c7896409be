import pytest
import torch
from torch import nn

from covidnet.errors import UserError
from covidnet.models.convnet import ConvNet


def test_parameters_are_the_tutorials():
    assert sum(parameter.numel() for parameter in ConvNet(3).parameters()) == 4_720_515


@pytest.mark.parametrize("size", [4, 5, 50, 51])
def test_any_size_gives_logits(size):
    assert ConvNet(4, image_size=size)(torch.rand(2, 3, size, size)).shape == (2, 4)


def test_weights_are_glorot_uniform_and_biases_zero():
    dense = next(module for module in ConvNet(3).network if isinstance(module, nn.Linear))
    weight = dense.weight.detach()
    bound = (6 / (dense.in_features + dense.out_features)) ** 0.5
    assert weight.abs().max() <= bound
    assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not dense.bias.any()


@pytest.mark.parametrize(("key", "value"), [("image_size", 3), ("dropout", 1.0), ("dropout", -0.1)])
def test_impossible_arguments_name_their_key(key, value):
    with pytest.raises(UserError, match=key):
        ConvNet(3, **{key: value})
