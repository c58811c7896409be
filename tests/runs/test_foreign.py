"""Facts about checkpoints of a Lightning Trainer of the user's own: loaded when told the rest, else explained."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers import CLASSES, paint

import covidnet
from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError
from covidnet.models.convnet import ConvNet
from covidnet.models.network import Network

SIZE = 12


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """What a script of the user's own leaves: the checkpoint, the model and the data."""
    tmp_path = tmp_path_factory.mktemp("own")
    sizes = {"image_size": SIZE, "batch_size": 16, "test_per_class": 3, "num_workers": 0}
    data = RadiographyDataModule(str(paint(tmp_path / "xrays")), cache_dir=str(tmp_path / "cache"), **sizes)
    model = ConvNet(num_classes=3, image_size=SIZE, capture=False)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    trainer = pl.Trainer(max_epochs=1, default_root_dir=tmp_path, **quiet)
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    return tmp_path / "own.ckpt", model.eval(), data


def test_it_is_loaded_when_its_classes_are_told(script):
    checkpoint, model, data = script
    loaded = covidnet.load(checkpoint, "cpu", classes=data.classes, image_size=SIZE)
    assert (loaded.classes, loaded.image_size) == (list(CLASSES), SIZE)
    numbers = data.numbers("test")
    paths = [data.image_file(data.images.paths[number]) for number in numbers]
    images = torch.from_numpy(
        np.stack([np.broadcast_to(data.images.gather(numbers[[i]])[0], (3, SIZE, SIZE)) for i in range(len(numbers))])
    )
    expected = model(images / 255).softmax(dim=1).detach().numpy()
    found = [list(one.probabilities.values()) for one in loaded.predict(paths)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert loaded.predict(paths)[0].calibrated is None


def test_that_a_forward_of_its_own_is_not_known_is_told(script, caplog):
    checkpoint, _, data = script
    with caplog.at_level("INFO"):
        covidnet.load(checkpoint, "cpu", classes=data.classes)
    assert "own.ckpt is read as a ConvNet of covidnet itself; a class of your own whose forward" in caplog.text


def test_the_size_of_its_images_is_in_the_arguments_of_a_convnet(script):
    checkpoint, _, data = script
    assert covidnet.load(checkpoint, "cpu", classes=data.classes).image_size == SIZE


def test_untold_it_is_explained_with_the_call_that_tells_it(script):
    checkpoint, *_ = script
    with pytest.raises(UserError) as refused:
        covidnet.load(checkpoint)
    message = str(refused.value)
    assert "written by a Lightning Trainer of your own: it holds a ConvNet, but no 'covidnet' recipe" in message
    assert f"covidnet.load('{checkpoint}', classes=[...], image_size=...)" in message


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"classes": ["A", "B"]}, "num_classes=3, but the recipe has 2 classes"),
        ({"classes": ["A", "A", "B"]}, "its classes are no plain names, or one is there twice"),
        ({"classes": list(CLASSES), "image_size": 20}, "its image_size=12, but that of its images is 20"),
        ({"classes": list(CLASSES), "image_size": -1}, "data.image_size=-1 must be"),
        ({"classes": list(CLASSES), "interpolation": "cubic"}, "interpolation"),
        ({"image_size": 12}, r"classes=\[\.\.\.\]"),
    ],
)
def test_what_is_told_wrongly_is_refused(script, told, says):
    with pytest.raises(UserError, match=says):
        covidnet.load(script[0], **told)


def test_a_checkpoint_of_ours_needs_nothing_told(script, tmp_path):
    foreign, _, data = script
    checkpoint = tmp_path / "ours.ckpt"
    content = torch.load(foreign, weights_only=True)
    known = {"class_path": "covidnet.models.convnet.ConvNet", "init_args": dict(content["hyper_parameters"])}
    radiographs = {"class_path": "covidnet.data.module.RadiographyDataModule", "init_args": {"image_size": SIZE}}
    recipe = {"name": "convnet", "model": known, "data": radiographs, "classes": data.classes}
    torch.save({**content, "covidnet": recipe}, checkpoint)
    covidnet.load(checkpoint)
    with pytest.raises(UserError, match="tells its classes and images itself"):
        covidnet.load(checkpoint, classes=data.classes)


class Wrapped(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = Network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 2)), 2)


def test_a_module_of_the_users_own_around_one_of_ours_is_explained(tmp_path):
    trainer = pl.Trainer(logger=False, accelerator="cpu", enable_model_summary=False, default_root_dir=tmp_path)
    trainer.strategy.connect(Wrapped())
    trainer.save_checkpoint(tmp_path / "wrapped.ckpt")
    with pytest.raises(UserError, match=r"Load it with the class that trained it, MyModule\.load_from_checkpoint"):
        covidnet.load(tmp_path / "wrapped.ckpt", classes=["A", "B"], image_size=1)


def test_a_module_among_its_arguments_is_told_how_to_leave_it_out(tmp_path):
    torch.save({"hyper_parameters": {"model": Wrapped()}}, tmp_path / "own.ckpt")
    with pytest.raises(
        UserError, match=r"neither a tensor nor a plain value; .* a module .* save_hyperparameters\(ignore"
    ):
        covidnet.load(tmp_path / "own.ckpt")


def test_a_checkpoint_of_another_program_is_told_so(tmp_path):
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="of another program"):
        covidnet.load(tmp_path / "other.ckpt", classes=["A", "B"])
