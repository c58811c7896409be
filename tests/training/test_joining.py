"""Class weights and frozen features reach a model that an ordinary script trains."""

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from sklearn.utils.class_weight import compute_class_weight

from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError
from covidnet.models.convnet import ConvNet
from covidnet.training.joining import Joining, balanced_class_weights


def test_balanced_weights_are_the_tutorials():
    weights = balanced_class_weights([179, 1301, 1305], ["a", "b", "c"])
    torch.testing.assert_close(weights, torch.tensor([5.18621974, 0.71355368, 0.71136654]))
    labels = np.repeat([0, 1, 2], [179, 1301, 1305])
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(3), y=labels), rtol=1e-6)


def test_a_class_without_training_images_is_named():
    with pytest.raises(UserError, match="NORMAL"):
        balanced_class_weights([3, 0], ["COVID-19", "NORMAL"])


def test_a_script_trains_weighted_by_the_callback(xray_root):
    (xray_root / "NORMAL" / "NORMAL (1).png").unlink()
    data = RadiographyDataModule(str(xray_root), image_size=8, test_per_class=3)
    model = ConvNet(3, image_size=8)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", callbacks=[Joining()], **options)
    trainer.fit(model, datamodule=data)
    expected = balanced_class_weights(data.class_counts.tolist(), data.classes)
    assert len(set(expected.tolist())) > 1
    torch.testing.assert_close(model.class_weights, expected)


HEAD = {"strength": 0.1, "val_loss": 0.5, "tried": {"0.1": 0.5}}


@pytest.mark.parametrize(
    "found", [{"best": HEAD}, {"head": {**HEAD, "val_loss": "0"}}, {"head": [1]}, [HEAD], {"head": {}}]
)
def test_what_a_strangers_checkpoint_says_was_found_is_a_head_or_refused(found):
    joining = Joining()
    with pytest.raises(ValueError, match="no head that was solved"):
        joining.load_state_dict({"found": found})
    joining.load_state_dict({"found": {"head": HEAD}})
    assert joining.state_dict() == {"found": {"head": HEAD}}
