"""Facts about checkpoints and weights of strangers: each is refused soon, in little memory, by one sentence."""

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from doctored import data_of, doctored, model_of, recipe_of, refused
from helpers import mistake, paint, some_of
from made_run import CLASSES
from torch import nn

from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.errors import UserError
from covidnet.files.tensors import read_tensors
from covidnet.inference.predictor import Predictor
from covidnet.models.parts.backbone import create_backbone
from covidnet.runs.checkpoint import KEY, Checkpoint


def use(file: Path) -> None:
    """Read a checkpoint and answer for an image with it."""
    image = next(file.parents[4].rglob("*.png"))
    Predictor(file, device="cpu").predict(image)


def shared_lists() -> list:
    inner: list = [0] * 10
    for _ in range(9):
        inner = [inner] * 10
    return inner


def self_holding() -> list:
    inner: list = []
    inner.append(inner)
    return inner


def deep(levels: int = 2_000) -> list:
    inner: list = []
    for _ in range(levels):
        inner = [inner]
    return inner


def calibrated(**more):
    sound = {
        "temperature": 1.5,
        "thresholds": dict.fromkeys(CLASSES, 0.5),
        "conformal": {"coverage": 0.9, "least": dict.fromkeys(CLASSES, 0.1)},
    }
    return recipe_of("calibration", {**sound, **more})


def decision(**more):
    return {"class": CLASSES[0], "threshold": 0.5, "wish": "sensitivity", "wanted": 0.9, **more}


def looking(**more):
    side = 16
    sound = {
        "side": side,
        "looks": torch.zeros(4, side * side + 1, dtype=torch.float16),
        "network": torch.zeros(4, 256, dtype=torch.float16),
        "limits": [1.0, 1.0],
    }
    return recipe_of("novelty", {**sound, **more})


def test_a_sound_checkpoint_of_all_parts_is_used(tmp_path):
    def change(content):
        calibrated(decision=decision())(content)
        looking()(content)

    image = next((file := doctored(tmp_path, change)).parents[4].rglob("*.png"))
    [found] = Predictor(file, device="cpu").predict(image)
    assert found.calibrated is not None
    assert found.decision is not None
    assert found.novelty is not None


def test_shared_lists_are_a_bomb_where_they_are_walked_without_care(tmp_path):
    file = doctored(tmp_path, recipe_of("more", shared_lists))
    assert file.stat().st_size < 2**20
    lists = torch.load(file, weights_only=True)[KEY]["more"]
    for _ in range(5):
        lists = lists[0]
    assert len(json.dumps(lists)) > 10_000  # of the 10^5 times as many above them


BOMBS = {
    "shared": recipe_of("more", shared_lists),
    "self-holding": recipe_of("more", self_holding),
    "deep": recipe_of("more", lambda: deep(400)),
    "outside the recipe": lambda content: content.update(callbacks=shared_lists()),
    "a long text": recipe_of("version", "a" * 2**20),
    "many values": recipe_of("more", lambda: list(range(300_000))),
    "a huge integer": recipe_of("more", 10**5_000),
}


@pytest.mark.parametrize("change", BOMBS.values(), ids=BOMBS)
def test_a_recipe_that_stands_for_more_than_it_is_is_refused(tmp_path, change):
    file = doctored(tmp_path, change)
    assert str(file) in refused(lambda: use(file))


ODD = {
    "temperature 0": calibrated(temperature=0),
    "temperature below 0": calibrated(temperature=-1.0),
    "temperature nan": calibrated(temperature=float("nan")),
    "temperature inf": calibrated(temperature=float("inf")),
    "temperature tiny": calibrated(temperature=1e-300),
    "temperature text": calibrated(temperature="1"),
    "temperature true": calibrated(temperature=True),
    "temperature huge": calibrated(temperature=10**400),
    "thresholds of other classes": calibrated(thresholds={"A": 0.5, "B": 0.5}),
    "thresholds nan": calibrated(thresholds=dict.fromkeys(CLASSES, float("nan"))),
    "thresholds a list": calibrated(thresholds=[0.5, 0.5]),
    "least of other classes": calibrated(conformal={"coverage": 0.9, "least": {"A": 0.1, "B": 0.1}}),
    "least of too many classes": calibrated(conformal={"coverage": 0.9, "least": dict.fromkeys([*CLASSES, "C"], 0.1)}),
    "least in another order": calibrated(conformal={"coverage": 0.9, "least": dict.fromkeys(CLASSES[::-1], 0.1)}),
    "least nan": calibrated(conformal={"coverage": 0.9, "least": dict.fromkeys(CLASSES, float("nan"))}),
    "no least": calibrated(conformal={"coverage": 0.9}),
    "coverage 2": calibrated(conformal={"coverage": 2, "least": dict.fromkeys(CLASSES, 0.1)}),
    "decision a list": calibrated(decision=[1]),
    "decision of another class": calibrated(decision=decision(**{"class": "A"})),
    "decision at nan": calibrated(decision=decision(threshold=float("nan"))),
    "decision for another wish": calibrated(decision=decision(wish="luck")),
    "decision for a text": calibrated(decision=decision(wanted="0.9")),
    "calibration a list": recipe_of("calibration", [1]),
    "half a calibration": recipe_of("calibration", {"temperature": 1.0}),
    "novelty nan": looking(looks=torch.full((4, 257), float("nan"))),
    "novelty of another side": looking(side=7),
    "novelty of a huge side": looking(side=10**9),
    "novelty of no side": looking(side=-1),
    "novelty of text": looking(looks="abc"),
    "novelty of integers": looking(looks=torch.zeros(4, 257, dtype=torch.int64)),
    "novelty of no images": looking(network=torch.zeros(0, 256)),
    "novelty of three dimensions": looking(network=torch.zeros(4, 4, 4)),
    "novelty of other features": looking(network=torch.zeros(4, 255)),
    "novelty limit 0": looking(limits=[0.0, 1.0]),
    "novelty limit nan": looking(limits=[float("nan"), 1.0]),
    "novelty one limit": looking(limits=[1.0]),
    "a class twice": recipe_of("classes", ["A", "A"]),
    "a class of nothing": recipe_of("classes", ["", "B"]),
    "a class that is a path": recipe_of("classes", ["../x", "B"]),
    "a class that clears the screen": recipe_of("classes", ["\x1b[2J", "B"]),
    "a class that turns what follows": recipe_of("classes", ["\u202egnp.x", "B"]),
    "a name that Windows takes for a device": recipe_of("name", "nul"),
    "a name that ends in a dot": recipe_of("name", "a."),
    "a key that is no text": lambda content: content[KEY].update({5: 1}),
    "a class by another name": lambda content: content[KEY]["model"].update(
        class_path="covidnet.models.convnet:ConvNet"
    ),
    "an argument that Lightning calls": model_of(_instantiator="os.system"),
    "class weights inf": lambda content: content["state_dict"].update(class_weights=torch.tensor([1.0, float("inf")])),
    "class weights below 0": lambda content: content["state_dict"].update(class_weights=torch.tensor([1.0, -1.0])),
    "class weights of nothing": lambda content: content["state_dict"].update(class_weights=torch.zeros(2)),
    "weights that overflow": lambda content: content["state_dict"].update(
        {name: torch.full_like(value, 3e38) for name, value in content["state_dict"].items()}
    ),
    "a class of a book": recipe_of("classes", ["a" * 5_000, "B"]),
    "a million classes": recipe_of("classes", lambda: [str(number) for number in range(60_000)]),
    "a name of a book": recipe_of("name", "a" * 5_000),
    "a version that is none": recipe_of("version", [1]),
    "image_size 60000": data_of(image_size=60_000),
    "image_size 8000 of the images alone": data_of(image_size=8_000),
    "image_size of the model alone": model_of(image_size=60_000),
    "image_size huge": data_of(image_size=10**30),
    "image_size a fraction": data_of(image_size=12.5),
    "image_size true": data_of(image_size=True),
    "image_size text": data_of(image_size="12"),
    "batch_size huge": data_of(batch_size=10**12),
    "batch_size a list": data_of(batch_size=[1]),
    "val_fraction nan": data_of(val_fraction=float("nan")),
    "interpolation unknown": data_of(interpolation="lanczos"),
    "interpolation a list": data_of(interpolation=["bilinear"]),
    "lungs unknown": data_of(lungs="none"),
    "a cache that is no truth value": data_of(cache=[1]),
    "a root that is none": data_of(root=5),
    "num_classes of a million": model_of(num_classes=10**6),
    "num_classes below 0": model_of(num_classes=-1),
    "num_classes text": model_of(num_classes="2"),
    "dropout nan": model_of(dropout=float("nan")),
    "dropout text": model_of(dropout="x"),
    "equalize a list": model_of(equalize=[1]),
    "arguments that are none": lambda content: content.update(hyper_parameters=[1]),
    "arguments that are huge": model_of(more=list(range(300_000))),
    "weights that are none": lambda content: content.update(state_dict=[1]),
    "no weights": lambda content: content.pop("state_dict"),
    "weights nan": lambda content: content["state_dict"]["network.0.weight"].fill_(float("nan")),
    "weights complex": lambda content: content["state_dict"].update(
        {"network.0.bias": torch.zeros(32, dtype=torch.complex64)}
    ),
    "a weight that is a text": lambda content: content["state_dict"].update({"network.0.bias": "x"}),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_a_recipe_of_odd_values_is_one_sentence(tmp_path, change):
    file = doctored(tmp_path, change)
    refused(lambda: use(file))


def test_temperature_0_answers_nan_where_nothing_checks_it():
    assert (torch.tensor([1.0, 0.0]) / 0).softmax(0).isnan().all()


def test_a_command_ends_with_a_mistake_and_no_answer(tmp_path, capsys):
    file = doctored(tmp_path, calibrated(temperature=0))
    image = next(tmp_path.rglob("*.png"))
    assert "temperature" in mistake(lambda: tools(["predict", str(file), str(image)]), capsys)
    for command in (["report", str(file.parent.parent)], ["card", str(file.parent.parent)], ["export", str(file)]):
        assert "temperature" in mistake(lambda command=command: tools(command), capsys), command


# Tensors


def views(content) -> None:
    """Have a checkpoint hold 10^12 values over four bytes."""
    content["state_dict"]["network.0.bias"] = torch.zeros(1).expand(10**12)


def test_expanded_weights_are_a_bomb_where_they_are_used_without_care(tmp_path):
    file = doctored(tmp_path, views)
    assert file.stat().st_size < 2**20
    assert torch.load(file, weights_only=True)["state_dict"]["network.0.bias"].numel() == 10**12


TENSORS = {
    "expanded": views,
    "expanded in the novelty": looking(looks=torch.zeros(1, 257).expand(10**9, 257)),
    "expanded elsewhere": lambda content: content.update(optimizer_states=[torch.zeros(1).expand(10**12)]),
    "folded": lambda content: content.update(more=torch.arange(200.0).as_strided((99, 99), (1, 1))),
    "the same many times": lambda content: content.update(more=[torch.zeros(10_000)] * 10_000),
    "sparse": lambda content: content.update(more=torch.sparse_coo_tensor(torch.zeros(1, 0), [], (10**12,))),
    "meta": lambda content: content.update(more=torch.empty(10**12, device="meta")),
    "quantized": lambda content: content.update(more=torch.quantize_per_tensor(torch.zeros(2), 1, 0, torch.quint8)),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("change", TENSORS.values(), ids=TENSORS)
def test_tensors_that_stand_for_more_than_the_file_holds_are_refused(tmp_path, change):
    file = doctored(tmp_path, change)
    assert str(file) in refused(lambda: use(file))


def replaced(file: Path, change) -> None:
    """Write the pickle in a file of torch anew."""
    with zipfile.ZipFile(file) as old:
        parts = {info.filename: old.read(info) for info in old.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
        for name, content in parts.items():
            new.writestr(name, change(content) if name.endswith("/data.pkl") else content)


def test_a_storage_that_is_larger_than_its_bytes_is_not_read(tmp_path):
    file = tmp_path / "x.ckpt"
    torch.save({"a": torch.zeros(77)}, file)
    replaced(file, lambda content: content.replace(b"KM", b"M\xff\xff"))
    with pytest.raises(ValueError, match="more than the file has bytes"):
        read_tensors(file)


class Bytes:
    def __reduce__(self):
        return bytearray, (2**33,)


class Far:
    """A pickle that puts a value at number 2^31."""

    content = pickle.PROTO + b"\x02" + pickle.EMPTY_LIST + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f" + pickle.STOP


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"covidnet": Bytes()}, 2),
        Far.content,
        b"\x80\x02" + b"(" * 3_000_000 + b".",
        b"\x80\x02" + b"]" + b"]a" * 3_000_000 + b".",
        b"\x80\x02" + b"\x8b\xff\xff\xff\x7f" + b"1" * 100 + b".",
        b"\x80\x02ctorch.nn\nLinear\n.",
        b"\x80\x02ctorch\nload\n(X\x01\x00\x00\x00atR.",
        b"",
    ],
    ids=["bytearray", "far", "marks", "steps", "a long integer", "a class", "a call", "empty"],
)
@pytest.mark.parametrize("packed", [True, False], ids=["zip", "legacy"])
def test_a_pickle_that_costs_more_than_its_bytes_is_refused(tmp_path, content, packed):
    file = tmp_path / "x.ckpt"
    if packed:
        torch.save({}, file)
        replaced(file, lambda _: content)
    else:
        file.write_bytes(content)
    refused(lambda: Checkpoint(file))
    if not packed:
        refused(lambda: create_backbone("test_resnet", pretrained=False, weights=str(file)))


def test_a_second_pickle_of_the_same_name_is_refused(tmp_path):
    file = doctored(tmp_path, lambda _: None)
    with zipfile.ZipFile(file) as old:
        name = next(name for name in old.namelist() if name.endswith("/data.pkl"))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(file, "a") as packed:
        packed.writestr(name, b"\x80\x02}.")
    assert "as torch.save writes it" in refused(lambda: Checkpoint(file))


def test_what_torch_saves_is_read(tmp_path):
    kinds = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint16, torch.bool, torch.float8_e4m3fn]
    saved = {str(kind): torch.zeros(3, 2, dtype=kind) for kind in kinds}
    saved |= {"part": torch.arange(12.0).view(3, 4)[:, 1], "turned": torch.zeros(3, 4).T, "none": torch.zeros(0, 3)}
    saved |= {"scalar": torch.tensor(1.0), "weight": nn.Parameter(torch.zeros(2)), "size": torch.Size([2]), "set": {1}}
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.zeros(2, 2)).sum().backward()
    optimizer.step()
    tied = torch.zeros(1_000)
    saved |= {"state": network.state_dict(), "optimizer": optimizer.state_dict(), "tied": [tied, tied]}
    for new in (True, False):
        if not new:
            del saved["torch.uint16"], saved["torch.float8_e4m3fn"]  # which torch itself cannot write so
        torch.save(saved, tmp_path / "x.pth", _use_new_zipfile_serialization=new)
        found = read_tensors(tmp_path / "x.pth")
        assert list(found) == list(saved)
        torch.testing.assert_close(found["part"], saved["part"])
        network.load_state_dict(found["state"])


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_weights_that_stand_for_more_than_they_hold_are_refused(tmp_path, ending):
    file = tmp_path / f"weights{ending}"
    if ending == ".pth":
        torch.save({"weight": torch.zeros(1).expand(10**12)}, file)
    else:
        head = json.dumps({"weight": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4]}}).encode()
        file.write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))
    assert "does not fit" in refused(lambda: create_backbone("test_resnet", pretrained=False, weights=str(file)))


# What a recipe has built


def test_the_network_is_not_built_larger_than_the_weights(tmp_path):
    """The backbone's name alone asks for four gigabytes."""

    def change(content):
        arguments = {"num_classes": 2, "backbone": "vit_giant_patch14_clip_224", "pretrained": True}
        content["hyper_parameters"] = arguments
        content[KEY]["model"] = {"class_path": "covidnet.models.inception.InceptionV3", "init_args": arguments}

    file = doctored(tmp_path, change)
    assert "many more weights" in refused(lambda: use(file))


def test_a_large_image_over_small_weights_is_built_nowhere(tmp_path):
    def change(content):
        content["hyper_parameters"]["image_size"] = content[KEY]["data"]["init_args"]["image_size"] = 8_000

    file = doctored(tmp_path, change)
    assert "many more weights" in refused(lambda: use(file))


def test_a_checkpoint_fetches_no_weights_and_reads_no_other_file(tmp_path, monkeypatch):
    import timm

    asked = []
    monkeypatch.setattr(timm, "create_model", lambda name, **keys: asked.append(keys) or nn.Linear(1, 1))

    def change(content):
        arguments = {"num_classes": 2, "pretrained": True, "weights": "/etc/passwd"}
        content["hyper_parameters"] = arguments
        content[KEY]["model"] = {"class_path": "covidnet.models.inception.InceptionV3", "init_args": arguments}

    file = doctored(tmp_path, change)
    with pytest.raises(UserError):
        Checkpoint(file).model()
    assert [keys["pretrained"] for keys in asked] == [False]


# What training goes on from


def state_of(content, name: str) -> dict:
    """Return the state that a checkpoint holds of a callback."""
    return next(state for key, state in content["callbacks"].items() if key.startswith(name))


def rates(content) -> None:
    content["optimizer_states"][0]["param_groups"][0]["lr"] = float("nan")


def moments(content) -> None:
    content["optimizer_states"][0]["state"][0]["exp_avg"] = torch.zeros(3)


UNFINISHED = {
    "a rate nan": rates,
    "a rate of text": lambda content: content["optimizer_states"][0]["param_groups"][0].update(lr="x"),
    "other moments": moments,
    "an optimizer that is none": lambda content: content.update(optimizer_states=[1]),
    "loops of nothing": lambda content: content.update(loops={"fit_loop": {"epoch_progress": 1}}),
    "a count of text": lambda content: content["loops"]["fit_loop"]["epoch_loop.automatic_optimization.optim_progress"][
        "optimizer"
    ]["step"]["total"].update(ready="x"),
    "callbacks of nothing": lambda content: content.update(callbacks={"RunRecord": 1}),
    "rows that are none": lambda content: state_of(content, "RunRecord").update(metrics=5),
    "patience of text": lambda content: state_of(content, "EarlyStopping").update(wait_count="x"),
    "a best score of text": lambda content: state_of(content, "EarlyStopping").update(best_score="x"),
    "a best score of no number line": lambda content: state_of(content, "EarlyStopping").update(
        best_score=torch.tensor(1j)
    ),
    "rows without names": lambda content: state_of(content, "RunRecord").update(metrics=[{1: 2}]),
    "a bomb in the state": lambda content: content.update(lr_schedulers=shared_lists()),
    "weights of another shape": lambda content: content["state_dict"].update({"network.0.bias": torch.zeros(3)}),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a training of one epoch."""
    folder = tmp_path_factory.mktemp("trained")
    before = Path.cwd()
    os.chdir(folder)
    try:
        paint(folder / "xrays", ("A", "B"), 12)
        main(["fit", *GO_ON, "trainer.max_epochs=1"])
    finally:
        os.chdir(before)
    return folder


GO_ON = ["trainer=cpu", "data.root=xrays", "data.test_per_class=3", "data.cache=false", "data.image_size=16"]


def last_of(trained: Path, tmp_path: Path, change) -> Path:
    """Copy a training, change what its last checkpoint holds; return that."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    [file] = tmp_path.glob("runs/*/*/checkpoints/last.ckpt")
    content = torch.load(file, weights_only=True)
    change(content)
    torch.save(content, file)
    return file


@pytest.mark.parametrize("change", some_of(UNFINISHED))
def test_odd_training_states_are_one_sentence(trained, tmp_path, monkeypatch, capsys, change):
    monkeypatch.chdir(tmp_path)
    file = last_of(trained, tmp_path, change)
    message = mistake(lambda: main(["fit", *GO_ON, "trainer.max_epochs=3", f"ckpt_path={file}"]), capsys)
    assert str(file) in message


def test_a_training_goes_on_and_removes_no_file_but_its_own(trained, tmp_path, monkeypatch):
    victim = tmp_path / "elsewhere" / "victim.ckpt"
    victim.parent.mkdir()
    victim.write_text("mine")

    def change(content):
        for name in ("ModelCheckpoint",):
            state = state_of(content, name)
            worst = torch.tensor(1e9)
            names = {"best_model_path", "kth_best_model_path"}
            state.update(dict.fromkeys(names, str(victim)))
            state.update(best_k_models={str(victim): worst}, kth_value=worst, best_model_score=worst)
            state["dirpath"] = str(tmp_path / "runs" / "convnet" / "version_0" / "checkpoints")

    monkeypatch.chdir(tmp_path)
    file = last_of(trained, tmp_path, change)
    main(["fit", *GO_ON, "trainer.max_epochs=2", f"ckpt_path={file}"])
    assert victim.read_text() == "mine"
    assert torch.load(file, weights_only=True)["epoch"] == 1
