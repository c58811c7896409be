"""Encoded: a classifier over a pretrained encoder, which is frozen, trained, or first the one and then the other."""

import math
import warnings
from typing import Any

from torch import nn

from covidnet.errors import UserError, require
from covidnet.models.classifier import Classifier, Rates
from covidnet.models.parts.backbone import architecture_of
from covidnet.models.parts.sources import Told, is_elsewhere


def asked(backbone: str, architecture: Told | None) -> Told | None:
    """Return what the place of a backbone tells of it, plain values; None of one that timm knows by its name."""
    return architecture_of(backbone, architecture)._asdict() if is_elsewhere(backbone) else None


class Encoded(Classifier):
    """Train a network of three parts: what normalises the images, their encoder, a head.

    A subclass ends its constructor with ``save_hyperparameters(logger=False)`` and ``keep(architecture)``.

    Args:
        network: The three parts.
        num_classes: Number of classes C.
        freeze_backbone: Train the head alone; the backbone's BatchNorm statistics stay still too.
        probe_epochs: Train the head alone for so many epochs, then the backbone too, also where freeze_backbone says
            otherwise; its BatchNorm statistics stay as they were.
        backbone_lr: Learning rate of the backbone where it trains; where left out, the head's, model.learning_rate.
        options: What every classifier takes.
    """

    def __init__(
        self,
        network: nn.Sequential,
        num_classes: int,
        freeze_backbone: bool = False,
        probe_epochs: int = 0,
        backbone_lr: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(network, num_classes, **options)
        require(probe_epochs >= 0, "model.probe_epochs", probe_epochs, "0 or more")
        if backbone_lr is not None:
            require(0 < backbone_lr < math.inf, "model.backbone_lr", backbone_lr, "a number above 0")
        if backbone_lr is not None and freeze_backbone and not probe_epochs:
            raise UserError(
                f"model.backbone_lr={backbone_lr} needs a backbone that trains: give model.freeze_backbone=false, or "
                "model.probe_epochs."
            )
        self.freeze_backbone, self.probe_epochs, self.backbone_lr = freeze_backbone, probe_epochs, backbone_lr
        self._frozen = False
        self._enter(0)

    @property
    def backbone(self) -> nn.Module:
        """The encoder between normalisation and head."""
        return self.network[1]

    @property
    def frozen(self) -> bool:
        """Whether the head alone trains in this epoch."""
        return self._frozen

    @property
    def freezes_for_good(self) -> bool:
        """Whether the head alone trains in all epochs."""
        return self.freeze_backbone and not self.probe_epochs

    def freezes(self, epoch: int) -> bool:
        """Tell whether the head alone trains in an epoch, 0 the first."""
        return epoch < self.probe_epochs if self.probe_epochs else self.freeze_backbone

    def keep(self, architecture: Told | None) -> None:
        """Note that a checkpoint holds the weights itself: opening one must ask neither a hub nor a file again."""
        self.hparams.update(pretrained=False, weights=None, architecture=architecture)

    def setup(self, stage: str) -> None:
        """Keep Lightning from warning of a frozen backbone's evaluation mode, which is meant.

        Raises:
            UserError: For what several processes cannot do.
        """
        if self.frozen:
            warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
        if stage == "fit" and self.probe_epochs and self.trainer.world_size > 1:
            raise UserError(
                f"model.probe_epochs={self.probe_epochs} changes what trains, on which several processes agree once "
                "alone. Give trainer.devices=1, or train twice."
            )

    def train(self, mode: bool = True) -> "Encoded":
        """Set training mode, but leave in evaluation mode what is frozen: the backbone, or its BatchNorm statistics.

        These stay where the head was fitted first: the features of a batch's own statistics would be others, and the
        head would tell nothing of them.
        """
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        elif self.probe_epochs:
            for layer in self.backbone.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001  # torch's name of all of its kinds
                    layer.eval()
        return self

    def on_train_start(self) -> None:
        """Freeze what is frozen in the epoch that training goes on with."""
        self._enter(self.trainer.current_epoch)
        super().on_train_start()

    def on_train_epoch_start(self) -> None:
        """Train the backbone from the epoch on that is told; until then early stopping waits for nothing."""
        epoch = self.trainer.current_epoch
        self._enter(epoch)
        if epoch <= self.probe_epochs and self.probe_epochs:
            for stopping in self.trainer.early_stopping_callbacks:
                if stopping is not None:
                    stopping.wait_count = 0

    def rates(self) -> Rates:
        """Return the head's parameters and the backbone's, apart where these have a rate of their own."""
        if self.backbone_lr is None and not self.probe_epochs:
            return super().rates()
        if self.backbone_lr is None:
            return [(list(self.parameters()), self.learning_rate)]  # those too that train later
        backbone = list(self.backbone.parameters())
        own = {id(weights) for weights in backbone}
        head = [weights for weights in self.parameters() if id(weights) not in own]
        return [(head, self.learning_rate), (backbone, self.backbone_lr)]

    def _enter(self, epoch: int) -> None:
        """Freeze the backbone, or let it train, as it is meant in an epoch."""
        frozen = self.freezes(epoch)
        if frozen != self._frozen:
            self._frozen = frozen
            self.backbone.requires_grad_(not frozen)
            self.train(self.training)
