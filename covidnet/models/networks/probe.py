"""The layers of an encoder under a light head."""

from typing import Any

from torch import nn

from covidnet.models.parts.dropout import check_dropout
from covidnet.models.parts.encoder import encoder
from covidnet.models.parts.heads import Head, head_of
from covidnet.models.parts.sources import Told
from covidnet.models.parts.stages import Features


def probe(
    num_classes: int,
    backbone: str = "tf_efficientnet_lite0",
    pretrained: bool = True,
    weights: str | None = None,
    head: Head = "linear",
    dropout: float = 0.5,
    image_size: int | None = None,
    architecture: Told | None = None,
    features: Features = "stages",
) -> nn.Sequential:
    """Return images (B, 3, H, W) -> logits (B, C): normalisation, a pooled backbone, and a head.

    Args:
        num_classes: Number of classes C.
        backbone: Name of a timm model, or of another place's, as ``encoder`` has it.
        pretrained: Start from the backbone's own weights.
        weights: File of its weights (.pth, .safetensors) to read instead of asking the hub.
        head: One layer, "linear", or the tutorial's "dense" ones.
        dropout: Share dropped after each dense layer in training, in [0, 1).
        image_size: Side of the images in pixels, for backbones that are built for one; their own where None.
        architecture: What another place has told of the backbone.
        features: The pooled end of the backbone, "top", or with it the mean maps of its last three "stages".
    """
    check_dropout(dropout)  # before anything is fetched
    options: dict[str, Any] = {"pretrained": pretrained, "weights": weights, "image_size": image_size}
    normalize, body, width = encoder(backbone, architecture=architecture, features=features, **options)
    return nn.Sequential(normalize, body, head_of(head, width, num_classes, dropout))
