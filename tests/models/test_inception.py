from pathlib import Path

import pytest
import timm
import torch
from pytorch_lightning import Trainer
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import v2

from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError
from covidnet.models.inception import InceptionV3
from covidnet.models.parts.backbone import create_backbone
from covidnet.training.joining import Joining

SMALL = "test_resnet.r160_in1k"  # timm's own model for tests: 0.5 M parameters


def small(**options) -> InceptionV3:
    return InceptionV3(3, backbone=SMALL, **{"pretrained": False, **options})


def weights_file(path: Path, classifier: bool = True) -> Path:
    torch.manual_seed(1)
    state = timm.create_model(SMALL, num_classes=7 if classifier else 0).state_dict()
    torch.save(state, path) if path.suffix == ".pth" else save_file(state, path)
    return path


def test_parameters_are_the_tutorials_and_all_trainable():
    model = InceptionV3(3, pretrained=False)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 22_220_671


def test_images_are_normalised_by_the_weights_own_statistics():
    config = timm.get_pretrained_cfg("inception_v3.tf_in1k")
    normalize = InceptionV3(3, pretrained=False).network[0]
    assert tuple(normalize.mean.flatten().tolist()) == tuple(config.mean) == (0.5, 0.5, 0.5)
    assert tuple(normalize.deviation.flatten().tolist()) == tuple(config.std) == (0.5, 0.5, 0.5)
    images = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(normalize(images), v2.functional.normalize(images, config.mean, config.std))


def test_a_checkpoint_holds_no_mean_and_deviation():
    assert not [key for key in InceptionV3(3, pretrained=False).state_dict() if key.startswith("network.0")]


def test_the_head_is_three_dropped_out_dense_layers():
    head = small(dropout=0.3).network[2]
    assert [m.out_features for m in head if isinstance(m, nn.Linear)] == [200, 100, 50, 3]
    assert [m.p for m in head if isinstance(m, nn.Dropout)] == [0.3] * 3


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_weights_come_from_a_file_and_its_classifier_is_left_out(tmp_path, name):
    file = weights_file(tmp_path / name)
    loaded = small(weights=str(file)).backbone.state_dict()
    torch.manual_seed(1)
    expected = timm.create_model(SMALL, num_classes=7).state_dict()
    assert all(torch.equal(loaded[key], expected[key]) for key in loaded)


def test_wrong_weights_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"model\.weights=.* is no file"):
        small(weights=str(tmp_path / "none.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(UserError, match="does not fit"):
        small(weights=str(tmp_path / "text.pth"))
    torch.save({"other.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.weight"):
        small(weights=str(tmp_path / "other.pth"))


class Payload:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_a_weights_file_runs_no_code(tmp_path):
    torch.save({"a": Payload()}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match="does not fit"):
        small(weights=str(tmp_path / "bad.pth"))
    assert not Path("executed").exists()


def test_an_unknown_backbone_is_named_with_its_neighbour():
    with pytest.raises(UserError, match=r"model\.backbone=inception_v33 .*'inception_v3'"):
        create_backbone("inception_v33", pretrained=False, weights=None)


def test_an_unreachable_hub_names_both_ways_out(monkeypatch):
    create = timm.create_model

    def refuse(name, pretrained, **options):
        if pretrained:
            raise OSError("no network")
        return create(SMALL, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(UserError, match=r"(?s)model\.weights=FILE.*model\.pretrained=false"):
        InceptionV3(3)


def test_pretrained_weights_are_asked_of_the_hub(monkeypatch):
    asked = {}
    create = timm.create_model

    def record(name, pretrained, **options):
        asked.update(name=name, pretrained=pretrained)
        return create(SMALL, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", record)
    InceptionV3(3)
    assert asked == {"name": "inception_v3.tf_in1k", "pretrained": True}


def test_a_frozen_backbone_keeps_its_weights_and_statistics():
    model = small(freeze_backbone=True)
    assert not model.backbone.training  # Lightning keeps the mode that it finds
    model.train()
    model.log = lambda *args, **kwargs: None
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    optimizer = model.configure_optimizers()
    model.training_step((torch.rand(4, 3, 64, 64), torch.arange(4) % 3), 0).backward()
    optimizer.step()
    assert all(torch.equal(value, before[key]) for key, value in model.backbone.state_dict().items())


def test_frozen_features_are_computed_once_and_give_the_same_validation_loss(xray_root, monkeypatch):
    losses, passes = {}, []
    forward = type(small().backbone).forward

    def count(self, images):
        passes.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(type(small().backbone), "forward", count)
    for once in (True, False):
        passes.clear()
        torch.manual_seed(0)
        data = RadiographyDataModule(str(xray_root), image_size=64, batch_size=5, test_per_class=2)
        model = small(freeze_backbone=True, dropout=0.0)
        if not once:
            monkeypatch.setattr(InceptionV3, "frozen", False)
        options = {"logger": False, "enable_checkpointing": False, "callbacks": [Joining()]}
        trainer = Trainer(max_epochs=3, accelerator="cpu", **options)
        torch.manual_seed(1)
        trainer.fit(model, datamodule=data)
        losses[once] = float(trainer.callback_metrics["val_loss"])
        assert sum(passes) >= 30 * (1 if once else 3)
        assert not once or sum(passes) == 64  # of 24 training, 6 validation and 6 test images, in whole blocks
    assert losses[True] == pytest.approx(losses[False], abs=1e-4)


def test_a_free_backbone_moves():
    model = small().train()
    model.log = lambda *args, **kwargs: None
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    optimizer = model.configure_optimizers()
    model.training_step((torch.rand(4, 3, 64, 64), torch.arange(4) % 3), 0).backward()
    optimizer.step()
    assert any(not torch.equal(value, before[key]) for key, value in model.backbone.state_dict().items())


def test_real_imagenet_weights_load(real_data):
    file = real_data.parent / "weights" / "tf_efficientnet_lite0.pth"
    backbone = create_backbone("tf_efficientnet_lite0", pretrained=True, weights=str(file)).eval()
    assert backbone(torch.rand(1, 3, 96, 96)).shape == (1, 1280)


@pytest.mark.parametrize("options", [{}, {"freeze_backbone": True}, {"average_mirrored": True}])
def test_features_of_an_image_are_the_backbones(options):
    torch.manual_seed(0)
    model = small(**options).eval()
    images = torch.rand(2, 3, 64, 64)
    logits, features = model.model.logits_and_features(images)
    torch.testing.assert_close(logits, model(images))
    width = model.backbone.num_features
    views = [images, images.flip(-1)] if model.model.average_mirrored else [images]
    pooled = torch.stack([model.network[:2](view) for view in views]).mean(dim=0)
    torch.testing.assert_close(features[:, -width:], pooled)
