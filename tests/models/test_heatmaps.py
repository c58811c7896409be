import numpy as np
import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import nn

from covidnet.errors import UserError
from covidnet.models.convnet import ConvNet
from covidnet.models.heatmaps import as_map, grad_cam, heat_share, last_feature_map
from covidnet.models.inception import InceptionV3
from covidnet.models.network import Network

IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 1, 1])


def frozen_backbone(*, equalize: bool = False) -> Network:
    model = InceptionV3(2, backbone="resnet10t", pretrained=False, freeze_backbone=True, equalize=equalize)
    return model.eval().model


def test_the_share_of_heat_is_that_inside_the_region() -> None:
    heat = np.zeros((4, 4), dtype=np.float32)
    heat[0, 0], heat[2, 2] = 1, 3
    region = np.zeros((4, 4), dtype=np.bool_)
    region[2:, 2:] = True
    assert heat_share(heat, region) == pytest.approx(0.75)
    assert heat_share(np.zeros_like(heat), region) is None


def test_the_last_map_of_a_network_is_found_whatever_it_is_built_of() -> None:
    flattened = last_feature_map(ConvNet(2, 32).eval().model, IMAGES)
    assert (flattened.name, flattened.side) == ("network.3", 15)
    assert last_feature_map(frozen_backbone(), IMAGES.repeat(1, 1, 2, 2)).name == "network.1.layer4"


def test_a_model_without_a_map_is_told() -> None:
    flat = Network(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4), nn.Linear(4, 2)), 2, name="Flat").eval()
    with pytest.raises(UserError, match="No layer of Flat keeps a map"):
        last_feature_map(flat, IMAGES)


def test_the_last_places_of_a_transformer_are_those_that_its_answer_hangs_on() -> None:
    model = InceptionV3(2, backbone="test_vit", pretrained=False, image_size=32).eval().model  # by its class token
    found = last_feature_map(model, IMAGES)
    assert (found.name, found.side) == ("network.1.blocks.4", 2)
    assert grad_cam(model, found.layer, IMAGES, TARGETS).max() == pytest.approx(1)


class Several(nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images[:, :, ::2, ::2].repeat(1, 2, 1, 1), images


class Oblong(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(2)[:, :, :20].unflatten(2, (4, 5))


@pytest.mark.parametrize("last", [Several(), Oblong()], ids=["several", "oblong"])
def test_places_that_cannot_be_laid_over_an_image_are_refused_by_their_shape(last: nn.Module) -> None:
    first = nn.Conv2d(3, 6, 3, padding=1)
    end = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))
    whole = nn.Sequential(first, last, Taken(), end)
    whole(IMAGES)
    with pytest.raises(UserError, match=r"The last layer of Odd that knows places, network\.1, gives \("):
        last_feature_map(Network(whole, 2, name="Odd").eval(), IMAGES)


class Taken(nn.Module):
    def forward(self, given: torch.Tensor | tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return (given[0] if isinstance(given, tuple) else given).flatten(1)


def test_channels_may_come_last_and_the_class_before_the_places() -> None:
    model = Network(nn.Sequential(nn.Flatten(), nn.Linear(2, 2)), 2)
    first = torch.arange(2 * 5 * 4 * 4.0).view(2, 5, 4, 4)
    assert as_map(model, first) is first
    torch.testing.assert_close(as_map(model, first.movedim(1, -1)), first)
    tokens = torch.cat([torch.zeros(2, 1, 5), first.flatten(2).transpose(1, 2)], dim=1)
    torch.testing.assert_close(as_map(model, tokens), first)
    assert as_map(model, torch.zeros(2, 19, 5)) is None


def test_a_branch_is_no_map_of_the_network() -> None:
    model = InceptionV3(2, backbone="inception_v3", pretrained=False).eval().model
    found = last_feature_map(model, nn.functional.interpolate(IMAGES, 75))  # its last maps are of one pixel
    assert (found.name, found.side) == ("network.1.Mixed_6e", 3)


@pytest.mark.parametrize("equalize", [False, True])
def test_heat_fits_the_images_even_of_a_frozen_backbone(equalize: bool) -> None:
    model, images = frozen_backbone(equalize=equalize), IMAGES.repeat(1, 1, 2, 2)
    heat = grad_cam(model, last_feature_map(model, images).layer, images, TARGETS)
    assert heat.shape == (3, 64, 64)
    assert heat.min() >= 0
    assert {float(peak) for peak in heat.max(axis=(1, 2)).round(6)} <= {0.0, 1.0}


def test_heat_is_found_in_float32_whatever_is_around_it() -> None:
    model = ConvNet(2, 32).eval().model
    layer = last_feature_map(model, IMAGES).layer
    expected = grad_cam(model, layer, IMAGES, TARGETS)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(grad_cam(model, layer, IMAGES, TARGETS), expected)


def test_heat_is_grad_cam_where_the_map_is_averaged() -> None:
    torch.manual_seed(0)
    parts = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    model, layer = Network(parts, 2).eval(), parts[1]
    known = LayerGradCam(model, layer).attribute(IMAGES, target=TARGETS, relu_attributions=True).detach()
    known = LayerAttribution.interpolate(known, (32, 32), "bilinear")[:, 0].numpy()
    heat = grad_cam(model, layer, IMAGES, TARGETS)
    peak = known.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(heat * peak, known, atol=1e-6)


def test_heat_lies_where_a_flattened_map_is_read() -> None:
    parts = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten(), nn.Linear(32 * 32, 2))
    model = Network(parts, 2, average_mirrored=True).eval()  # which a map leaves out
    corner = torch.zeros(32, 32)
    corner[:8, :8] = 1  # class 1 is read from this corner alone
    with torch.no_grad():
        parts[0].weight.fill_(1.0)
        parts[2].weight.copy_(torch.stack([torch.zeros(32 * 32), corner.flatten()]))
    heat = grad_cam(model, parts[0], IMAGES, torch.tensor([1, 1, 1]))
    assert [heat_share(one, corner.numpy() > 0) for one in heat] == pytest.approx([1, 1, 1])
    assert model.average_mirrored
