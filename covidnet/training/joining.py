"""What a model takes from its training data: class weights, and features that training does not change."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from covidnet.errors import UserError
from covidnet.models.classifier import Classifier


class Joining(Callback):
    """Weigh the classes by the training images, and compute the features of a frozen part once an image.

    Every command adds it. A script of your own does so too, else it trains unweighted and computes frozen features in
    each epoch: ``Trainer(callbacks=[Joining()]).fit(ConvNet(3), RadiographyDataModule("images"))``. The data module
    must be given to ``fit``.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Weigh the classes by the training split, where there is one to train on."""
        if stage == "fit":
            assert isinstance(pl_module, Classifier)
            data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it on the trainer
            pl_module.class_weights.copy_(balanced_class_weights(data.class_counts.tolist(), data.classes))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute features that training does not change once an image, not once an image and epoch."""
        assert isinstance(pl_module, Classifier)
        data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it on the trainer
        if pl_module.frozen and data.augment is None and not pl_module.model.average_mirrored:
            exact = copy.deepcopy(pl_module.model).to_float32()  # its own weights may be of fewer bits
            data.encode(exact.encoder, pl_module.device)


def balanced_class_weights(counts: Sequence[int], classes: Sequence[str]) -> Tensor:
    """Return n / (C * n_c) for each class (C,) float32: scikit-learn's "balanced" (King and Zeng 2001).

    Raises:
        UserError: Where a class has no training image.
    """
    from sklearn.utils.class_weight import compute_class_weight

    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    if empty:
        raise UserError(
            f"The class(es) {empty} have no training images, so they have no weight in the loss: "
            f"{dict(zip(classes, counts, strict=True))}. Change data.split_file, or leave them out of data.classes."
        )
    labels = np.repeat(np.arange(len(counts)), counts)
    weights = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    return torch.as_tensor(weights, dtype=torch.float32)
