"""Any of timm's networks, at any size: built, tried and explained, or refused by a sentence."""

import timm
import torch
from hypothesis import strategies as st

from bench.fuzz.running import expect
from covidnet.models.heatmaps import grad_cam, last_feature_map
from covidnet.models.inception import InceptionV3
from covidnet.training.checks import check_network

SMALL = ("atto", "femto", "pico", "nano", "tiny", "xxs", "050", "s0", "18", "small", "test_")  # of what fits here
NAMES = [name for name in timm.list_models() if any(word in name for word in SMALL)]
ODD = ["", "resnet", "resnet18.x", "hf-hub:a/b", "local-dir:x", "vit_tiny_patch16_224.x", "../x"]

backbones = st.tuples(
    st.sampled_from(NAMES) | st.sampled_from(NAMES) | st.sampled_from(NAMES) | st.sampled_from(ODD),
    st.sampled_from([8, 28, 32, 33, 48, 50, 64, 64, 96]),
)


def use_backbone(case: tuple[str, int]) -> None:
    """Build a backbone for images of a size, try it, train a step and ask where it looks."""
    name, size = case
    model = InceptionV3(2, backbone=name, pretrained=False, image_size=size)
    check_network(model, size)
    images = torch.rand(2, 3, size, size)
    loss, _ = model.train().loss_and_logits(images, torch.arange(2))
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it bare
    model.eval()
    found = last_feature_map(model.model, images)
    heat = grad_cam(model.model, found.layer, images, torch.arange(2))
    expect(heat.shape == (2, size, size), f"heat of {heat.shape}")
