import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from covidnet.errors import UserError
from covidnet.models.classifier import balanced_class_weights
from covidnet.models.convnet import ConvNet


def test_balanced_weights_are_the_tutorials():
    weights = balanced_class_weights([179, 1301, 1305], ["a", "b", "c"])
    torch.testing.assert_close(weights, torch.tensor([5.18621974, 0.71355368, 0.71136654]))
    labels = np.repeat([0, 1, 2], [179, 1301, 1305])
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(3), y=labels), rtol=1e-6)


def test_a_class_without_training_images_is_named():
    with pytest.raises(UserError, match="NORMAL"):
        balanced_class_weights([3, 0], ["COVID-19", "NORMAL"])


def test_training_minimises_the_mean_of_weighted_losses():
    model = ConvNet(3, image_size=8).eval()
    model.class_weights.copy_(torch.tensor([5.0, 1.0, 0.5]))
    model.log = lambda *args, **kwargs: None
    images, labels = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 2])
    losses = F.cross_entropy(model(images), labels, reduction="none")
    expected = (torch.tensor([5.0, 1.0, 0.5, 0.5]) * losses).mean()
    torch.testing.assert_close(model.training_step((images, labels), 0), expected)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_val_loss_is_the_whole_epochs_weighted_mean_whatever_the_batch_size(batch_size):
    torch.manual_seed(0)
    model = ConvNet(3, image_size=8).eval()
    model.class_weights.copy_(torch.tensor([5.0, 1.0, 0.5]))
    model.log = lambda *args, **kwargs: None
    images, labels = torch.rand(5, 3, 8, 8), torch.tensor([0, 1, 2, 2, 1])
    for start in range(0, 5, batch_size):
        model.validation_step((images[start : start + batch_size], labels[start : start + batch_size]), 0)
    logits = model(images)
    metrics = model.val_metrics.compute()
    weighted = F.cross_entropy(logits, labels, weight=model.class_weights)  # sum(w l) / sum(w)
    torch.testing.assert_close(metrics["val_loss"], weighted)
    torch.testing.assert_close(metrics["val_loss_unweighted"], F.cross_entropy(logits, labels))


def test_a_step_moves_every_parameter():
    torch.manual_seed(0)
    model = ConvNet(3, image_size=8)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    model.log = lambda *args, **kwargs: None
    model.training_step((torch.rand(8, 3, 8, 8), torch.arange(8) % 3), 0).backward()
    model.configure_optimizers().step()
    assert all((a != b).any() for a, b in zip(before, model.parameters(), strict=True))


def test_the_optimizer_is_keras_adam():
    optimizer = ConvNet(3, image_size=8).configure_optimizers()
    assert isinstance(optimizer, torch.optim.Adam)
    assert (optimizer.defaults["lr"], optimizer.defaults["eps"]) == (1e-3, 1e-7)


def test_learning_rate_must_be_positive():
    with pytest.raises(UserError, match=r"model\.learning_rate"):
        ConvNet(3, learning_rate=0.0)
