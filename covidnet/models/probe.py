"""Probe: a light head on the features of an encoder that somebody else has trained."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from covidnet.batch import TrainingBatch
from covidnet.files.plain import refuse_misfits
from covidnet.models.encoded import Encoded, asked
from covidnet.models.networks.probe import probe
from covidnet.models.parts.heads import Head
from covidnet.models.parts.sources import Told
from covidnet.models.parts.stages import Features


class Probe(Encoded):
    """Pooled features of a frozen encoder under one linear layer, or under the tutorial's dense ones.

    A linear head is not trained by steps but solved: as a logistic regression whose strength of regularisation the
    validation images choose. That needs features that stay as they are: where images change at random, or labels are
    smoothed, it is trained by steps as other heads are, and that is told.

    Args:
        num_classes: Number of classes C.
        backbone: Name of a timm model; or hf-hub:ORG/NAME, or local-dir:FOLDER with what a hub has, or xrv:NAME.
        pretrained: Start from the weights that the backbone has where it is from.
        weights: File of weights (.pth, .safetensors) to read instead of asking the hub.
        head: One layer, "linear"; or "dense", the tutorial's layers of 200, 100 and 50.
        dropout: Share dropped after each layer of a dense head in training, in [0, 1).
        freeze_backbone: Train the head alone; the backbone's BatchNorm statistics stay still too.
        image_size: Side of the images in pixels, for backbones that are built for one, as transformers are; the command
            line takes it from data.image_size, and without it they have their own.
        architecture: What another place than timm has told of the backbone; a checkpoint keeps it.
        features: What the head sees: the pooled end of the backbone, "top"; or "stages", with it the mean maps of the
            last three stages, each number as its signed root.
        options: What every classifier over an encoder takes.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "tf_efficientnet_lite0",
        pretrained: bool = True,
        weights: str | None = None,
        head: Head = "linear",
        dropout: float = 0.5,
        freeze_backbone: bool = True,
        image_size: int | None = None,
        architecture: Told | None = None,
        features: Features = "stages",
        **options: Any,
    ) -> None:
        refuse_misfits(Probe, locals() | options, "model.")
        architecture = asked(backbone, architecture)
        network = probe(num_classes, backbone, pretrained, weights, head, dropout, image_size, architecture, features)
        super().__init__(network, num_classes, freeze_backbone=freeze_backbone, **options)
        self.head: Head = head
        self.save_hyperparameters(logger=False)
        self.keep(architecture)

    @property
    def solvable(self) -> bool:
        """Whether the head is one whose best weights follow from features and labels."""
        return self.head == "linear" and not self.label_smoothing

    @property
    def rests(self) -> bool:
        """Whether the steps of this epoch change nothing: the head is solved, and nothing else trains."""
        return self.findings.get("head") is not None and self.frozen

    def on_train_start(self) -> None:
        """Begin no epoch after the one in which a solved head was measured, where that is all there is to do."""
        super().on_train_start()
        if self.rests and self.freezes_for_good and self.trainer.current_epoch:
            self.trainer.should_stop = True

    def on_train_batch_start(self, batch: TrainingBatch, batch_idx: int) -> None:
        """Record no step that changes nothing."""
        if not self.rests:
            super().on_train_batch_start(batch, batch_idx)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Take a step; of a solved head only count it."""
        if not self.rests:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
            return
        assert optimizer_closure is not None
        optimizer_closure()

    def on_train_epoch_end(self) -> None:
        """End a training whose head is solved and whose encoder never trains: the first epoch has measured it."""
        super().on_train_epoch_end()
        if self.rests and self.freezes_for_good:
            self.trainer.should_stop = True

    def take_head(self, weights: Tensor, bias: Tensor) -> None:
        """Put solved weights (C, F) and biases (C,) into the linear head."""
        layer: Any = self.network[-1][0]  # type: ignore[index]  # a sequence of the one layer
        layer.weight.data.copy_(weights)
        layer.bias.data.copy_(bias)
