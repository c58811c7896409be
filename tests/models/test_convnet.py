import pytest
import torch
import torch.nn.functional as F
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


def test_the_network_is_convolution_relu_pool_dense_relu_dense():
    model = ConvNet(3, image_size=10).eval()
    conv, *_, hidden, _, out = model.network
    images = torch.rand(2, 3, 10, 10)
    pooled = F.max_pool2d(F.relu(F.conv2d(images, conv.weight, conv.bias)), 2)
    expected = out(F.relu(hidden(pooled.flatten(1))))
    torch.testing.assert_close(model(images), expected)


@pytest.mark.parametrize(("key", "value"), [("image_size", 3), ("dropout", 1.0), ("dropout", -0.1)])
def test_impossible_arguments_name_their_key(key, value):
    with pytest.raises(UserError, match=key):
        ConvNet(3, **{key: value})
