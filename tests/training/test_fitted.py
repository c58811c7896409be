"""What is fitted after training, on drawn radiographs, through the real command line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import slow

from bench.other_images import other_images, turned
from covidnet.commands.train import main
from covidnet.data.module import RadiographyDataModule
from covidnet.evaluation.fit import fit_calibration
from covidnet.evaluation.novelty import fit_novelty, novelty_scores
from covidnet.imaging.decode import resize
from covidnet.models.convnet import ConvNet
from covidnet.models.outputs import outputs_of
from covidnet.models.parts.appearance import SIDE
from covidnet.runs.checkpoint import Checkpoint
from covidnet.training.fitted import MOST, fit_looks, look_at

QUICK = ["trainer=cpu", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false", "report=false"]
CPU = torch.device("cpu")
pytestmark = slow  # hundreds of radiographs are drawn


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A ConvNet trained on drawn radiographs for an epoch: the command line's objects, and its best checkpoint."""
    folder = tmp_path_factory.mktemp("phantoms")
    counts = {"COVID-19": 88, "NORMAL": 88, "Viral Pneumonia": 88}
    data = [f"data.root={folder / 'drawn'}", f"data.cache_dir={folder / 'cache'}", "data.test_per_class=40"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("covidnet.data.phantoms.COUNTS", counts)
        keys = ["data=phantom", *data, f"trainer.default_root_dir={folder}", "trainer.max_epochs=1"]
        cli = main(["run", *keys, *QUICK])
    return cli, Path(cli.trainer.checkpoint_callback.best_model_path)


def features_of(model, gather, numbers):
    return outputs_of(model, gather, numbers, CPU, title="looking")[1]


@pytest.fixture(scope="module")
def scores_of(trained):
    """How unlike the training images others are to the trained model: pixels (C, S, S) -> scores."""
    _, best = trained
    state, model = Checkpoint(best).recipe["novelty"], Checkpoint(best).model()

    def scores_of(pixels):
        return novelty_scores(state, features_of(model, pixels.__getitem__, np.arange(len(pixels))))

    return scores_of


def served(images):
    """Return images as a model of 50x50 sees them, (N, 3, 50, 50) uint8."""
    return np.stack([np.broadcast_to(resize(image, 50), (3, 50, 50)) for image in images])


@pytest.fixture(scope="module")
def test_pixels(trained):
    data = trained[0].datamodule
    return data.images.gather(data.datasets["test"].numbers)


def test_drawn_radiographs_look_like_radiographs(scores_of, test_pixels):
    assert (scores_of(test_pixels) > 1).mean() <= 0.1  # of 120


def test_what_is_no_radiograph_is_flagged_whatever_it_is(scores_of):
    flagged = {kind: (scores_of(served(images)) > 1).mean() for kind, images in other_images(drawn=30).items()}
    assert {kind: share for kind, share in flagged.items() if share < 0.95} == {}


def test_inverted_and_turned_radiographs_are_flagged(scores_of, test_pixels):
    flagged = {change: (scores_of(pixels) > 1).mean() for change, pixels in turned(test_pixels).items()}
    assert {change: share for change, share in flagged.items() if share < 0.95} == {}


def test_the_checkpoint_holds_a_few_megabytes_of_it_and_runs_no_code(trained):
    state = torch.load(trained[1], weights_only=True)["covidnet"]["novelty"]
    assert sum(part.nbytes for part in state.values() if isinstance(part, torch.Tensor)) < 4e6


def test_a_fit_repeats_and_asks_nothing_of_the_model_in_memory(trained):
    cli, best = trained
    with torch.no_grad():
        next(cli.model.parameters()).add_(1.0)
    again, first = fit_looks(look_at(best, cli.datamodule, CPU)), Checkpoint(best).recipe["novelty"]
    assert again.keys() == first.keys()
    assert again["limits"] == first["limits"]
    assert all(torch.equal(again[key], first[key]) for key in ("looks", "network"))
    assert again["looks"].dtype == torch.float16


def test_no_more_images_are_looked_at_than_it_takes(trained, monkeypatch):
    cli, best = trained
    monkeypatch.setattr("covidnet.training.fitted.MOST", 30)
    assert len(fit_looks(look_at(best, cli.datamodule, CPU))["looks"]) == 30 < MOST


def test_a_model_that_has_diverged_gets_nothing(trained, tmp_path):
    cli, best = trained
    content = torch.load(best, weights_only=True)
    content["state_dict"]["network.0.weight"].fill_(torch.nan)
    torch.save(content, tmp_path / "diverged.ckpt")
    assert fit_looks(look_at(tmp_path / "diverged.ckpt", cli.datamodule, CPU)) is None
    assert fit_calibration(np.full((4, 3), np.nan), np.zeros(4, dtype=int), ["a", "b", "c"]) is None


def test_real_radiographs_pass_and_turned_ones_and_photographs_do_not(real_data):
    root = real_data / "later_release" / "COVID-19_Radiography_Dataset"
    data = RadiographyDataModule(str(root), test_per_class=30)
    torch.manual_seed(0)
    model = ConvNet(3).model.eval()  # untrained: what shows is the appearance
    splits = {name: dataset.numbers for name, dataset in data.datasets.items()}
    train, val, test = (features_of(model, data.images.gather, splits[name]) for name in ("train", "val", "test"))
    state = fit_novelty(train, val, SIDE)
    assert (novelty_scores(state, test) > 1).mean() <= 0.05
    shown = turned(data.images.gather(splits["test"]))
    shown |= {kind: served(images) for kind, images in other_images(drawn=30).items()}
    every = {
        kind: novelty_scores(state, features_of(model, pixels.__getitem__, np.arange(len(pixels)))) > 1
        for kind, pixels in shown.items()
    }
    assert np.concatenate([*every.values()]).mean() >= 0.95
