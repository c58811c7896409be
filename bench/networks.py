"""The networks as anyone would write them, and as covidnet has them."""

import timm
from torch import nn

from covidnet.models.networks.convnet import convnet
from covidnet.models.networks.inception import inceptionv3
from covidnet.models.parts.heads import WIDTHS, dense_head


def plain(model: str, num_classes: int, image_size: int) -> nn.Module:
    """Return the network of PyTorch's own modules, in the order of the recipe."""
    if model == "convnet":
        side = (image_size - 2) // 2
        return nn.Sequential(
            nn.Conv2d(3, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(32 * side * side, 256),
            nn.ReLU(),
            nn.Linear(256, num_classes),
        )
    backbone = timm.create_model("inception_v3", pretrained=False, num_classes=0)
    return nn.Sequential(backbone, dense_head(2048, WIDTHS, num_classes, 0.5))


def ours(model: str, num_classes: int, image_size: int) -> nn.Module:
    """Return covidnet's network."""
    if model == "convnet":
        return convnet(num_classes, image_size)
    return inceptionv3(num_classes, pretrained=False)
