"""The layers of InceptionV3, or of any other backbone, under the tutorial's dense head."""

from torch import nn

from covidnet.models.networks.probe import probe
from covidnet.models.parts.sources import Told


def inceptionv3(
    num_classes: int,
    backbone: str = "inception_v3.tf_in1k",
    pretrained: bool = True,
    weights: str | None = None,
    dropout: float = 0.5,
    image_size: int | None = None,
    architecture: Told | None = None,
) -> nn.Sequential:
    """Return images (B, 3, H, W) -> logits (B, C): normalisation, a pooled backbone, and the tutorial's head.

    Args:
        num_classes: Number of classes C.
        backbone: Name of a timm model, or of another place's, as ``encoder`` has it.
        pretrained: Start from ImageNet weights.
        weights: File of ImageNet weights (.pth, .safetensors) to read instead of asking the hub.
        dropout: Share dropped after each dense layer in training, in [0, 1).
        image_size: Side of the images in pixels, for backbones that are built for one; their own where None.
        architecture: What another place has told of the backbone.
    """
    return probe(num_classes, backbone, pretrained, weights, "dense", dropout, image_size, architecture, "top")
