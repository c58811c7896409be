"""InceptionV3, or any other timm backbone, under the tutorial's dense head."""

import warnings
from typing import Any

from torch import nn

from covidnet.models.classifier import Classifier
from covidnet.models.networks.inception import inceptionv3


class InceptionV3(Classifier):
    """Pooled backbone features under dense 200, 100, 50, each ReLU + dropout, then dense C.

    With the default backbone (Szegedy et al. 2016, arXiv:1512.00567; features (B, 2048)) 22,220,671 parameters for 3
    classes. Images are normalised inside the model by the mean and deviation that its weights were trained with.

    Args:
        num_classes: Number of classes C.
        backbone: Name of a timm model.
        pretrained: Start from ImageNet weights.
        weights: File of ImageNet weights (.pth, .safetensors) to read instead of asking the hub.
        freeze_backbone: Train the head alone; the backbone's BatchNorm statistics stay still too.
        dropout: Share dropped after each dense layer in training, in [0, 1).
        image_size: Side of the images in pixels, for backbones that are built for one, as transformers are; the command
            line takes it from data.image_size, and without it they have their own.
        options: What every classifier takes.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "inception_v3.tf_in1k",
        pretrained: bool = True,
        weights: str | None = None,
        freeze_backbone: bool = False,
        dropout: float = 0.5,
        image_size: int | None = None,
        **options: Any,
    ) -> None:
        network = inceptionv3(num_classes, backbone, pretrained, weights, dropout, image_size)
        super().__init__(network, num_classes, **options)
        self.freeze_backbone = freeze_backbone
        if freeze_backbone:
            self.backbone.requires_grad_(False).eval()
        self.save_hyperparameters(logger=False)
        # A checkpoint holds the weights itself: loading one must not ask the hub or a file again.
        self.hparams.update(pretrained=False, weights=None)

    @property
    def backbone(self) -> nn.Module:
        """The feature extractor between normalisation and head."""
        return self.network[1]

    @property
    def frozen(self) -> bool:
        """Whether the head alone trains."""
        return self.freeze_backbone

    def setup(self, stage: str) -> None:
        """Keep Lightning from warning of a frozen backbone's evaluation mode, which is meant."""
        if self.freeze_backbone:
            warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")

    def train(self, mode: bool = True) -> "InceptionV3":
        """Set training mode, but leave a frozen backbone in evaluation mode."""
        super().train(mode)
        if self.freeze_backbone:
            self.backbone.eval()
        return self
