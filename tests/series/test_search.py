"""A search tries what it was told, judges by validation alone, loses nothing, and its best is a run that repeats."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest
import torch
import yaml
from helpers import QUICK, mistake, slow, untold_keys
from optuna import Trial

from bench.search import kill_and_go_on, reproduce, wrong
from covidnet.commands.train import main
from covidnet.data.module import RadiographyDataModule
from covidnet.models.classifier import Classifier
from covidnet.training.args import expand

RUNS = Path("runs", "convnet")
FOLDER = RUNS / "search_0"
SPACE = "space={model.learning_rate: [1e-4, 1e-2, log], data.batch_size: [4, 16]}"


@pytest.fixture
def args(xray_root) -> list[str]:
    return [f"data.root={xray_root}", "data.test_per_class=3", "data.image_size=12", "trainer.max_epochs=2", *QUICK]


@pytest.fixture
def untested(monkeypatch):
    """Let whatever asks for test images fail."""

    def fail(*_: object) -> None:
        raise AssertionError("a search asked for test images")

    for name in ("test_dataloader", "predict_dataloader"):
        monkeypatch.setattr(RadiographyDataModule, name, fail)


def record(folder: Path = FOLDER) -> dict:
    return json.loads((folder / "search.json").read_text())


def losses(run: Path) -> list[str]:
    with (run / "metrics.csv").open(newline="") as lines:
        return [row["val_loss"] for row in csv.DictReader(lines) if row["val_loss"]]


@slow
@pytest.mark.usefixtures("untested")
def test_trials_are_judged_by_validation_alone(args, capsys):
    main(["search", "trials=3", SPACE, *args])
    found = record()
    assert untold_keys(found) == set()
    assert found["finished"] == found["whole"] == 3
    for trial in found["trials"]:
        run = FOLDER / f"trial_{trial['trial']}"
        assert trial["val_loss"] == min(map(float, losses(run)))
        init_args = yaml.safe_load((run / "config.yaml").read_text())
        assert init_args["model"]["init_args"]["learning_rate"] == trial["parameters"]["model.learning_rate"]
        assert init_args["data"]["init_args"]["batch_size"] == trial["parameters"]["data.batch_size"]
    assert len({json.dumps(trial["parameters"]) for trial in found["trials"]}) == 3
    assert found["best"] == min(found["trials"], key=lambda trial: trial["val_loss"])
    assert not list(RUNS.rglob("test_evaluations.csv"))
    assert not list(RUNS.rglob("predictions.csv"))
    kept = [checkpoints.parent.name for checkpoints in FOLDER.rglob("checkpoints")]
    assert kept == [f"trial_{found['best']['trial']}"]
    printed = capsys.readouterr().out
    assert "3 trials, 3 whole" in printed
    assert f"covidnet run --config {FOLDER / 'best.yaml'}" in printed


@slow
def test_the_best_configuration_trains_again_as_its_trial_did(args):
    main(["search", "trials=2", *args])
    trial = FOLDER / f"trial_{record()['best']['trial']}"
    assert yaml.safe_load((FOLDER / "best.yaml").read_text()) == yaml.safe_load((trial / "config.yaml").read_text())
    main(["--config", str(FOLDER / "best.yaml")])
    run = RUNS / "version_0"
    assert losses(run) == losses(trial)
    assert (run / "results.json").is_file()
    both = [torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True) for folder in (trial, run)]
    torch.testing.assert_close(*(content["state_dict"] for content in both), rtol=0, atol=0)


@slow
def test_the_same_command_goes_on_until_there_are_as_many_as_asked_for(args, capsys):
    main(["search", "trials=1", SPACE, *args])
    first = record()["trials"]
    main(["search", "trials=2", SPACE, *args])
    assert "1 of 2 trials are finished" in capsys.readouterr().out
    assert record()["trials"][0] == first[0]
    assert len(record()["trials"]) == 2
    main(["search", "trials=2", SPACE, *args])
    printed = capsys.readouterr().out
    assert "2 trials are finished" in printed
    assert not any(line.startswith("Trial") for line in printed.splitlines())
    main(["search", "trials=1", SPACE, *args, "model.dropout=0.1"])
    assert record(RUNS / "search_1")["finished"] == 1
    assert len(record()["trials"]) == 2


@slow
def test_a_search_may_have_a_name_and_a_storage_that_only_its_record_tells(args, tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    main(["search", "trials=1", SPACE, *args, "name=ours", f"storage={url}"])
    ours = RUNS / "search_ours"
    assert (tmp_path / "shared.db").is_file()
    assert not (ours / "search.db").exists()
    assert record(ours)["finished"] == 1
    assert record(ours)["recipe"]["storage"] == url
    told = [file.name for file in ours.rglob("*.*") if file.is_file() and b"shared.db" in file.read_bytes()]
    assert told == ["search.json"]
    another = ["search", "trials=1", *args, "name=ours", "space={model.dropout: [0.0, 0.6]}"]
    assert "holds a search of another recipe" in mistake(another, capsys)


@slow
def test_trials_that_do_badly_end_early_and_count(args, monkeypatch, capsys):
    monkeypatch.setattr(Trial, "should_prune", lambda trial: trial.number == 1)
    main(["search", "trials=2", SPACE, *args])
    good, bad = record()["trials"]
    assert (good["epochs"], bad["epochs"]) == (2, 1)
    assert bad["ended"] == "worse than the median"
    assert record()["best"] == good
    assert "2 trials, 1 whole, 1 ended early" in capsys.readouterr().out


@slow
def test_a_trial_that_diverges_is_no_end_of_the_search(args, capsys):
    main(["search", "trials=2", "space={model.learning_rate: {choices: [1e-3, 1e30]}}", *args])
    ended = {trial["parameters"]["model.learning_rate"]: trial.get("ended") for trial in record()["trials"]}
    assert ended == {1e-3: None, 1e30: "not finite"}
    assert record()["best"]["parameters"] == {"model.learning_rate": 1e-3}


@slow
def test_where_nothing_trains_to_its_end_there_is_no_best(args, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Classifier, "training_step", fail)
    main(["search", "trials=1", SPACE, *args])
    assert record()["trials"][0]["ended"] == "out of GPU memory"
    assert record()["best"] is None
    assert not (FOLDER / "best.yaml").exists()
    assert "there is no best one" in capsys.readouterr().out


@slow
def test_ctrl_c_keeps_what_is_finished_and_the_same_command_does_the_rest(args, monkeypatch, capsys):
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(model: Classifier) -> None:
        if "trial_1" in model.trainer.log_dir:
            raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Classifier, "on_train_epoch_end", interrupt)
        with pytest.raises(SystemExit) as ended:
            main(["search", "trials=3", SPACE, *args])
    signal.signal(signal.SIGINT, handler)  # which Lightning ignores after a first Ctrl-C
    assert ended.value.code == 130
    told = capsys.readouterr()
    assert "1 of 3 trials are finished and kept" in told.err
    assert "The same command goes on there" in told.err
    interrupted = next(line for line in told.out.splitlines() if line.startswith("Trial 1: "))
    assert not (FOLDER / "trial_1").exists()
    main(["search", "trials=3", SPACE, *args])
    assert interrupted.replace("Trial 1", "Trial 2") in capsys.readouterr().out
    assert record()["finished"] == 3


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (["trials=0"], "trials=0 must be 1 or more"),
        (["space={model.droput: [0.0, 0.5]}"], "Did you mean 'model.dropout'"),
        (["space={model.dropout: [0.0, 1.5]}"], "model.dropout=1.5 must be"),
        (["space={data.augment: {choices: [none, wild]}}", "trials=2"], "wild"),
        (["space={model.equalize: {choices: [true, false]}}"], "The space has 2 combinations, but trials=20"),
        (["space={model.dropout: [0.0, 0.5]}", "model.dropout=0.1"], "model.dropout=0.1 is fixed"),
        (["space=nowhere.yaml"], "space=nowhere.yaml does not exist"),
        (["name=../elsewhere"], "name=../elsewhere must be"),
        (["storage=mine"], "storage must be a URL"),
        (["storage=postgresql://me:secret@127.0.0.1:1/ours"], "storage=postgresql://me:***@127.0.0.1:1/ours"),
        (["checkpoint.monitor=train_loss"], "judges trials by their validation"),
        (["seed_everything=true"], "seed_everything=True must be a number"),
        (["ckpt_path=last"], "ckpt_path"),
        (["trainer.fast_dev_run=true"], "trainer.fast_dev_run"),
        (["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"], "storage=URL"),
        (["data.root=nowhere"], "data.root"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_searched_is_refused_and_leaves_nothing(wrong, expected, args, capsys):
    assert expected in mistake(["search", *args, *wrong], capsys)
    assert not list(RUNS.glob("search_*"))


def test_torchrun_is_refused(args, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    assert "storage=URL" in mistake(["search", *args, *two], capsys)


def test_a_storage_may_be_told_by_the_environment():
    line = expand(["search"], {"COVIDNET_SEARCH__STORAGE": "sqlite:///x.db"})
    assert line.environment == ["--storage=sqlite:///x.db"]
    assert expand(["run"], {"COVIDNET_SEARCH__STORAGE": "sqlite:///x.db"}).environment == []


def test_its_help_names_the_space_and_the_models_keys(capsys):
    with pytest.raises(SystemExit) as done:
        main(["search", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "usage: covidnet search" in text
    assert "space=" in text
    assert "model.dropout=" in text


@pytest.mark.skipif(os.name != "posix", reason="it sends SIGKILL")
@slow
def test_two_processes_killed_and_gone_on_with_do_each_trial_once(xray_root, tmp_path):
    keys = [f"data.root={xray_root}", "data.test_per_class=3", "data.image_size=12", "trainer.max_epochs=2"]
    found = kill_and_go_on(tmp_path / "runs", keys, trials=4, kill_after=1)
    assert wrong(found, 4) == []
    assert reproduce(tmp_path / "runs") == (0, found["its val_loss"])
