"""The layers of InceptionV3, or of any other timm backbone, under the tutorial's dense head."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from covidnet.models.parts.backbone import create_backbone, width_of
from covidnet.models.parts.dropout import Dropout, check_dropout
from covidnet.models.parts.glorot import glorot

WIDTHS = (200, 100, 50)


def inceptionv3(
    num_classes: int,
    backbone: str = "inception_v3.tf_in1k",
    pretrained: bool = True,
    weights: str | None = None,
    dropout: float = 0.5,
    image_size: int | None = None,
) -> nn.Sequential:
    """Return images (B, 3, H, W) -> logits (B, C): normalisation, a pooled backbone, and the tutorial's head.

    Args:
        num_classes: Number of classes C.
        backbone: Name of a timm model.
        pretrained: Start from ImageNet weights.
        weights: File of ImageNet weights (.pth, .safetensors) to read instead of asking the hub.
        dropout: Share dropped after each dense layer in training, in [0, 1).
        image_size: Side of the images in pixels, for backbones that are built for one; their own where None.
    """
    check_dropout(dropout)
    features = create_backbone(backbone, pretrained=pretrained, weights=weights, image_size=image_size)
    config = features.pretrained_cfg
    head = dense_head(width_of(features), WIDTHS, num_classes, dropout)
    return nn.Sequential(Normalize(config["mean"], config["std"]), features, head)


class Normalize(nn.Module):
    """(images - mean) / deviation, a number for each channel.

    They lie where the weights do. torchvision's own copies them from the CPU in each step, which a CUDA graph cannot
    hold. The checkpoint has no need of them: the backbone's name tells them.
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


def dense_head(features: int, widths: Sequence[int], num_classes: int, dropout: float) -> nn.Sequential:
    """Return dense layers of ``widths``, each with ReLU and dropout, then the logits (B, C)."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(features, width), nn.ReLU(), Dropout(dropout)]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, num_classes)).apply(glorot)
