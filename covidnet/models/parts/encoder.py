"""What stands below a head: images are normalised, then a network of timm makes features of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from covidnet.models.parts.backbone import architecture_of, create_backbone, width_of
from covidnet.models.parts.stages import Features, Stages


def encoder(
    backbone: str,
    *,
    pretrained: bool,
    weights: str | None,
    image_size: int | None,
    architecture: Mapping[str, Any] | None,
    features: Features = "top",
) -> tuple[nn.Module, nn.Module, int]:
    """Return what normalises images (B, 3, H, W), what gives pooled features (B, F) of them, and F.

    Args:
        backbone: Name of a timm model, or hf-hub:ORG/NAME, local-dir:FOLDER, xrv:NAME.
        pretrained: Start from the weights that the backbone has there.
        weights: File of weights (.pth, .safetensors) to read instead of asking the hub.
        image_size: Side of the images in pixels, for backbones that are built for one; their own where None.
        architecture: What was told of a backbone that is not named as timm's; it is asked for where None.
        features: The pooled end of the network, "top", or with it what its last "stages" see.

    Raises:
        UserError: As ``create_backbone``.
    """
    made = architecture_of(backbone, architecture)
    network = create_backbone(
        backbone, pretrained=pretrained, weights=weights, image_size=image_size, architecture=made
    )
    config = network.pretrained_cfg
    normalize, width = Normalize(config["mean"], config["std"]), width_of(network)
    if features == "top":
        return normalize, network, width
    stages = Stages(network, backbone)
    return normalize, stages, stages.width + width


class Normalize(nn.Module):
    """(images - mean) / deviation, a number for each channel.

    They lie where the weights do. torchvision's own copies them from the CPU in each step, which a CUDA graph cannot
    hold. The checkpoint has no need of them: the backbone's name tells them, or its architecture.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return images (B, 3, H, W) normalised."""
        return (images - self.mean) / self.deviation
