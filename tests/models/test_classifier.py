from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from covidnet.errors import UserError
from covidnet.models.convnet import ConvNet
from covidnet.models.parts.appearance import appearance


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


def test_linear_scaling_multiplies_the_rate_by_the_batches_of_a_step():
    model = ConvNet(3, image_size=8, learning_rate=1e-3, linear_scaling=True, warmup_epochs=5)
    model._trainer = SimpleNamespace(
        world_size=8, accumulate_grad_batches=2, estimated_stepping_batches=90, max_epochs=10, barebones=False
    )
    optimizer = model.configure_optimizers()["optimizer"]
    assert optimizer.param_groups[0]["initial_lr"] == pytest.approx(16e-3)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(16e-3 / 46)  # the first of 45 steps of warm-up


def test_linear_scaling_needs_a_warm_up():
    with pytest.raises(UserError, match=r"give model\.warmup_epochs too"):
        ConvNet(3, linear_scaling=True)


def test_learning_rate_must_be_positive():
    with pytest.raises(UserError, match=r"model\.learning_rate"):
        ConvNet(3, learning_rate=0.0)


def test_weight_decay_makes_it_adamw_and_spares_what_has_one_dimension():
    model = ConvNet(3, image_size=8, weight_decay=0.02)
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.AdamW)
    shrunk, spared = optimizer.param_groups
    assert (shrunk["weight_decay"], spared["weight_decay"]) == (0.02, 0)
    assert all(parameter.dim() == 1 for parameter in spared["params"])
    assert len(shrunk["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_weights_of_a_batch_go_before_those_of_the_classes():
    model = ConvNet(3, image_size=8).eval()
    model.class_weights.copy_(torch.tensor([5.0, 1.0, 0.5]))
    images, labels, weights = torch.rand(2, 3, 8, 8), torch.tensor([0, 1]), torch.tensor([0.3, 2.0])
    loss, logits = model.loss_and_logits(images, labels, weights)
    torch.testing.assert_close(loss, (weights * F.cross_entropy(logits, labels, reduction="none")).mean())


def test_label_smoothing_is_of_the_training_alone():
    model = ConvNet(3, image_size=8, label_smoothing=0.1).eval()
    model.log = lambda *args, **kwargs: None
    images, labels = torch.rand(4, 3, 8, 8), torch.arange(4) % 3
    loss, logits = model.loss_and_logits(images, labels)
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels, label_smoothing=0.1))
    model.validation_step((images, labels), 0)
    torch.testing.assert_close(model.val_metrics.compute()["val_loss"], F.cross_entropy(logits, labels))


def test_mirrored_logits_are_averaged_outside_training():
    torch.manual_seed(0)
    model = ConvNet(3, image_size=8, dropout=0.0, average_mirrored=True)
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(model.train()(images), model.network(images))
    expected = (model.network(images) + model.network(images.flip(-1))) / 2
    torch.testing.assert_close(model.eval()(images), expected)
    torch.testing.assert_close(model(images), model(images.flip(-1)))


@pytest.mark.parametrize(
    "wrong",
    [{"weight_decay": -1}, {"warmup_epochs": -1}, {"label_smoothing": 1.0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_value_out_of_range_is_named(wrong):
    with pytest.raises(UserError, match=rf"model\.{next(iter(wrong))}"):
        ConvNet(3, **wrong)


@pytest.mark.parametrize("options", [{}, {"equalize": True}, {"average_mirrored": True}])
def test_logits_with_features_are_those_of_the_model(options):
    torch.manual_seed(0)
    model = ConvNet(3, image_size=20, **options).eval()
    images = torch.rand(4, 3, 20, 20)
    logits, features = model.model.logits_and_features(images)
    torch.testing.assert_close(logits, model(images))
    torch.testing.assert_close(features[:, :-256], appearance(images))
    network = model.network[-1](features[:, -256:])  # what its last layer takes
    torch.testing.assert_close(network, logits)
