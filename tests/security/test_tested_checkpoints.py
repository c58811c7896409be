"""What commands that train or test make of a stranger's checkpoint: as `predict`, they build and believe no more."""

import inspect
from pathlib import Path

import pytest
import torch
from doctored import data_of, doctored, model_of, refused
from helpers import mistake, some_of
from torch import nn

from covidnet.commands.train import main
from covidnet.errors import UserError
from covidnet.runs import checkpoint as opened
from covidnet.runs.checkpoint import KEY, Checkpoint


def image_size(size: int):
    """Return the change to a model and to images of this size, whose weights stay as they are."""

    def change(content):
        content[KEY]["model"]["init_args"]["image_size"] = size
        data_of(image_size=size)(content)
        model_of(image_size=size)(content)

    return change


def backbone(content) -> None:
    arguments = {"num_classes": 2, "backbone": "vit_giant_patch14_clip_224", "pretrained": True}
    content["hyper_parameters"] = arguments
    content[KEY]["model"] = {"class_path": "covidnet.models.inception.InceptionV3", "init_args": arguments}


def weights(name: str, value):
    return lambda content: content["state_dict"].update({name: value})


HOSTILE = {
    "images of 2,000 pixels": (image_size(2_000), "many more weights"),
    "images of 8,000 pixels": (image_size(8_000), "many more weights"),
    "a large backbone": (backbone, "many more weights"),
    "class weights inf": (weights("class_weights", torch.tensor([1.0, float("inf")])), "class_weights"),
    "class weights below 0": (weights("class_weights", torch.tensor([1.0, -1.0])), "class_weights"),
    "class weights of nothing": (weights("class_weights", torch.zeros(2)), "class_weights"),
    "class weights complex": (weights("class_weights", torch.zeros(2, dtype=torch.complex64)), "class_weights"),
    "class weights of other classes": (weights("class_weights", torch.ones(3)), "state_dict"),
    "no weights": (lambda content: content.update(state_dict=[1]), "state_dict"),
    "processes": (data_of(num_workers=100_000), "data.num_workers"),
}


@pytest.mark.parametrize(("change", "told"), some_of(HOSTILE))
@pytest.mark.parametrize("command", ["test", "fit"])
def test_a_strangers_checkpoint_is_one_sentence_where_it_is_tested_or_gone_on_with(
    tmp_path, capsys, change, told, command
):
    file = doctored(tmp_path, lambda content: change(content) or content.update(optimizer_states=[{"state": {}}]))
    words = [command, f"ckpt_path={file}", "trainer=cpu", "trainer.enable_progress_bar=false", "trainer.max_epochs=1"]
    refused(lambda: _as_error(lambda: main(words), capsys, told))


def _as_error(command, capsys, told: str) -> None:
    message = mistake(command, capsys)
    lines = [line for line in message.splitlines() if "error: " in line]
    assert len(lines) == 1
    assert told in lines[0]
    raise UserError(lines[0])


def test_a_checkpoint_of_a_model_without_a_plain_network_fetches_nothing_either(tmp_path, monkeypatch):
    import timm

    from covidnet.models.inception import InceptionV3

    asked = []
    monkeypatch.setattr(timm, "create_model", lambda name, **keys: asked.append(keys) or nn.Linear(1, 1))
    monkeypatch.setattr(opened, "plain_network", lambda *_: None)
    assert {"pretrained", "weights"} <= set(inspect.signature(InceptionV3).parameters)

    def change(content):
        backbone(content)
        content["hyper_parameters"].update(backbone="resnet18", weights="/etc/passwd")

    with pytest.raises(UserError):
        Checkpoint(doctored(tmp_path, change)).model()
    assert [keys["pretrained"] for keys in asked] == [False]
    assert Path("/etc/passwd").is_file()
