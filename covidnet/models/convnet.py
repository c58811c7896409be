"""ConvNet: one convolution and one hidden dense layer, the tutorial's first model."""

from typing import Any

from torch import nn

from covidnet.errors import UserError
from covidnet.models.classifier import Classifier, glorot
from covidnet.models.parts.dropout import Dropout, check_dropout

FILTERS = 32
HIDDEN = 256
SMALLEST = 4  # pixels: a side of 4 leaves one pixel after the convolution and the pooling


class ConvNet(Classifier):
    """Conv 32 3x3 valid + ReLU, max-pool 2, dropout, flatten, dense 256 + ReLU, dense C.

    4,720,515 parameters for 3 classes at 50x50.

    Args:
        num_classes: Number of classes C.
        image_size: Side of the images in pixels; the command line takes it from data.image_size.
        dropout: Share of the pooled features that is dropped in training, in [0, 1).
        options: What every classifier takes.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: int = 50,
        dropout: float = 0.5,
        **options: Any,
    ) -> None:
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
        super().__init__(network.apply(glorot), num_classes, **options)
        self.save_hyperparameters(logger=False)
