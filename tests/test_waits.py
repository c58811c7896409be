"""Facts about a training step on a GPU: nothing in it takes a number from the CPU or gives one back, for which it would wait.

The step runs on torch's device "meta", which computes nothing: it has no number to give back, and each that comes from
the CPU shows.
"""

from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from covidnet.batch import to_images
from covidnet.data.changes.augment import AUGMENTATIONS
from covidnet.data.changes.restyle import STYLES
from covidnet.data.changes.surround import swap_surround
from covidnet.models.convnet import ConvNet
from covidnet.models.inception import InceptionV3

SIZE = 64
CHANGES = {**AUGMENTATIONS, **STYLES, "surround": partial(swap_surround, share=0.5), "none": None}
MODELS = {
    "convnet": lambda: ConvNet(3, SIZE, equalize=True, label_smoothing=0.1),
    "inception": lambda: InceptionV3(3, backbone="resnet10t", pretrained=False),
}


class Moved(TorchDispatchMode):
    """Note each operation that takes numbers from one device to another, or out of tensors."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        devices = {tensor.device.type for tensor in (*args, result) if isinstance(tensor, torch.Tensor)}
        if len(devices) > 1 or name in ("lift_fresh", "_local_scalar_dense", "nonzero"):
            self.operations.append(name)
        return result


def test_numbers_from_the_cpu_show():
    images = torch.rand(2, 3, 4, 4, device="meta")
    with Moved() as moved:
        images * torch.tensor([0.5, 1.0], device="meta").view(2, 1, 1, 1)
    assert moved.operations


@pytest.mark.parametrize("change", CHANGES)
def test_images_are_made_and_changed_without_a_wait(change):
    with Moved() as moved:
        images = to_images(torch.empty(4, 1, SIZE, SIZE, dtype=torch.uint8, device="meta"), CHANGES[change])
    assert images.shape == (4, 3, SIZE, SIZE)
    assert moved.operations == []


@pytest.mark.parametrize("model", MODELS)
def test_a_step_is_taken_and_measured_without_a_wait(model):
    module = MODELS[model]().to("meta")
    module.log = lambda *args, **kwargs: None
    images, labels = torch.empty(4, 3, SIZE, SIZE, device="meta"), torch.empty(4, dtype=torch.int64, device="meta")
    with Moved() as moved:
        loss, logits = module.loss_and_logits(images, labels)
        loss.backward()
        module._update(module.train_metrics, logits, labels)
    assert moved.operations == []
