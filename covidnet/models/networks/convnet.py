"""The layers of ConvNet: one convolution and one hidden dense layer, the tutorial's first model."""

from torch import nn

from covidnet.errors import UserError
from covidnet.models.parts.dropout import Dropout, check_dropout
from covidnet.models.parts.glorot import glorot

FILTERS = 32
HIDDEN = 256
SMALLEST = 4  # pixels: a side of 4 leaves one pixel after the convolution and the pooling


def convnet(num_classes: int, image_size: int = 50, dropout: float = 0.5) -> nn.Sequential:
    """Return images (B, 3, S, S) -> logits (B, C): conv 32 3x3 valid + ReLU, max-pool 2, dropout, dense 256 + ReLU.

    Args:
        num_classes: Number of classes C.
        image_size: Side S of the images in pixels.
        dropout: Share of the pooled features that is dropped in training, in [0, 1).
    """
    if image_size < SMALLEST:
        raise UserError(f"data.image_size={image_size} is too small for ConvNet: give {SMALLEST} or more.")
    check_dropout(dropout)
    side = (image_size - 2) // 2
    network = nn.Sequential(
        nn.Conv2d(3, FILTERS, kernel_size=3),
        nn.MaxPool2d(2),  # before the ReLU: both only ever keep the larger value, so the order changes no number
        nn.ReLU(),
        Dropout(dropout),
        nn.Flatten(),
        nn.Linear(FILTERS * side * side, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, num_classes),
    )
    return network.apply(glorot)
