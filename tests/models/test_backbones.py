"""Popular timm networks as backbones, with random weights at small sizes."""

import re

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from helpers import QUICK, mistake, paint, slow
from safetensors.torch import save_file
from torch import nn

from covidnet.commands.train import main
from covidnet.errors import UserError
from covidnet.models.classifier import Classifier
from covidnet.models.heatmaps import grad_cam, last_feature_map
from covidnet.models.inception import InceptionV3
from covidnet.models.parts.backbone import architecture_of, create_backbone, sizes_near
from covidnet.training.checks import check_network

SIDES = {"vit_small_patch14_dinov2": 28}  # pixels; the others take 32
# The translation takes seconds each: one of each kind. ``python -m bench.backbones --export`` does the others too.
IN_ONNX = {"resnet18", "mobilenetv4_conv_small", "vit_tiny_patch16_224"}
NAMES = [
    "resnet18",
    "densenet121",
    "efficientnet_b0",
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small",
    "ghostnet_050",
    "vgg11",
    "lcnet_050",
    "hgnetv2_b0",
    "efficientvit_b0",
    "inception_next_atto",
    "regnety_002",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "vit_small_patch14_dinov2",
    "swin_tiny_patch4_window7_224",
]


def built(name: str, size: int, **options) -> InceptionV3:
    torch.manual_seed(0)
    return InceptionV3(2, backbone=name, pretrained=False, image_size=size, **options)


@slow
# The exporter's own: of torch's insides, which it is about to leave.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_backbone_predicts_explains_is_exported_and_trains(name, tmp_path):
    size = SIDES.get(name, 32)
    images, labels = torch.rand(2, 3, size, size), torch.arange(2)
    model = built(name, size)
    check_network(model, size)
    network = model.eval().model
    with torch.no_grad():
        logits, features = network.logits_and_features(images)
    assert logits.shape == (2, 2)
    assert features.isfinite().all()
    found = last_feature_map(network, images)
    assert found.side > 1
    heat = grad_cam(network, found.layer, images, labels)
    assert heat.shape == (2, size, size)
    assert set(heat.max(axis=(1, 2)).round(5)) <= {0, 1}
    program = torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), logits, rtol=1e-3, atol=1e-3)
    if name in IN_ONNX:
        said = by_onnx(program, images, tmp_path / "model.onnx")
        np.testing.assert_allclose(said, logits, rtol=1e-3, atol=1e-3)
    weights = [weight.detach().clone() for weight in model.network[-1].parameters()]
    loss, _ = model.train().loss_and_logits(images, labels)
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    assert loss.isfinite()
    assert any(not torch.equal(*pair) for pair in zip(weights, model.network[-1].parameters(), strict=True))


def by_onnx(program, images, file):
    """Return what an exported program says of images in onnxruntime."""
    torch.onnx.export(program, f=file, dynamo=True, optimize=False, verbose=False, external_data=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("test_vit", 50, "does not take images of 50 pixels .* data.image_size=48 or data.image_size=64, the nearest"),
        ("test_resnet.nonsense", 32, r"Invalid pretrained tag \(nonsense\)"),
        ("inception_v4", 64, "data.image_size=96, the nearest"),
    ],
)
def test_what_a_backbone_does_not_take_is_one_sentence_before_images_are_decoded(name, size, says, tmp_path, capsys):
    keys = ["model=inception", f"model.backbone={name}", "model.pretrained=false", f"data.image_size={size}"]
    root = paint(tmp_path / "xrays", per_class=2)
    for image in root.glob("*/*.png"):
        image.write_text("no image: whoever decodes it says so")
    message = mistake([f"data.root={root}", "data.test_per_class=1", *keys, *QUICK], capsys)
    assert message.count("\n") == 1
    assert f"model.backbone={name}" in message
    assert re.search(says, message)


def test_a_network_that_gives_something_else_is_told_with_what_was_expected():
    class Odd(Classifier):
        pass

    with pytest.raises(UserError, match=r"Odd gives \(2, 12\) of 2 images, but \(2, 5\) was expected"):
        check_network(Odd(nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), 2), 2)
    with pytest.raises(UserError, match=r"Odd gives \(2, 4\) of 2 images, but \(2, 2\) was expected"):
        check_network(Odd(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), 2), 2)


def test_a_trial_changes_nothing():
    model = built("test_resnet", 32, freeze_backbone=True)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    random = torch.get_rng_state()
    check_network(model, 32)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert (model.training, model.backbone.training, model.network[-1].training) == (True, False, True)


def test_the_nearest_sizes_are_those_that_the_patch_divides():
    assert sizes_near(architecture_of("vit_small_patch14_dinov2"), 50) == [42, 56]


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_weights_of_another_size_are_fitted_to_the_images(ending, tmp_path):
    torch.manual_seed(1)
    other = timm.create_model("test_vit", num_classes=7, img_size=64)
    file = tmp_path / f"weights.{ending}"
    save_file(other.state_dict(), file) if ending == "safetensors" else torch.save(other.state_dict(), file)
    fitted = create_backbone("test_vit", pretrained=True, weights=str(file), image_size=96)
    assert fitted.pos_embed.shape[1] == 6 * 6 + other.num_prefix_tokens
    assert torch.equal(fitted.blocks[0].attn.qkv.weight, other.blocks[0].attn.qkv.weight)
    first = other.pos_embed[:, other.num_prefix_tokens :].detach().mean()
    assert float(fitted.pos_embed[:, other.num_prefix_tokens :].detach().mean()) == pytest.approx(
        float(first), abs=1e-3
    )
    assert "state_dict" not in fitted.pretrained_cfg


def test_weights_without_all_tensors_are_refused_whatever_timm_says(tmp_path):
    state = timm.create_model("test_vit", num_classes=0).state_dict()
    del state["blocks.1.mlp.fc1.weight"]
    torch.save(state, tmp_path / "some.pth")
    with pytest.raises(UserError, match=r"1 of the backbone's tensors are not in it \(as blocks\.1\.mlp\.fc1\.weight"):
        create_backbone("test_vit", pretrained=False, weights=str(tmp_path / "some.pth"))
    torch.save({"state_dict": {}}, tmp_path / "none.pth")
    with pytest.raises(UserError, match="holds no weights"):
        create_backbone("test_vit", pretrained=False, weights=str(tmp_path / "none.pth"))


@slow
def test_a_transformer_is_trained_tested_and_reported_by_the_whole_command(xray_root):
    keys = ["model=inception", "model.backbone=test_vit", "model.pretrained=false", "data.image_size=32", "report=true"]
    cli = main([f"data.root={xray_root}", "data.test_per_class=3", "trainer.max_epochs=1", *keys, *QUICK])
    page = (cli.trainer.run_directory / "report.html").read_text()
    assert "keeps a map" not in page
    assert "Inside the lungs" in page or "heat" in page.lower()
