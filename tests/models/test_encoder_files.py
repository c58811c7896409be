"""Encoder files of other libraries give those libraries' features; places are asked once, and never by a checkpoint."""

import json
import sys

import pytest
import timm
import torch
from helpers import slow
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet50

from covidnet.errors import UserError
from covidnet.models.inception import InceptionV3
from covidnet.models.network import plain_network
from covidnet.models.parts.encoder import encoder
from covidnet.models.parts.layouts import weights_in
from covidnet.runs.recipe import check_recipe

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 56}
CLASS = "covidnet.models.inception.InceptionV3"


def stirred(network):
    """Return a network whose every weight and statistic is another number: zeros and ones would hide a mistake."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in (*network.parameters(), *network.buffers()):
            if weights.is_floating_point():
                weights.copy_(torch.rand_like(weights) * 0.5 + 0.25 if weights.dim() == 1 else weights + 0.02)
    return network.eval()


def images(size=56):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def features(backbone, size=56, weights=None):
    options = {"pretrained": True, "image_size": size, "architecture": None}
    normalize, network, width = encoder(backbone, weights=weights and str(weights), **options)
    with torch.no_grad():
        shown = images(size)
        found = network.eval()(normalize(shown))
    assert found.shape == (2, width)
    return found


def normalised(shown, mean, deviation):
    return (shown - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(deviation).view(-1, 1, 1)


@pytest.mark.parametrize("registers", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_file_of_dinov2s_own_layout(tmp_path, monkeypatch, registers, wrapped):
    name = f"vit_base_patch14_{'reg4_' if registers else ''}dinov2"
    expected = stirred(timm.create_model(name, num_classes=0, **TINY))
    state = {**expected.state_dict(), "mask_token": torch.rand(1, 24)}
    if registers:  # there the class token has a place of its own, and registers another name
        place = torch.rand(1, 1, 24)
        state |= {"register_tokens": state.pop("reg_token"), "cls_token": state["cls_token"] - place}
        state["pos_embed"] = torch.cat([place, state["pos_embed"]], dim=1)
    if wrapped:  # as its training saves the teacher
        state = {
            "teacher": {f"backbone.{key}": value for key, value in state.items()} | {"dino_head.a": state["norm.bias"]}
        }
    torch.save(state, tmp_path / "dinov2.pth")
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, **{**TINY, **options}))
    config = timm.get_pretrained_cfg(name)
    torch.testing.assert_close(
        features(name, weights=tmp_path / "dinov2.pth"),
        expected(normalised(images(), config.mean, config.std)),
        **CLOSE,
    )


def saved_by_timm(folder):
    expected = stirred(timm.create_model("test_resnet", num_classes=7))
    folder.mkdir()
    save_file(expected.state_dict(), folder / "model.safetensors")
    how = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "num_classes": 7, "classifier": "fc"}
    told = {"architecture": "test_resnet", "num_classes": 7, "pretrained_cfg": how}
    (folder / "config.json").write_text(json.dumps(told))
    expected.reset_classifier(0)
    return expected(normalised(images(), how["mean"], how["std"]))


def test_a_folder_as_timm_saves_it_gives_weights_and_normalisation(tmp_path):
    expected = saved_by_timm(tmp_path / "net")
    torch.testing.assert_close(features(f"local-dir:{tmp_path / 'net'}"), expected, **CLOSE)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("test_resnet", {"in_chans": 1}, {"mean": [0.5], "std": [0.25]}),  # for images of one channel
        ("vit_small_patch14_dinov2", {**TINY, "num_heads": 3}, {}),  # published without a classifier
        ("beit_base_patch16_224", {"embed_dim": 48, "depth": 2, "num_heads": 3}, {}),
    ],
)
def test_what_a_folders_weights_have_besides_is_left_out(tmp_path, name, options, told, caplog):
    expected = stirred(timm.create_model(name, num_classes=7, **options))
    more = {"decoder.weight": torch.rand(2, 2), "mask_token": torch.rand(1, 1, 2)}
    save_file({**expected.state_dict(), **more}, tmp_path / "model.safetensors")
    config = {"architecture": name, "model_args": options, "pretrained_cfg": told, "model_type": "timm_wrapper"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    expected.reset_classifier(0)
    size = expected.patch_embed.img_size[0] if hasattr(expected, "patch_embed") else 64
    how = {**expected.pretrained_cfg, **told}
    channels = slice(0, options.get("in_chans", 3))
    shown = normalised(images(size)[:, channels], how["mean"], how["std"])
    torch.testing.assert_close(features(f"local-dir:{tmp_path}", size), expected(shown), **CLOSE)
    assert not caplog.records


def test_the_hub_is_asked_once_and_a_checkpoint_never_asks(tmp_path, monkeypatch):
    expected = saved_by_timm(tmp_path / "net")
    asked = []

    def download(repository, name, revision):
        asked.append((repository, name, revision))
        if not (tmp_path / "net" / name).is_file():
            raise EntryNotFoundError("none")
        return str(tmp_path / "net" / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    model = InceptionV3(3, backbone="hf-hub:some/net@v1").eval()
    torch.testing.assert_close(model.network[:2](images()), expected, **CLOSE)
    assert asked == [("some/net", "config.json", "v1"), ("some/net", "model.safetensors", "v1")]
    asked.clear()
    network = plain_network(CLASS, dict(model.hparams)).eval()
    network.load_state_dict(model.state_dict())
    torch.testing.assert_close(network(images()), model(images()))
    assert not asked


def test_a_hub_that_does_not_answer_names_both_ways_out(monkeypatch):
    def refuse(*given, **options):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(UserError, match=r"could not be had from the hub .*local-dir:FOLDER.*model\.weights=FILE"):
        encoder("hf-hub:some/net", pretrained=True, weights=None, image_size=64, architecture=None)


def opened(recipe, arguments):
    check_recipe(recipe, arguments)
    plain_network(recipe["model"]["class_path"], arguments)


@pytest.mark.parametrize("options", [None, {"checkpoint_path": "x"}])
def test_a_strangers_checkpoint_has_no_place_asked(options):
    told = {"name": "test_resnet", "options": options, "mean": None, "deviation": None}
    architecture = told if options else None
    given = {"backbone": "hf-hub:some/net", "architecture": architecture, "num_classes": 2}
    model = {"class_path": CLASS, "init_args": given}
    recipe = {"name": "a", "model": model, "data": {"class_path": "a.B", "init_args": {}}, "classes": ["a", "b"]}
    with pytest.raises(ValueError, match="architecture" if options is None else "sets checkpoint_path"):
        opened(recipe, given)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("{", "no JSON"),
        ('{"model_type": "bert"}', "'bert'.*as transformers does"),
        ('{"num_classes": 3}', "lacks 'architecture'"),
        ('{"architecture": "test_resnet", "model_args": {"checkpoint_path": "a"}}', "sets checkpoint_path"),
        ('{"architecture": "no_such_net"}', "no model of timm"),
        ('{"architecture": "test_resnet"}', "has neither model.safetensors nor pytorch_model.bin"),
        ('{"architecture": "test_resnet", "pretrained_cfg": [1]}', "is not understood"),
        ('{"architecture": "test_resnet", "std": [0, 1, 1]}', "deviation .* not above 0"),
        (
            '{"model_type": "dinov2", "hidden_size": 0, "mlp_ratio": 4, "num_hidden_layers": 2, "num_attention_heads": '
            '2, "patch_size": 14, "image_size": 56}',
            "is not understood",
        ),
        (None, "has no config.json"),
    ],
)
def test_a_folder_that_is_no_encoder_is_one_sentence(tmp_path, config, told):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=told):
        features(f"local-dir:{tmp_path}")


@pytest.mark.parametrize("name", ["s3:a", "timm/a", "xrv:vgg", "hf-hub:", "xrv:densenet121-res224-all"])
def test_a_place_that_is_none_is_one_sentence(name):
    with pytest.raises(UserError, match=r"model\.(backbone|weights)="):
        features(name)


def test_weights_of_grey_images_give_the_same_of_three_channels(tmp_path):
    grey = stirred(timm.create_model("test_resnet", num_classes=0, in_chans=1))
    torch.save(grey.state_dict(), tmp_path / "grey.pth")
    coloured = encoder(
        "test_resnet", pretrained=True, weights=str(tmp_path / "grey.pth"), image_size=64, architecture=None
    )
    one = images()[:, :1]
    torch.testing.assert_close(coloured[1].eval()(one.expand(-1, 3, -1, -1)), grey(one), **CLOSE)


OWN, OTHER = {"a.b": torch.zeros(1)}, {"a.b": torch.ones(1)}


@pytest.mark.parametrize(
    "content",
    {
        "with plain values": {**OWN, "epoch": 3},
        "deep": {"model": {"state_dict": OWN}, "optimizer": {"state": {0: {"exp_avg": torch.ones(1)}}}},
        "an average": {"state_dict": OTHER, "state_dict_ema": OWN},
        "a teacher": {"model": {"student.backbone.a.b": torch.ones(1), "teacher.backbone.a.b": torch.zeros(1)}},
        "prefixes in any order": {"module._orig_mod.encoder.model.a.b": torch.zeros(1), "decoder.a": torch.ones(1)},
        "no average yet": {"model_ema": None, "model": OWN},
    }.values(),
    ids=str.split("plain deep average teacher prefixes none"),
)
def test_the_weights_in_a_wrapping(content):
    assert weights_in(content) == OWN


def test_a_safetensors_file_of_another_name_is_known_by_what_it_holds(tmp_path):
    expected = stirred(timm.create_model("test_resnet", num_classes=0))
    save_file(expected.state_dict(), tmp_path / "weights.bin")
    shown = normalised(images(64), expected.pretrained_cfg["mean"], expected.pretrained_cfg["std"])
    torch.testing.assert_close(features("test_resnet", 64, tmp_path / "weights.bin"), expected(shown), **CLOSE)


def test_weights_of_grey_images_are_refused_where_more_channels_would_change_them(tmp_path):
    name = "vit_tiny_r_s16_p8_224"
    torch.save(timm.create_model(name, in_chans=1).state_dict(), tmp_path / "grey.pth")
    with pytest.raises(UserError, match="made for images of one channel, and the first layer"):
        features(name, 224, tmp_path / "grey.pth")


def test_weights_for_other_channels_are_refused_by_their_number(tmp_path):
    torch.save(timm.create_model("test_resnet", in_chans=4).state_dict(), tmp_path / "four.pth")
    with pytest.raises(UserError, match="made for images of 4 channels, not of 1 or 3"):
        features("test_resnet", weights=tmp_path / "four.pth")


@pytest.mark.parametrize("content", [{}, {"a": 1}, [torch.zeros(1)], {"state_dict": {"epoch": 1}}])
def test_what_holds_no_weights_is_told(content):
    with pytest.raises(ValueError, match="no weights"):
        weights_in(content)


@slow  # transformers takes seconds to import
@pytest.mark.parametrize("kind", ["Dinov2", "Dinov2WithRegisters", "Swiglu"])
def test_a_folder_as_transformers_saves_dinov2(tmp_path, kind):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 14, "image_size": 56}
    name = kind if kind != "Swiglu" else "Dinov2"
    config = getattr(transformers, f"{name}Config")(**sizes, use_swiglu_ffn=kind == "Swiglu")
    expected = stirred(getattr(transformers, f"{name}Model")(config))
    expected.save_pretrained(tmp_path)
    how = {"image_mean": [0.53] * 3, "image_std": [0.26] * 3}  # as RAD-DINO's
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(how))
    for size in (56, 42, 84):  # its own, and those to which places are fitted
        shown = normalised(images(size), how["image_mean"], how["image_std"])
        torch.testing.assert_close(features(f"local-dir:{tmp_path}", size), expected(shown).pooler_output, **CLOSE)


@slow  # torchxrayvision takes seconds to import
def test_torchxrayvisions_densenet(tmp_path):
    xrv = pytest.importorskip("torchxrayvision")
    torch.manual_seed(0)
    expected = xrv.models.DenseNet()
    for layer in expected.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0  # statistics as those of a trained one: the numbers stay of a size
    expected.train()((torch.rand(8, 1, 64, 64) - 0.5) * 2048)
    expected.eval()
    expected.op_threshs = torch.rand(18)  # as its trained ones have
    torch.save(expected.state_dict(), tmp_path / "xrv.pth")
    shown = images(64)[:, :1].expand(-1, 3, -1, -1)
    options = {"pretrained": True, "image_size": 64, "architecture": None}
    normalize, network, _ = encoder("xrv:densenet121-res224-all", weights=str(tmp_path / "xrv.pth"), **options)
    theirs = torch.as_tensor(xrv.utils.normalize(shown[:, :1].numpy() * 255, 255))
    torch.testing.assert_close(network.eval()(normalize(shown)), expected.features2(theirs), **CLOSE)
    assert "torchxrayvision" in sys.modules


@slow  # 25 million weights
def test_torchxrayvisions_resnet_is_torchvisions_for_grey_images(tmp_path):
    torch.manual_seed(0)
    expected = resnet50(num_classes=18).eval()
    expected.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    state = {f"model.{name}": value for name, value in expected.state_dict().items()}
    torch.save({**state, "op_threshs": torch.rand(18)}, tmp_path / "xrv.pth")
    expected.fc = nn.Identity()
    one = (images(64)[:, :1] * 2 - 1) * 1024
    torch.testing.assert_close(features("xrv:resnet50-res512-all", 64, tmp_path / "xrv.pth"), expected(one), **CLOSE)
