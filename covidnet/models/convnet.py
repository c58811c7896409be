"""ConvNet: one convolution and one hidden dense layer, the tutorial's first model."""

from typing import Any

from covidnet.files.plain import refuse_misfits
from covidnet.models.classifier import Classifier
from covidnet.models.networks.convnet import convnet


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
        refuse_misfits(ConvNet, locals() | options, "model.")
        super().__init__(convnet(num_classes, image_size, dropout), num_classes, **options)
        self.save_hyperparameters(logger=False)
