"""The network apart from what trains it."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from covidnet.errors import UserError
from covidnet.models import network
from covidnet.models.classifier import Classifier
from covidnet.models.convnet import ConvNet
from covidnet.models.inception import InceptionV3
from covidnet.models.network import Network, plain_network

SMALL = {"backbone": "test_resnet.r160_in1k", "pretrained": False}


@pytest.mark.parametrize("network", [nn.Linear(3, 2), nn.Sequential(nn.Flatten())], ids=["a layer", "one part"])
def test_a_network_whose_features_cannot_be_told_is_refused_before_it_trains(network):
    with pytest.raises(UserError, match=r"network of Classifier is .* nn\.Sequential of 2 or more parts"):
        Classifier(network, 2)


@pytest.mark.parametrize("options", [{}, {"equalize": True}, {"average_mirrored": True, "learning_rate": 0.1}])
@pytest.mark.parametrize(("kind", "more"), [(ConvNet, {"image_size": 32}), (InceptionV3, SMALL)])
def test_the_plain_network_has_the_trained_ones_keys_and_says_the_same(kind, more, options):
    torch.manual_seed(0)
    trained = kind(3, **more, **options).eval()
    plain = plain_network(f"{kind.__module__}.{kind.__name__}", dict(trained.hparams))
    assert plain is not None
    plain.load_state_dict(trained.state_dict())
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(plain.eval()(images), trained(images), rtol=0, atol=0)


@pytest.mark.parametrize("path", ["covidnet.models.convnet.Other", "covidnet.models.other.ConvNet", "os.ConvNet", "x"])
def test_what_is_no_architecture_of_ours_has_no_plain_network(path):
    assert plain_network(path, {"num_classes": 2}) is None


def test_a_state_keeps_the_networks_keys_and_loads_as_it_did():
    model = ConvNet(2, image_size=8)
    state = model.state_dict()
    assert list(state) == [
        "class_weights",
        *(f"network.{part}.{what}" for part in (0, 5, 7) for what in ("weight", "bias")),
    ]
    other = ConvNet(2, image_size=8)
    other.load_state_dict(state)
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())
    wrapped = nn.ModuleDict({"a": model})  # as a wrapper that averages weights holds it
    assert list(wrapped.state_dict()) == [f"a.{key}" for key in state]
    wrapped.load_state_dict(wrapped.state_dict())


def test_the_head_takes_what_the_encoder_gives():
    model = Network(nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)), 2, equalize=True)
    images = torch.rand(5, 3, 2, 2)
    torch.testing.assert_close(model(model.encoder(images)), model(images))


def test_a_network_is_built_without_lightning_and_torchmetrics():
    code = "import sys; from covidnet.models.network import plain_network as p; "
    code += "p('covidnet.models.convnet.ConvNet', {'num_classes': 2}); "
    code += "print({'pytorch_lightning', 'torchmetrics', 'lightning_fabric'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_no_checkpoint_holds_is_exact_after_the_weights_were_rounded():
    model = InceptionV3(3, backbone="resnet10t", pretrained=False)
    mean = model.network[0].mean
    assert not torch.equal(mean, mean.bfloat16().float())
    model.to(torch.bfloat16)
    assert model.network[0].mean.dtype == torch.bfloat16
    model.model.to_float32()
    assert torch.equal(model.network[0].mean, mean)
    weight = model.network[-1][0].weight
    assert torch.equal(weight, weight.bfloat16().float())


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_all_is_contiguous_on_devices_that_get_channels_last_wrong(device, monkeypatch):
    monkeypatch.setattr(network, "PLAIN_LAYOUT", {device})
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2)
    )
    model = nn.Sequential(Network(nn.Sequential(*layers[:2], nn.Sequential(*layers[2:])), 2, equalize=True))
    seen = []
    layers[1].register_forward_hook(lambda *given: seen.append(given[1][0].is_contiguous()))
    model.to("cpu")  # as a trainer moves what holds it
    images = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    model(images)
    model[0].logits_and_features(images)
    assert seen == [device == "cpu"] * 2
    assert layers[0].weight.is_contiguous() == (device == "cpu")
