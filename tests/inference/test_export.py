"""Facts about covidnet export: what it writes says what the model says, or it writes nothing."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from helpers import CLASSES, QUICK, paint, slow
from PIL import Image

import covidnet
from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.errors import UserError
from covidnet.inference import export

pytestmark = slow  # torch takes seconds to write a program

DOCS = Path(__file__).parents[2] / "docs" / "export.md"
SHAPES = [(12, 12), (30, 20, 3), (90, 13), (5, 40, 3)]


def train(folder, *keys):
    """Train a little on painted images, which lie in xrays/ beside the run; return its directory."""
    given = {
        "data.root": paint(folder / "xrays"),
        "data.cache_dir": folder / "cache",
        "trainer.default_root_dir": folder,
    }
    sizes = ["data.test_per_class=3", "data.batch_size=8", "trainer.max_epochs=2"]
    main([*(f"{key}={value}" for key, value in given.items()), *sizes, *QUICK, *keys])
    return next(folder.glob("*/version_0"))


def ask(run, images):
    """Return what the exported ONNX says of arrays (H, W) or (H, W, 3), by output."""
    session = onnxruntime.InferenceSession(run / "export" / "model.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    said = [session.run(None, {"images": image.reshape(1, *image.shape[:2], -1)}) for image in images]
    return dict(zip(names, map(np.concatenate, zip(*said, strict=True)), strict=True))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on painted images, exported."""
    folder = train(tmp_path_factory.mktemp("trained"), "data.image_size=12")
    assert tools(["export", str(folder)]) == 0
    return folder


@pytest.fixture
def written(run, monkeypatch):
    """Have exports copy the files of ``run``: writing them anew takes seconds."""
    monkeypatch.setattr(
        export, "write", lambda predictor, folder: shutil.copytree(run / "export", folder, dirs_exist_ok=True)
    )


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in SHAPES]


def test_an_export_says_what_the_model_says(run, arrays):
    said = ask(run, arrays)
    expected = covidnet.load(run, "cpu").predict(arrays)
    assert list(said) == ["probabilities", "calibrated", "novelty"]
    for name in ("probabilities", "calibrated"):
        rows = [list(getattr(one, name).values()) for one in expected]
        np.testing.assert_allclose(said[name], rows, rtol=0, atol=1e-5)
    np.testing.assert_allclose(said["novelty"], [one.novelty for one in expected], rtol=1e-4)


def test_a_batch_says_what_its_images_say(run, arrays):
    several = np.stack([arrays[0], arrays[0] // 2, 255 - arrays[0]])
    session = onnxruntime.InferenceSession(run / "export" / "model.onnx", providers=["CPUExecutionProvider"])
    together = session.run(["probabilities"], {"images": several[..., None]})[0]
    np.testing.assert_allclose(together, ask(run, several)["probabilities"], atol=1e-6)


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_than_grey_or_rgb_are_refused_by_both_files_and_by_what_runs_them(run, channels):
    images = np.zeros((1, 9, 9, channels), dtype=np.uint8)
    onnx, program = run / "export" / "model.onnx", run / "export" / "model.pt2"
    with pytest.raises(Exception, match="invalid index"):
        onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"]).run(None, {"images": images})
    with pytest.raises((RuntimeError, IndexError, AssertionError)):
        torch.export.load(program).module()(torch.from_numpy(images))
    for runner in (export.onnx_runner(onnx), export.torch_runner(program)):
        with pytest.raises(UserError, match=f"{channels} channels"):
            runner(images)


def test_grey_in_three_channels_is_grey(run, arrays):
    grey = arrays[2]
    one, three = ask(run, [grey])["probabilities"], ask(run, [np.stack([grey] * 3, axis=2)])["probabilities"]
    np.testing.assert_allclose(one, three, atol=1e-6)


def test_the_torch_program_says_the_same(run, arrays):
    extra = {export.EXTRA: ""}
    program = torch.export.load(run / "export" / "model.pt2", extra_files=extra).module()
    said = ask(run, arrays)["probabilities"]
    for image, expected in zip(arrays, said, strict=True):
        found = program(torch.from_numpy(image.reshape(1, *image.shape[:2], -1)))[0]
        np.testing.assert_allclose(found.detach()[0], expected, atol=1e-5)
    assert json.loads(json.loads(extra[export.EXTRA])["classes"]) == list(CLASSES)


def test_the_metadata_tells_how_to_read_the_outputs(run):
    session = onnxruntime.InferenceSession(run / "export" / "model.onnx", providers=["CPUExecutionProvider"])
    known = session.get_modelmeta().custom_metadata_map
    model = covidnet.load(run, "cpu")
    assert json.loads(known["classes"]) == model.classes
    assert json.loads(known["temperature"]) == model.temperature
    assert json.loads(known["conformal"]) == {"coverage": model.coverage, "least": model.least}
    assert json.loads(known["thresholds"]).keys() == set(CLASSES)
    assert known["covidnet_version"] == covidnet.__version__
    assert "not a medical device" in known["notice"]
    assert [session.get_inputs()[0].name, *session.get_inputs()[0].shape[:3]] == ["images", "batch", "height", "width"]


def test_no_file_of_this_machine_is_named(run):
    for file in (run / "export").iterdir():
        content = file.read_bytes()
        assert b".py" not in content
        assert str(run).encode() not in content


def test_a_file_that_says_something_else_is_not_kept(run, written, tmp_path, monkeypatch, capsys):
    honest = export.onnx_runner

    def off_by_little(file):
        runner = honest(file)
        return lambda images: [said + 2e-4 for said in runner(images)]

    monkeypatch.setattr(export, "onnx_runner", off_by_little)
    with pytest.raises(SystemExit) as ended:
        tools(["export", str(run), "--out", str(tmp_path / "there")])
    assert ended.value.code == 2
    assert re.search(
        r"model.onnx does not say what PyTorch says of .*0.0002, more than 0.0001", capsys.readouterr().err
    )
    assert not (tmp_path / "there").exists()


def test_a_folder_can_be_compared_and_what_is_unreadable_is_told(run, written, tmp_path, capsys):
    root = paint(tmp_path / "others", per_class=1, size=31)
    (root / "NORMAL" / "empty.png").touch()
    assert tools(["export", str(run), "--out", str(tmp_path / "there"), "--check", str(root)]) == 0
    printed = capsys.readouterr().out
    assert f"Compared with PyTorch on 3 images below {root}" in printed
    assert "left out: " in printed
    assert "empty.png is empty" in printed
    assert sorted(file.name for file in (tmp_path / "there").iterdir()) == ["model.onnx", "model.pt2"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["nowhere"], "nowhere does not exist. Give the directory of a run"),
        (["{alone}"], "does not lie in its run directory. Give --out FOLDER"),
        (["{run}", "--check", "nowhere"], "--check nowhere is no folder"),
        (["{run}", "--check", "{empty}"], "holds no images"),
        (["{run}", "--out", "{alone}"], "cannot be written"),
    ],
    ids=["checkpoint", "alone", "check", "empty", "out"],
)
def test_a_mistake_is_one_message_and_code_2(given, says, run, written, tmp_path, capsys):
    alone, empty = tmp_path / "alone.ckpt", tmp_path / "empty"
    alone.write_bytes((run / "checkpoints" / "best.ckpt").read_bytes())
    empty.mkdir()
    with pytest.raises(SystemExit) as ended:
        tools(["export", *(text.format(run=run, alone=alone, empty=empty) for text in given)])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_missing_library_is_named_with_its_command(run, monkeypatch, capsys):
    monkeypatch.setattr(export, "LIBRARIES", ("onnxruntime", "no_such_library"))
    with pytest.raises(SystemExit):
        tools(["export", str(run)])
    assert "needs no_such_library, which is not installed: pip install no_such_library" in capsys.readouterr().err


def test_a_model_without_lungs_is_not_exported(run, tmp_path):
    predictor = covidnet.load(run, "cpu")
    predictor.lungs = "only"
    with pytest.raises(covidnet.errors.UserError, match=re.escape("data.lungs=only")):
        export.export(predictor, tmp_path / "there", [])


def test_a_backbone_with_all_its_layers_is_exported(tmp_path, monkeypatch, arrays):
    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, pretrained, **options: create("test_resnet.r160_in1k", **options)
    )
    layers = ["model.equalize=true", "model.average_mirrored=true", "data.interpolation=nearest"]
    folder = train(tmp_path, "model=inception", "data.image_size=40", *layers)
    assert tools(["export", str(folder)]) == 0  # it has compared them itself
    expected = [list(one.calibrated.values()) for one in covidnet.load(folder, "cpu").predict(arrays)]
    np.testing.assert_allclose(ask(folder, arrays)["calibrated"], expected, rtol=0, atol=1e-4)


def test_the_script_of_the_docs_runs(run, arrays, tmp_path, monkeypatch, capsys):
    script = re.search(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)[1]
    assert set(re.findall(r"^import (.*)", script, re.M)) == {"json", "sys", "numpy as np", "onnxruntime"}
    np.save(tmp_path / "chest.npy", arrays[1])
    monkeypatch.setattr(sys, "argv", ["classify.py", str(run / "export" / "model.onnx"), str(tmp_path / "chest.npy")])
    exec(compile(script, "classify.py", "exec"), {})
    printed = capsys.readouterr().out
    expected = covidnet.load(run, "cpu").predict(arrays[1])[0]
    for name, probability in expected.calibrated.items():
        assert re.search(rf"{re.escape(name)} +{probability:.4f}", printed)


def test_real_radiographs_of_any_size_are_said_alike(run, real_data, tmp_path):
    files = sorted((real_data / "external").rglob("*.*"))[:40:4]
    pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files if file.suffix != ".csv"]
    expected = [list(one.probabilities.values()) for one in covidnet.load(run, "cpu").predict(pictures)]
    np.testing.assert_allclose(ask(run, pictures)["probabilities"], expected, rtol=0, atol=1e-4)
