"""Facts about a model over numbered pixels."""

import numpy as np
import torch

from covidnet.models.convnet import ConvNet
from covidnet.models.outputs import outputs_of


def test_a_model_is_asked_in_float32_whatever_is_around_it():
    model = ConvNet(3, 12).eval().model
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 12, 12), dtype=np.uint8)

    def asked():
        return outputs_of(model, pixels.__getitem__, np.arange(5), torch.device("cpu"), title="asking")

    expected = asked()
    with torch.autocast("cpu", torch.bfloat16):
        found = asked()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
