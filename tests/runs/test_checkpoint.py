"""What a checkpoint tells, read once; what has no plain network is built by what trains it."""

import zipfile
from pathlib import Path

import pytest
import torch
from made_run import CLASSES, SIZE, write_run

from covidnet.errors import UserError
from covidnet.models.network import Network
from covidnet.runs.checkpoint import Checkpoint
from covidnet.runs.run import Run

THIRD = """
from torch import nn
from covidnet.models.classifier import Classifier

class Third(Classifier):
    def __init__(self, num_classes, width=4, **options):
        layers = [nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)]
        super().__init__(nn.Sequential(*layers), num_classes, **options)
        self.save_hyperparameters(logger=False)
"""


def best(run: Path) -> Path:
    return run / "checkpoints" / "best.ckpt"


def test_a_checkpoint_tells_how_its_images_were_made_and_where_it_lies(tmp_path):
    run = write_run(tmp_path)
    checkpoint = Checkpoint(best(run))
    made = checkpoint.preprocessing
    assert (made.classes, made.image_size, made.interpolation) == (list(CLASSES), SIZE, "bilinear")
    assert (made.lungs, made.batch_size, made.notice) == ("whole", 250, "")
    assert checkpoint.run == run
    assert (checkpoint.calibration, checkpoint.novelty) == ({}, None)


def test_a_checkpoint_of_drawn_radiographs_says_so(tmp_path):
    file = best(write_run(tmp_path))
    content = torch.load(file, weights_only=True)
    content["covidnet"]["data"]["class_path"] = "covidnet.data.phantom_module.PhantomDataModule"
    torch.save(content, file)
    assert Checkpoint(file).preprocessing.notice.startswith("DRAWN")


def test_a_checkpoint_is_read_and_compared_with_its_checksums_once(tmp_path, monkeypatch):
    read = []
    whole = zipfile.ZipFile.testzip
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda self: (read.append(1), whole(self))[1])
    run = Run(write_run(tmp_path))
    assert run.recipe
    run.load_model()
    run.open_data()
    assert len(read) == 1


def test_the_model_of_a_class_elsewhere_is_its_plain_network(tmp_path, monkeypatch):
    (tmp_path / "third_model.py").write_text(THIRD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COVIDNET_TRUST", "third_model")
    from third_model import Third

    file = best(write_run(tmp_path))
    model = Third(2, width=5, average_mirrored=True)
    content = torch.load(file, weights_only=True)
    content["covidnet"]["model"] = {"class_path": "third_model.Third", "init_args": {"width": 5}}
    content.update(state_dict=model.state_dict(), hyper_parameters=dict(model.hparams))
    torch.save(content, file)
    loaded = Checkpoint(file).model()
    assert type(loaded) is Network
    assert loaded.average_mirrored
    assert not loaded.training
    images = torch.rand(2, 3, SIZE, SIZE)
    torch.testing.assert_close(loaded(images), model.eval()(images), rtol=0, atol=0)


def test_weights_that_do_not_fit_are_told(tmp_path):
    file = best(write_run(tmp_path))
    content = torch.load(file, weights_only=True)
    del content["hyper_parameters"]["num_classes"]
    torch.save(content, file)
    with pytest.raises(UserError, match="holds no model that ConvNet can be"):
        Checkpoint(file).model()
