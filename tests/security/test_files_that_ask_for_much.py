"""A stranger's configuration that asks for far more than it says is one sentence, soon."""

import time
from pathlib import Path

import pytest
import yaml
from helpers import QUICK, mistake

from covidnet.commands.train import main
from covidnet.errors import WIDEST, UserError
from covidnet.series.repeat import read_seeds
from covidnet.series.space import read_space

FIT = ["fit", "data=phantom", *QUICK]
SOON = 10.0  # seconds: a machine of the tests may be busy
DDP = "pytorch_lightning.strategies.DDPStrategy"
LOG = "pytorch_lightning.loggers.CSVLogger"
VIT = {
    "class_path": "covidnet.models.inception.InceptionV3",
    "init_args": {"backbone": "test_vit", "pretrained": False},
}
HOSTILE = {
    "processes by number": ({"trainer": {"devices": 100_000}}, "processes of a training"),
    "processes by text": ({"trainer": {"devices": "100000", "strategy": "ddp"}}, "processes of a training"),
    "processes by letters of others": ({"trainer": {"devices": "\u0661" + "\u0660" * 5}}, "processes of a training"),
    "processes by list": ({"trainer": {"devices": [*range(500)]}}, "processes of a training"),
    "processes that load": ({"data": {"num_workers": 100_000}}, "data.num_workers"),
    "more values than the parser takes in time": ({"data": {"classes": [*map(str, range(5_000))]}}, "2,000 values"),
    "a rate without end": ({"model": {"learning_rate": float("inf")}}, "model.learning_rate"),
    "a decay without end": ({"model": {"weight_decay": float("inf")}}, "model.weight_decay"),
    "a seed that is none": ({"seed_everything": 10**20}, "seed_everything"),
    "keys in the place of a file": ({"config": {"trainer": {"max_epochs": 1}}}, "is no file"),
    "files in the place of a file": ({"config": ["x.yaml"]}, "is no file"),
    "a way to connect that is none": (
        {"trainer": {"strategy": {"class_path": DDP, "init_args": {"process_group_backend": "x"}}}},
        "gloo, nccl or mpi",
    ),
    "a folder that Windows takes for a device": (
        {"trainer": {"logger": {"class_path": LOG, "init_args": {"save_dir": "logs", "name": "nul"}}}},
        "a plain name",
    ),
    "images of no size of the backbone's": ({"model": VIT, "data": {"image_size": 37}}, "data.image_size"),
    "a profile of what is not measured": (
        {
            "trainer": {
                "profiler": {
                    "class_path": "pytorch_lightning.profilers.PyTorchProfiler",
                    "init_args": {"sort_by_key": "x"},
                }
            }
        },
        "trainer.profiler=",
    ),
}


@pytest.mark.parametrize(("config", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_asks_for_much_is_one_sentence(tmp_path, capsys, xray_root, config, told):
    file = tmp_path / "stranger.yaml"
    file.write_text(yaml.safe_dump(config))
    before = time.process_time()
    words = ["fit", *QUICK, f"data.root={xray_root}", "data.test_per_class=3", f"--config={file}"]
    message = mistake(words, capsys)
    assert time.process_time() - before < SOON
    [line] = [line for line in message.splitlines() if "error: " in line]
    assert told in line
    assert not [*Path("runs").glob("*/*")]


def test_what_a_run_has_is_no_more_than_a_file_may_say(xray_root, capsys):
    with pytest.raises(SystemExit):
        main(["fit", *QUICK, f"data.root={xray_root}", "trainer.devices=2", "data.num_workers=8", "--print_config"])
    Path("own.yaml").write_text(capsys.readouterr().out)
    with pytest.raises(SystemExit) as ended:
        main(["fit", *QUICK, "--config=own.yaml", "--print_config"])
    assert ended.value.code == 0


def test_a_message_neither_fills_nor_controls_the_screen(tmp_path, capsys):
    file = tmp_path / "stranger.yaml"
    file.write_text(yaml.safe_dump({"early_stopping": {"monitor": "\x1b]0;pwned\x07" + "b" * 50_000}}))
    message = mistake([*FIT, f"--config={file}"], capsys)
    assert "\\x1b]0;pwned\\x07bbb" in message
    assert "\x1b" not in message
    assert max(map(len, message.splitlines())) < 2 * WIDEST


def test_more_seeds_than_anybody_trains_are_not_counted():
    with pytest.raises(UserError, match="seeds=1000000000000"):
        read_seeds(10**12)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"trainer.model_registry": {"choices": ["a/b", "c/d"]}}, "cannot be searched"),
        ({"model.warmup_epochs": [0, 10**20, "int"]}, "must lie between"),
    ],
)
def test_a_space_sends_nothing_and_has_ends(space, told):
    with pytest.raises(UserError, match=told):
        read_space(space, {"trainer.model_registry": str, "model.warmup_epochs": int})
