"""Facts about covidnet in Python: what is public, a training that raises, runs and predictions on the screen."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import QUICK, ROOT, paint

import covidnet
from covidnet.inference.prediction import Prediction
from covidnet.lightning import ConvNet, Probe, RadiographyDataModule

SIZES = {"data.image_size": 12, "data.test_per_class": 3, "data.batch_size": 8, "trainer.max_epochs": np.int64(2)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    place = {
        "data.root": paint(folder / "xrays"),
        "data.cache_dir": folder / "cache",
        "trainer.default_root_dir": folder,
    }
    bare = dict(word.split("=") for word in QUICK[1:])
    return covidnet.train({**place, **SIZES, **bare, "trainer.default_root_dir": folder}, trainer="cpu", report=False)


def test_a_training_returns_its_run(run):
    again = covidnet.Run(str(run.folder))
    assert again.results == run.results
    assert "best" in run.results
    assert run.report is None
    called = [one.predicted for one in run.predictor.predict(run.test_images)]
    assert called == [run.classes[label] for label in run.predictions.predicted]
    assert [image.parent.name for image in run.test_images] == [run.classes[label] for label in run.predictions.labels]


def test_a_run_is_judged_without_a_page(run, monkeypatch):
    monkeypatch.setattr("covidnet.report.figures.svg", None)
    assert [one.level for one in covidnet.Run(run.folder).verdicts] == sorted(
        (one.level for one in run.verdicts), key=["FAIL", "WARN", "NOT RUN", "PASS"].index
    )


def test_a_run_shows_its_result_and_what_is_no_pass(run):
    assert f"{run.folder}" in repr(run)
    assert "9 test images" in repr(run)
    assert {one.level for one in run.verdicts} >= {"WARN", "NOT RUN"}
    shown = run._repr_html_()
    assert "PASS" not in shown
    assert "<strong>NOT RUN</strong>" in shown


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"data.root": "nowhere"}, "nowhere does not exist, but data.root must be a folder"),
        ({"data": "nothing"}, "data=nothing: there is no configs/data/nothing.yaml"),
        ({"modle": "convnet"}, "Unknown key 'modle'"),
        ({"data.image_size": "many"}, "data.image_size=many is not accepted: expected a whole number."),
        ({"trainer.callbacks": [object()]}, "trainer.callbacks is given a list, which is no value of a configuration."),
    ],
)
def test_a_mistake_is_raised_and_ends_nothing(keys, sentence, xray_root, capsys):
    with pytest.raises(covidnet.UserError, match=re.escape(sentence)):
        covidnet.train({"data.root": xray_root, **keys}, report=False)
    assert capsys.readouterr().err == ""


def test_a_folder_is_its_images_and_each_prediction_tells_its_file(run, tmp_path):
    images = run.test_images[0].parent
    found = run.predictor.predict(images, batch_size=5)
    assert [Path(one.path) for one in found] == sorted(images.glob("*.png"))
    assert found == run.predictor.predict([f"{images}/*[0-9]).png"], batch_size=5)
    (tmp_path / "empty").mkdir()
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"hello")
    with pytest.raises(covidnet.UnreadableImageError, match=re.escape(str(bad))):
        run.predictor.predict([run.test_images[0], bad])
    with pytest.raises(covidnet.UserError, match="holds no images"):
        run.predictor.predict([tmp_path / "empty"])
    assert run.predictor.predict(np.zeros((8, 8), np.uint8))[0].path is None


def test_a_prediction_is_shown_with_all_that_it_knows():
    known = {"calibrated": {"<b>A": 0.25, "B": 0.75}, "prediction_set": ["B"], "novelty": 1.5, "disagreement": 0.125}
    said = Prediction("B", {"<b>A": 0.4, "B": 0.6}, **known, path="<i>.png", notice="Drawn. No device.")
    told = repr(said)
    assert all(f"{name}=" in told for name in Prediction.__dataclass_fields__)
    shown = said._repr_html_()
    for part in (
        "&lt;b&gt;A",
        "width:25.0%",
        "75.0 %",
        "prediction set: B",
        "1.50",
        "0.125",
        "&lt;i&gt;",
        "No device.",
    ):
        assert part in shown
    assert "does not look like the training images" in shown
    assert "<b>A" not in shown
    assert "not calibrated" in Prediction("B", {"B": 1.0})._repr_html_()


def test_each_public_name_is_there_and_told(run):
    assert dir(covidnet) == covidnet.__all__
    assert run.settings["model"]["class_path"] == "covidnet.models.convnet.ConvNet"  # a class has one name
    assert all(getattr(covidnet, name).__doc__ for name in covidnet.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = covidnet.nothing


# What Lightning says to whoever writes code: workers, steps between two logs, a logger of its own.
@pytest.mark.filterwarnings("ignore")
def test_the_script_of_the_docs_trains_by_lightning_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paint(Path("images"), per_class=6)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    script = next(block for block in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S) if "Trainer(" in block)
    exec(compile(script, "python.md", "exec"), {})
    told = capsys.readouterr().out
    assert "test_loss" in told
    assert "Prediction(predicted=" in told


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: RadiographyDataModule("x", augment="stron"), "data.augment='stron' .* Did you mean 'strong'"),
        (lambda: RadiographyDataModule("x", image_size="50"), "data.image_size='50' must be a whole number"),
        (lambda: RadiographyDataModule("x", cache=1), "data.cache=1 must be true or false or verify"),
        (lambda: ConvNet(3, schedule="linear"), "model.schedule='linear' must be constant or cosine"),
        (lambda: Probe(3, backbone_lr="slow"), "model.backbone_lr='slow' must be a number or null"),
        (lambda: covidnet.load("x", body_part="knee"), "body_part='knee' must be chest or any or null"),
        (lambda: covidnet.lungs("x", "y", body_part="knee"), "body_part='knee' must be chest or any"),
    ],
    ids=range(7),
)
def test_what_is_no_word_or_number_that_an_argument_takes_is_refused(make, told):
    with pytest.raises(covidnet.UserError, match=told):
        make()


def test_numbers_of_numpy_are_numbers():
    data = RadiographyDataModule("x", image_size=np.int64(50), val_fraction=np.float32(0.25), augment=np.str_("mild"))
    assert data.image_size == 50
