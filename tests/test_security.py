"""Facts about files of strangers: none runs code. Each payload is first shown to run where it is read without care."""

import csv
import json
import os
import pickle
import stat
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
import torch
import yaml
from helpers import mistake, paint, slow
from made_run import write_run
from PIL import Image

from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.data.cache import open_cache
from covidnet.data.division.metadata import read_metadata
from covidnet.data.division.split import read_split
from covidnet.errors import UserError
from covidnet.evidence.compare import _images_of
from covidnet.files.archive import unpack
from covidnet.imaging.decode import open_radiograph, read
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.models.parts.backbone import create_backbone
from covidnet.runs.checkpoint import Checkpoint
from covidnet.runs.run import Run
from covidnet.runs.trust import refuse_bomb
from covidnet.training.resume import recipe_layer

MARKER = Path("ran")  # a folder that is there where a payload has run
QUICK = ["fit", "data=phantom", "trainer=cpu"]


class Payload:
    def __reduce__(self):
        return (os.mkdir, (str(MARKER),))


def ran() -> bool:
    """Tell whether a payload has run since it was last asked."""
    found = MARKER.is_dir()
    if found:
        MARKER.rmdir()
    return found


@pytest.fixture
def hostile(tmp_path, monkeypatch) -> str:
    """A module that runs code when it is imported, with a callback, a model and data modules; its name."""
    name = f"hostile_{tmp_path.name}".replace("-", "_")
    text = f"import os\nos.mkdir({str(MARKER)!r})\nfrom covidnet.models.convnet import ConvNet as Net\n"
    text += "from covidnet.data.module import RadiographyDataModule as Data\nfrom pytorch_lightning import Callback\n"
    (tmp_path / f"{name}.py").write_text(text + "def function(*_):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    if name in sys.modules:
        del sys.modules[name]


def imported(name: str) -> bool:
    """Import what a careless reader would, and forget it; return whether its code ran."""
    resolve_name(name)
    sys.modules.pop(name.partition(".")[0], None)
    return ran()


def rewritten(run: Path, change) -> Path:
    """Change what the best checkpoint of a run holds; return its file."""
    file = run / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    change(content)
    torch.save(content, file)
    return file


# Checkpoints and weights


def test_a_pickle_in_a_checkpoint_is_not_run(capsys):
    torch.save({"covidnet": Payload()}, "bad.ckpt")
    torch.load("bad.ckpt", weights_only=False)
    assert ran()
    assert "cannot be read" in mistake(lambda: main(["test", "ckpt_path=bad.ckpt"]), capsys)
    Path("x.png").touch()  # what is missing would be told before the checkpoint is read
    assert "cannot be read" in mistake(lambda: tools(["predict", "bad.ckpt", "x.png"]), capsys)
    assert not ran()


def test_no_key_makes_a_checkpoint_run(capsys, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"covidnet": Payload()}, "bad.ckpt")
    for command in ("fit", "test"):
        mistake(lambda command=command: main([command, "ckpt_path=bad.ckpt", "--weights_only=false"]), capsys)
    assert not ran()


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_pickle_in_a_file_of_weights_is_not_run(tmp_path, ending):
    file = tmp_path / f"weights{ending}"
    torch.save({"weight": Payload()}, file)
    torch.load(BytesIO(file.read_bytes()), weights_only=False)
    assert ran()
    with pytest.raises(UserError, match="does not fit"):
        create_backbone("test_resnet", pretrained=False, weights=str(file))
    assert not ran()


@pytest.mark.parametrize("section", ["model", "data"])
def test_a_recipe_in_a_checkpoint_imports_nothing_foreign(tmp_path, capsys, hostile, section):
    name = f"{hostile}.{'Net' if section == 'model' else 'Data'}"
    assert imported(name)
    run = write_run(tmp_path)
    file = rewritten(run, lambda content: content["covidnet"][section].update(class_path=name))
    image = next((tmp_path / "xrays").rglob("*.png"))
    assert "A file may name" in mistake(lambda: tools(["predict", str(file), str(image)]), capsys)
    assert "A file may name" in mistake(lambda: main(["test", f"ckpt_path={file}", "trainer=cpu"]), capsys)
    assert not ran()


@pytest.mark.parametrize(
    "path", ["subprocess.Popen", "covidnet.training.processes:os.system", "torch.os.system", "torch.nn.Linear"]
)
def test_a_recipe_builds_no_other_class(tmp_path, path):
    run = write_run(tmp_path)
    rewritten(run, lambda content: content["covidnet"]["data"].update(class_path=path, init_args={"args": ["x"]}))
    with pytest.raises(UserError, match="names"):
        Run(run).open_data()


def test_a_recipe_says_when_training_ends_and_nothing_else_of_the_trainer(tmp_path):
    evil = {"trainer": {"max_epochs": 3, "callbacks": ["os.system"]}, "checkpoint": {"dirpath": "/"}}
    file = rewritten(write_run(tmp_path), lambda content: content["covidnet"].update(training=evil))
    from covidnet.training.args import expand

    layer = recipe_layer(Checkpoint(file).recipe, file, expand(["fit"]))
    assert layer["trainer"] == {"max_epochs": 3}
    assert set(layer) == {"model", "data", "trainer"}


@pytest.mark.parametrize("name", ["../../out", "/out", "a/b", ".", "..", "", 5])
def test_a_recipe_does_not_choose_where_a_run_is_written(tmp_path, name):
    file = rewritten(write_run(tmp_path), lambda content: content["covidnet"].update(name=name))
    with pytest.raises(UserError, match="damaged recipe"):
        Checkpoint(file)


@pytest.mark.parametrize(
    "damage",
    [{"model": None}, {"data": {"class_path": 1, "init_args": {}}}, {"classes": "AB"}, {"training": {"trainer": 1}}],
)
def test_a_recipe_of_other_types_is_a_mistake_and_no_crash(tmp_path, damage):
    file = rewritten(write_run(tmp_path), lambda content: content["covidnet"].update(damage))
    with pytest.raises(UserError, match="damaged recipe"):
        Checkpoint(file)


@pytest.mark.parametrize("more", [{"data": {"no_such": 1}}, {"hyper_parameters": {"num_classes": 9}}])
def test_a_recipe_that_does_not_fit_is_a_mistake_and_no_crash(tmp_path, capsys, more):
    def change(content):
        content["hyper_parameters"].update(more.get("hyper_parameters", {}))
        content["covidnet"]["data"]["init_args"].update(more.get("data", {}))

    file = rewritten(write_run(tmp_path), change)
    image = next((tmp_path / "xrays").rglob("*.png"))
    assert "holds no model" in (message := mistake(lambda: tools(["predict", str(file), str(image)]), capsys)) or (
        "does not fit" in message
    )


def test_a_checkpoint_that_unpacks_to_any_size_is_refused(tmp_path):
    file = tmp_path / "bomb.ckpt"
    torch.save({"zeros": torch.zeros(2**20)}, file)
    with zipfile.ZipFile(file) as plain, zipfile.ZipFile(tmp_path / "packed", "w", zipfile.ZIP_DEFLATED) as packed:
        for info in plain.infolist():
            packed.writestr(info.filename, plain.read(info))
    (tmp_path / "packed").replace(file)
    assert file.stat().st_size < 2**15
    with pytest.raises(UserError, match="it is packed"):
        Checkpoint(file)


# Configurations


def configured(content: object, capsys) -> str:
    """Return how a command line ends with a configuration file of a stranger."""
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    Path("stranger.yaml").write_text(text)
    return mistake(lambda: main([*QUICK, "--config", "stranger.yaml"]), capsys)


def test_a_tag_in_a_configuration_is_not_run(capsys):
    text = f"trainer: !!python/object/apply:os.mkdir [{MARKER}]\n"
    yaml.unsafe_load(text)
    assert ran()
    assert "could not determine a constructor" in configured(text, capsys)
    assert not ran()


def test_a_configuration_imports_nothing_foreign(capsys, hostile):
    callback, function = f"{hostile}.Callback", f"{hostile}.function"
    assert imported(callback)
    calls = {"class_path": "pytorch_lightning.callbacks.LambdaCallback", "init_args": {"setup": function}}
    Path("inner.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [{"class_path": callback}]}}))
    Path("net.yaml").write_text(yaml.safe_dump({"class_path": f"{hostile}.Net"}))
    hidden = [
        {"trainer": {"callbacks": [{"class_path": callback}]}},
        {"trainer.callbacks": [callback]},
        {"trainer": {"callbacks": [calls]}},
        {"trainer": {"logger": f"{hostile}.Callback", "profiler": function}},
        {"model": {"class_path": f"{hostile}.Net"}},
        {"data": f"{hostile}.Data"},
        {"config": "inner.yaml"},
        {"model": "net.yaml"},
    ]
    for content in hidden:
        message = configured(content, capsys)
        assert f"{hostile}." in message or "LambdaCallback is named in a file" in message, content
        assert "A file may name classes" in message
        assert not ran(), content


@pytest.mark.parametrize("name", ["subprocess.Popen", "torch.os.system", "torch.subprocess.Popen", "builtins.exec"])
def test_a_configuration_calls_nothing_of_the_standard_library(capsys, monkeypatch, name):
    monkeypatch.setenv("COVIDNET_TRUST", "subprocess,os,posix,builtins")
    evil = {"class_path": name, "init_args": {"args": ["mkdir", str(MARKER)]}}
    subprocess.run(evil["init_args"]["args"], check=True)
    assert ran()
    for content in ({"trainer": {"callbacks": [evil]}}, {"model": evil}, {"data": evil}):
        configured(content, capsys)
    assert not ran()


def test_what_is_typed_or_trusted_is_the_users_own(capsys, hostile, monkeypatch):
    callback = f"{hostile}.Callback"
    with pytest.raises(SystemExit) as ended:
        main([*QUICK, f'trainer.callbacks=[{{"class_path": "{callback}"}}]', "--print_config"])
    assert ended.value.code == 0
    assert ran()


def test_a_package_that_is_trusted_may_be_named_in_a_file(capsys, hostile, monkeypatch):
    monkeypatch.setenv("COVIDNET_TRUST", hostile)
    Path("own.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [{"class_path": f"{hostile}.Callback"}]}}))
    with pytest.raises(SystemExit) as ended:
        main([*QUICK, "--config", "own.yaml", "--print_config"])
    assert ended.value.code == 0
    assert ran()


def test_a_few_bytes_that_stand_for_millions_of_values_are_refused(capsys):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "stands for more than" in configured("\n".join(lines), capsys)
    Path("loop.yaml").write_text("a: &a [*a]")
    refuse_bomb(Path("loop.yaml"))  # ends


@pytest.mark.parametrize("payload", ["import", "call"])
def test_a_run_directory_runs_nothing_when_it_is_compared(tmp_path, hostile, payload):
    name = f"{hostile}.Data" if payload == "import" else "subprocess.Popen"
    if payload == "import":
        assert imported(name)
    else:
        assert resolve_name(name)(["mkdir", str(MARKER)]).wait() == 0
        assert ran()
    section = {"class_path": name, "init_args": {"args": ["mkdir", str(MARKER)]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": section}))
    assert _images_of(tmp_path) is None
    assert not ran()


# Caches, tables, archives, images


def test_a_pickle_in_a_cache_is_not_run(tmp_path):
    root = paint(tmp_path / "xrays", ("A", "B"), 2)
    paths = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    whole, _ = open_cache(root, paths, 8, cache_dir=tmp_path / "cache")
    expected = whole.gather(np.arange(4))
    folder = next((tmp_path / "cache").iterdir())
    payload = pickle.dumps(Payload())
    pickle.loads(payload)
    assert ran()
    np.save(folder / "planes.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    header = (folder / "journal.jsonl").read_bytes().splitlines()[0]
    for journal in (payload, header + b"\n" + payload):
        (folder / "planes.u8").write_bytes((folder / "planes.npy").read_bytes() + bytes(999))
        (folder / "journal.jsonl").write_bytes(journal)
        mended, unreadable = open_cache(root, paths, 8, cache_dir=tmp_path / "cache")
        assert not unreadable
        np.testing.assert_array_equal(mended.gather(np.arange(4)), expected)
    assert not ran()


def test_a_cache_gives_no_file_but_those_asked_for(tmp_path):
    root = paint(tmp_path / "xrays", ("A", "B"), 1)
    (tmp_path / "secret.png").write_bytes((root / "A" / "A (1).png").read_bytes())
    open_cache(root, ["A/A (1).png"], 8, cache_dir=tmp_path / "cache")
    journal = next((tmp_path / "cache").glob("*/journal.jsonl"))
    header, line = journal.read_text().splitlines()[::2][:2]
    journal.write_text(f"{header}\n{json.dumps({**json.loads(line), 'path': '../secret.png'})}\n")
    cache, _ = open_cache(root, ["A/A (1).png", "B/B (1).png"], 8, cache_dir=tmp_path / "cache")
    assert len(cache.index) == 2


def test_a_pickle_in_a_table_is_not_run(tmp_path):
    file = tmp_path / "table.csv"
    file.write_bytes(pickle.dumps(Payload()))
    pickle.loads(file.read_bytes())
    assert ran()
    with pytest.raises(UserError):
        read_split(file, ["A/a.png"], [0], ["A", "B"])
    with pytest.raises(UserError):
        read_metadata(file, tmp_path, ["A/a.png"])
    assert not ran()


def test_an_archive_puts_no_code_where_python_would_run_it(tmp_path):
    content = f"import os; os.mkdir({str(tmp_path / 'ran')!r})\n".encode()
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w") as packed:
        info = tarfile.TarInfo("../sitecustomize.py")
        info.size = len(content)
        packed.addfile(info, BytesIO(content))
    python = [sys.executable, "-c", ""]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "above")}
    (tmp_path / "above" / "to").mkdir(parents=True)
    with tarfile.open(archive) as packed:
        packed.extraction_filter = lambda member, _: member  # before Python 3.11.4 nothing reads it
        packed.extractall(tmp_path / "above" / "to")
    subprocess.run(python, env=environment, check=True)
    assert (tmp_path / "ran").is_dir()
    (tmp_path / "ran").rmdir()
    (tmp_path / "above" / "sitecustomize.py").unlink()
    (tmp_path / "above" / "to").rmdir()
    with pytest.raises(UserError, match="outside"):
        unpack(archive, tmp_path / "above" / "to")
    subprocess.run(python, env=environment, check=True)
    assert not (tmp_path / "ran").exists()


def test_a_name_of_many_megabytes_in_an_archive_is_not_read(tmp_path):
    archive = tmp_path / "x.tgz"
    with tarfile.open(archive, "w:gz", format=tarfile.GNU_FORMAT) as packed:
        packed.addfile(tarfile.TarInfo("a" * 2**24))
    assert archive.stat().st_size < 2**16
    with pytest.raises(UserError, match="a head of"):
        unpack(archive, tmp_path / "to")


def test_an_image_starts_no_program(tmp_path, monkeypatch):
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\nmkdir -p {tmp_path / 'ran'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(Image.UnidentifiedImageError):  # as the program gave no picture
        Image.open(BytesIO(script)).load()
    assert (tmp_path / "ran").is_dir()
    (tmp_path / "ran").rmdir()
    with pytest.raises(UnreadableImageError):
        open_radiograph(script)
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_named_like_an_image_holds_nothing_up(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    assert stat.S_ISFIFO((tmp_path / "x.png").stat().st_mode)
    with pytest.raises(UnreadableImageError, match="no plain file"):
        read(tmp_path / "x.png")


# What a run leaves


@slow
def test_no_token_stands_in_what_a_run_leaves(tmp_path, monkeypatch, capfd):
    secrets = {"HF_TOKEN": "hf_secretsecret", "KAGGLE_KEY": "kagglesecret", "AWS_SECRET_ACCESS_KEY": "awssecret"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    root = paint(tmp_path / "xrays")
    quick = ["data.test_per_class=3", "data.image_size=12", "trainer.max_epochs=1", "trainer=cpu"]
    main([f"data.root={root}", *quick, "report=true"])
    told = capfd.readouterr()
    left = b"".join(file.read_bytes() for file in Path("runs").rglob("*") if file.is_file())
    left += (told.out + told.err).encode()
    assert b"accuracy" in left
    for value in secrets.values():
        assert value.encode() not in left


def test_names_are_text_in_the_report(tmp_path):
    run = write_run(tmp_path)
    script = "<script>alert(1)</script>"
    with (run / "split.csv").open("a", newline="") as lines:
        csv.writer(lines).writerow([f"{script}.png", "NORMAL", "train"])
    results = json.loads((run / "results.json").read_text())
    results["best"]["notice"] = script
    (run / "results.json").write_text(json.dumps(results))
    tools(["report", str(run)])
    assert script not in (run / "report.html").read_text()
