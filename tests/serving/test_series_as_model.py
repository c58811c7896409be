"""Facts about ensembles: a series is one model, which says the softmax of its members' mean logits everywhere."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CLASSES, QUICK, call, mistake, paint, read_json, read_rows, slow
from PIL import Image
from scipy.special import softmax
from served import serving

import covidnet
from covidnet.commands import compare, evaluate
from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.errors import UserError
from covidnet.evaluation.decision import wished_threshold
from covidnet.evidence.series_decision import keep_wish_of_series, take_back_of_series
from covidnet.inference.export import lacks, write
from covidnet.inference.predictions import as_json
from covidnet.runs.members import members_of
from covidnet.runs.opened import open_model

SEEDS = 2
MORE = ["data.image_size=12", "data.test_per_class=3", "data.batch_size=8", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a repeat of two seeds on painted images, which lie in xrays/."""
    folder = tmp_path_factory.mktemp("trained")
    keys = {"data.root": paint(folder / "xrays"), "data.cache_dir": folder / "cache"}
    given = [*(f"{key}={value}" for key, value in keys.items()), f"trainer.default_root_dir={folder}", *MORE, *QUICK]
    main(["repeat", f"seeds={SEEDS}", "report=false", *given])
    return folder


@pytest.fixture(scope="module")
def repeat(trained):
    return trained / "convnet" / "repeat_0"


@pytest.fixture
def copied(repeat, tmp_path):
    """A copy of the repeat, to be spoilt."""
    return Path(shutil.copytree(repeat, tmp_path / "repeat_0"))


@pytest.fixture(scope="module")
def crossval(repeat, tmp_path_factory):
    """The same runs as a cross-validation of two folds, each tested on half of the images that none has seen."""
    folder = tmp_path_factory.mktemp("crossed") / "crossval_0"
    for number in range(SEEDS):
        run = Path(shutil.copytree(repeat / f"seed_{number}", folder / f"fold_{number + 1}"))
        head, *rows = (run / "predictions.csv").read_text().splitlines()
        (run / "predictions.csv").write_text("\n".join([head, *rows[number::SEEDS]]))
    runs = [f"fold_{number + 1}" for number in range(SEEDS)]
    pooled = read_json(folder / "fold_1" / "results.json")["best"]  # stands in for what the folds say together
    (folder / "crossval.json").write_text(json.dumps({"folds": [1, 2], "k": SEEDS, "runs": runs, "pooled": pooled}))
    return folder


@pytest.fixture(scope="module")
def images(trained):
    return sorted((trained / "xrays").glob("*/*.png"))[::4]


def of_mean(folder, images):
    """Return the softmax of the members' mean logits, each member asked as the single model that it is."""
    models = [covidnet.load(run, "cpu") for run in sorted(folder.glob("*_?"))]
    logits = [one.outputs([one.decode(image) for image in images]).logits[0] for one in models]
    return softmax(np.mean(logits, axis=0, dtype=np.float64), axis=1)


def probabilities(found):
    return np.array([list(one.values()) for one in found])


@slow
@pytest.mark.parametrize("series", ["repeat", "crossval"])
def test_a_series_says_the_softmax_of_its_mean_logits_in_python_on_the_page_and_elsewhere(
    series, images, trained, request
):
    folder = request.getfixturevalue(series)
    expected = of_mean(folder, images)
    model = covidnet.load(folder, "cpu")
    said = model.predict(images)
    np.testing.assert_allclose(probabilities(one.probabilities for one in said), expected, rtol=0, atol=1e-6)
    assert all(one.disagreement > 0 for one in said)
    assert ("no prediction sets" in str(lacks(model))) == (series == "crossval")
    with serving(folder) as served:
        answers = [served.predict(image.read_bytes(), "?heat=all").json for image in images[:3]]
        assert [*answers[0]["heat"]] == list(CLASSES)
    np.testing.assert_allclose(probabilities(one["probabilities"] for one in answers), expected[:3], rtol=0, atol=1e-6)
    assert answers[0]["disagreement"] == pytest.approx(said[0].disagreement, abs=1e-6)
    call(evaluate, folder, trained / "xrays", "--keep-seen", "--no-cache")
    rows = {row["path"]: row for row in read_rows(folder / "external_predictions.csv")}
    own = [rows[image.relative_to(trained / "xrays").as_posix()] for image in images]
    found = [[float(row[f"prob_{name}"]) for name in CLASSES] for row in own]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert float(own[0]["disagreement"]) == pytest.approx(said[0].disagreement, rel=1e-3)
    report = read_json(folder / "external.json")
    assert [one["run"] for one in report["members"]] == [run.name for run in members_of(folder)]
    assert "That is the ensemble; its 2 members alone have" in report["sentence"]
    assert report["out_of_fold"] == (series == "crossval")
    assert "balanced_accuracy" in report["drop"]
    assert (series == "crossval") == ("36 images from elsewhere" in str(open_model(folder).unfitted))
    assert "prediction_sets" in report
    assert tools(["predict", str(folder), str(images[0])]) == 0


@slow
def test_one_onnx_file_says_the_same(repeat, images, tmp_path):
    import onnxruntime

    write(covidnet.load(repeat, "cpu"), tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert names == ["probabilities", "calibrated", "novelty", "disagreement"]
    pixels = [np.asarray(Image.open(image))[None, :, :, None] for image in images]
    found = [session.run(None, {"images": one}) for one in pixels]
    said = {name: np.concatenate([one[place] for one in found]) for place, name in enumerate(names)}
    np.testing.assert_allclose(said["probabilities"], of_mean(repeat, images), rtol=0, atol=1e-5)
    known = covidnet.load(repeat, "cpu").predict(images)
    np.testing.assert_allclose(said["disagreement"], [one.disagreement for one in known], rtol=0, atol=1e-5)
    np.testing.assert_allclose(said["novelty"], [one.novelty for one in known], rtol=1e-4)


def test_the_common_test_is_predicted_and_scored_as_the_runs_own_files_tell(repeat, tmp_path, capsys):
    out = tmp_path / "said.csv"
    assert tools(["predict", str(repeat), "--out", str(out)]) == 0
    assert "ensemble of 2 models" in capsys.readouterr().err
    rows = read_rows(out)
    told = open_model(repeat).told_of("test")
    assert [row["path"] for row in rows] == told.paths
    found = [[float(row[f"prob_{name}"]) for name in CLASSES] for row in rows]
    np.testing.assert_allclose(found, softmax(told.logits, axis=1), rtol=0, atol=1e-6)
    right = [row["predicted"] == row["label"] for row in rows]
    assert read_json(repeat / "repeat.json")["ensemble"]["accuracy"] == pytest.approx(np.mean(right))


def test_a_repeat_is_calibrated_on_its_common_validation_images_and_a_crossval_tells_that_it_is_not(repeat, crossval):
    one, other = open_model(repeat), covidnet.load(crossval, "cpu")
    assert one.calibration["temperature"] > 0
    assert one.unfitted is None
    assert (other.temperature, other.coverage) == (None, 0.9)
    assert "is not known" in other.unfitted


def test_a_single_model_has_no_word_of_members(repeat, images):
    one = covidnet.load(repeat / "seed_0", "cpu")
    assert (one.cost, one.unfitted) == (None, None)
    assert "disagreement" not in as_json(one.predict(images[:1])[0])
    with serving(repeat / "seed_0") as served:
        assert "disagreement" not in served.predict(images[0].read_bytes()).json


def test_a_crossval_has_no_test_of_its_own(crossval, capsys):
    assert "no test images in common" in mistake(lambda: tools(["predict", str(crossval)]), capsys)


def test_a_crossval_keeps_no_threshold(crossval, capsys):
    wish = ["threshold", str(crossval), "--class", "NORMAL", "--sensitivity", "0.9"]
    assert "no calibrated probability" in mistake(lambda: tools(wish), capsys)


def test_a_wish_is_met_on_validation_by_the_threshold_of_the_mean(copied, images):
    given = keep_wish_of_series(copied, "NORMAL", "sensitivity", 0.9)
    assert given["validation"]["sensitivity"] >= 0.9
    model, told = covidnet.load(copied, "cpu"), open_model(copied).told_of("val")
    scores = softmax(told.logits / model.temperature, axis=1)[:, CLASSES.index("NORMAL")]
    assert model.decision.threshold == wished_threshold(scores, told.labels == 1, "sensitivity", 0.9)
    assert model.predict(images[:1])[0].decision in CLASSES
    assert take_back_of_series(copied)
    assert covidnet.load(copied, "cpu").decision is None


def test_the_ensemble_is_compared_with_its_own_members(copied, capsys):
    call(compare, copied, copied, "--ensemble", "B")
    found = read_json(copied / "comparison.json")
    assert (found["runs"], found["called"]) == ([SEEDS, 1], ["2 seeds", "ensemble of 2"])
    together = found["parts"]["inside"]["metrics"]["accuracy"]["second"]
    assert together == pytest.approx(read_json(copied / "repeat.json")["ensemble"]["accuracy"])


def lose_a_run(folder):
    shutil.rmtree(folder / "seed_1")


def end_early(folder):
    (folder / "repeat.json").write_text('{"seeds": [0, 1]}')


def name_a_file_outside(folder):
    (folder / "repeat.json").write_text('{"runs": ["seed_0", "../repeat_0/seed_1"]}')


def mix_runs(folder):
    rows = (folder / "seed_1" / "val_predictions.csv").read_text().splitlines()
    turned = [rows[0], *(",".join([*row.split(",")[:3], "0.98", "0.01", "0.01"]) for row in rows[1:])]
    (folder / "seed_1" / "val_predictions.csv").write_text("\n".join(turned))


def ask_for_too_much(folder):
    wish = {"class": "NORMAL", "wish": "sensitivity", "wanted": 2}
    (folder / "wish.json").write_text(json.dumps(wish))


def change_a_member(folder):
    file = folder / "seed_1" / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    content["covidnet"]["data"]["init_args"]["interpolation"] = "nearest"
    torch.save(content, file)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lose_a_run, "lacks seed_1"),
        (end_early, "is no model yet: 2 of its runs are finished"),
        (name_a_file_outside, "lacks \\.\\./repeat_0/seed_1"),
        (mix_runs, "tells of another model"),
        (ask_for_too_much, "threshold .* --undo takes it back"),
        (change_a_member, "interpolation 'bilinear'"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_no_ensemble_is_told(spoil, expected, copied):
    spoil(copied)
    with pytest.raises(UserError, match=expected):
        covidnet.load(copied, "cpu")
