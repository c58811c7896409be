"""Facts about a training step on a GPU: nothing in it waits for a number, on its way there or back.

The step runs here and on torch's device "meta", which computes nothing. Here shows what makes tensors of numbers and
numbers of tensors; there, what moves a tensor from one device to another.
"""

from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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


WAITING = ("lift_fresh", "_local_scalar_dense", "nonzero", "masked_select")  # the first is torch.tensor, then item


class Waits(TorchDispatchMode):
    """Note each operation for which Python would wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        tensors = [part for part in tree_leaves((args, result)) if isinstance(part, torch.Tensor)]
        by_truth = name.startswith("index") and any(tensor.dtype == torch.bool for tensor in tensors)
        if by_truth or name in WAITING or len({tensor.device for tensor in tensors}) > 1:
            self.operations.append(name)
        return result


@pytest.mark.parametrize(
    "waits",
    [
        lambda image: torch.tensor([0.5], device=image.device),
        lambda image: image.mean().item(),
        lambda image: image[image > 0],
        lambda image: image.to("meta"),
    ],
    ids=["a list", "a number", "truth", "a move"],
)
def test_a_wait_shows(waits):
    with Waits() as noted:
        waits(torch.rand(3))
    assert noted.operations


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("change", CHANGES)
def test_images_are_made_and_changed_without_a_wait(change, device):
    pixels = torch.zeros(4, 1, SIZE, SIZE, dtype=torch.uint8, device=device)
    with Waits() as noted:
        images = to_images(pixels, CHANGES[change])
    assert images.shape == (4, 3, SIZE, SIZE)
    assert noted.operations == []


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("model", MODELS)
def test_a_step_is_taken_and_measured_without_a_wait(model, device):
    module = MODELS[model]().to(device)
    module.log = lambda *args, **kwargs: None
    images, labels = torch.zeros(4, 3, SIZE, SIZE, device=device), torch.zeros(4, dtype=torch.int64, device=device)
    with Waits() as noted:
        loss, logits = module.loss_and_logits(images, labels)
        loss.backward()
        module._update(module.train_metrics, logits, labels)
    assert noted.operations == []
