"""InceptionV3, or any other backbone, under the tutorial's dense head."""

from typing import Any

from covidnet.files.plain import refuse_misfits
from covidnet.models.encoded import Encoded, asked
from covidnet.models.networks.inception import inceptionv3
from covidnet.models.parts.sources import Told


class InceptionV3(Encoded):
    """Pooled backbone features under dense 200, 100, 50, each ReLU + dropout, then dense C.

    With the default backbone (Szegedy et al. 2016, arXiv:1512.00567; features (B, 2048)) 22,220,671 parameters for 3
    classes. Images are normalised inside the model by the mean and deviation that its weights were trained with.

    Args:
        num_classes: Number of classes C.
        backbone: Name of a timm model; or hf-hub:ORG/NAME, or local-dir:FOLDER with what a hub has, or xrv:NAME.
        pretrained: Start from ImageNet weights, or those that the backbone has where it is from.
        weights: File of weights (.pth, .safetensors) to read instead of asking the hub.
        dropout: Share dropped after each dense layer in training, in [0, 1).
        image_size: Side of the images in pixels, for backbones that are built for one, as transformers are; the command
            line takes it from data.image_size, and without it they have their own.
        architecture: What another place than timm has told of the backbone; a checkpoint keeps it.
        options: What every classifier over an encoder takes.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "inception_v3.tf_in1k",
        pretrained: bool = True,
        weights: str | None = None,
        dropout: float = 0.5,
        image_size: int | None = None,
        architecture: Told | None = None,
        **options: Any,
    ) -> None:
        refuse_misfits(InceptionV3, locals() | options, "model.")
        architecture = asked(backbone, architecture)
        network = inceptionv3(num_classes, backbone, pretrained, weights, dropout, image_size, architecture)
        super().__init__(network, num_classes, **options)
        self.save_hyperparameters(logger=False)
        self.keep(architecture)
