"""A configuration out of a store, or through a pipe, goes through the same gate as a file."""

import os
import threading
from pathlib import Path

import pytest
import yaml
from helpers import QUICK, mistake

from covidnet.commands.train import main

FIT = ["fit", "data=phantom", *QUICK]
CALLBACKS = "pytorch_lightning.callbacks"
LOGGER = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": "/elsewhere"}}
HOSTILE = {
    "a class": ({"trainer": {"callbacks": [{"class_path": f"{CALLBACKS}.LambdaCallback"}]}}, "A file may name"),
    "a place": ({"trainer": {"logger": LOGGER}}, "a folder below"),
    "another store": ({"trainer": {"default_root_dir": "s3://bucket/runs"}}, "a place of this machine"),
    "processes": ({"trainer": {"accelerator": "cpu", "devices": 100_000}}, "processes of a training"),
    "a model of another package": ({"model": {"class_path": "torch.nn.Linear"}}, ""),
}


def served(tmp_path: Path, way: str, text: str) -> str:
    """Return the ``--config`` under which a text is had: a file, a file in a store, or a pipe."""
    file = tmp_path / "bucket" / "stranger.yaml"
    file.parent.mkdir()
    if way == "a pipe":
        os.mkfifo(file)
        threading.Thread(target=file.write_text, args=(text,), daemon=True).start()
    else:
        file.write_text(text)
    return file.as_uri() if way == "a store" else str(file)


WAYS = ["a file", "a store", pytest.param("a pipe", marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="none"))]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("config", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_strangers_configuration_is_refused_however_it_comes(tmp_path, capsys, way, config, told):
    message = mistake([*FIT, f"--config={served(tmp_path, way, yaml.safe_dump(config))}"], capsys)
    assert told in message
    assert not Path("runs").exists()


@pytest.mark.parametrize("way", WAYS)
def test_a_sound_configuration_holds_however_it_comes(tmp_path, capsys, way):
    config = served(tmp_path, way, "trainer: {max_epochs: 3}")
    with pytest.raises(SystemExit) as ended:
        main([*FIT, f"--config={config}", "--print_config"])
    assert ended.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["max_epochs"] == 3


@pytest.mark.parametrize("way", WAYS)
def test_a_bomb_is_one_however_it_comes(tmp_path, capsys, way):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "stands for more than" in mistake([*FIT, f"--config={served(tmp_path, way, chr(10).join(lines))}"], capsys)


@pytest.mark.parametrize("way", WAYS)
def test_a_date_is_no_crash_however_it_comes(tmp_path, capsys, way):
    message = mistake([*FIT, f"--config={served(tmp_path, way, 'trainer: {max_epochs: 2020-01-01}')}"], capsys)
    assert "max_epochs" in message


def test_a_configuration_in_a_store_that_is_none_by_its_size_is_not_fetched(tmp_path, capsys, monkeypatch):
    file = tmp_path / "stranger.yaml"
    with file.open("wb") as content:
        content.truncate(2**40)  # without a byte on the disk
    assert "is no configuration" in mistake([*FIT, f"--config={file.as_uri()}"], capsys)
