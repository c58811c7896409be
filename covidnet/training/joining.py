"""What a model takes from its training data: class weights, and features that training does not change."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError
from covidnet.files.plain import is_mapping, is_whole, measure
from covidnet.machine.telling import tell
from covidnet.models.classifier import Classifier
from covidnet.models.encoded import Encoded
from covidnet.models.probe import Probe
from covidnet.runs.encoding import encoder_of
from covidnet.training.light_head import is_head, solve_head

MOST_FOUND = 1_000  # values


class Joining(Callback):
    """Weigh the classes by the training images, and compute the features of a frozen part once an image.

    Every command adds it. A script of your own does so too, else it trains unweighted and computes frozen features in
    each epoch: ``Trainer(callbacks=[Joining()]).fit(ConvNet(3), RadiographyDataModule("images"))``. The data module
    must be given to ``fit``.
    """

    def __init__(self) -> None:
        self.begins = 0  # the epoch in which training begins or goes on
        self.found: dict[str, Any] = {}  # what was found when it began

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Weigh the classes by the training split, where there is one to train on."""
        if stage == "fit":
            self.begins, self.found = 0, {}
            assert isinstance(pl_module, Classifier)
            data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it on the trainer
            pl_module.class_weights.copy_(balanced_class_weights(data.class_counts.tolist(), data.classes))

    def state_dict(self) -> dict[str, Any]:
        """Return what was found when training began, for a checkpoint."""
        return {"found": self.found} if self.found else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint holds of it.

        Raises:
            ValueError: Where that is not what this class writes.
        """
        found = state_dict.get("found", {})
        measure(found, finite=True, most=MOST_FOUND)
        if found and (not is_mapping(found) or set(found) != {"head"} or not is_head(found["head"])):
            raise ValueError("what was found when its training began is no head that was solved")
        self.found = found

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note in which epoch training goes on: whether features are wanted hangs on it."""
        epoch: Any = checkpoint.get("epoch")
        self.begins = epoch + 1 if is_whole(epoch, 0) else 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute features that training does not change once an image, and solve a head that they alone determine."""
        assert isinstance(pl_module, Classifier)
        data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it on the trainer
        pl_module.findings = self.found
        later = isinstance(pl_module, Encoded) and not pl_module.freezes(self.begins)
        if later or not pl_module.frozen:
            return
        changing = _changing(pl_module, data)
        smoothing = pl_module.label_smoothing
        why = changing or (f"model.label_smoothing={smoothing} asks for another loss" if smoothing else "")
        if why and isinstance(pl_module, Probe) and pl_module.head == "linear":
            tell(f"The linear head is trained by steps, not solved: {why}.")
        if changing:
            return
        data.encode(encoder_of(pl_module.model, pl_module.device, pl_module.hparams.get("backbone")))
        if isinstance(pl_module, Probe) and pl_module.solvable and not self.found:  # else it comes from a checkpoint
            self.found["head"] = solve_head(pl_module, data)
        if data.workers and isinstance(pl_module, Encoded) and pl_module.probe_epochs:
            data.serve_images()  # processes that load batches live on, and would go on serving features

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Serve images from the epoch on in which their encoder trains."""
        if isinstance(pl_module, Encoded) and not pl_module.freezes(trainer.current_epoch):
            trainer.datamodule.serve_images()  # type: ignore[attr-defined]


def _changing(model: Classifier, data: RadiographyDataModule) -> str:
    """Return why the features of an image are not the same in each epoch; nothing where they are."""
    if data.augment is not None:
        return "training images change at random, as data.augment, data.surround or data.restyle say"
    return "model.average_mirrored=true has two of each image" if model.model.average_mirrored else ""


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
