"""Several seeds: each is the run it would be alone, nothing finished is lost, and the table is right."""

import json
import signal
from pathlib import Path

import pytest
from filelock import FileLock
from helpers import QUICK, mistake, read_json, slow, untold_keys

from covidnet.commands.train import main
from covidnet.models.classifier import Classifier
from covidnet.series import repeat
from covidnet.series.base import SeriesRun
from covidnet.series.repeat import summarise
from covidnet.training.args import CommandLine

RUNS = Path("runs", "convnet")


@pytest.fixture
def args(xray_root) -> list[str]:
    shape = ["data.test_per_class=3", "data.image_size=12", "trainer.max_epochs=1"]
    return [f"data.root={xray_root}", *shape, "report=false", *QUICK]


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Let seeds leave made-up results, at once; return those that were asked for, in their order."""
    seeds = []

    def leave(line: CommandLine, afterwards, run: Path, command: str) -> None:
        run.mkdir()
        seeds.append(f"{run.parent.name}/{run.name}")
        seed = int(line.typed_keys()["seed_everything"])
        scores = {"accuracy": seed / 10, "per_class": {"NORMAL": {"sensitivity": 0.5, "support": 3}}}
        (run / "results.json").write_text(json.dumps({"final": scores, "best": scores}))
        (run / "split.csv").write_text("path,label,split\n")

    monkeypatch.setattr(repeat, "SeriesRun", leave)
    return seeds


@slow
def test_each_seed_is_the_run_that_it_is_alone_and_the_record_holds_them_all(args, capsys):
    main(["repeat", "seeds=[0,3]", *args])
    printed = capsys.readouterr().out
    assert "balanced accuracy" in printed
    record = read_json(RUNS / "repeat_0" / "repeat.json")
    assert untold_keys(record) == set()
    assert record["seeds"] == [0, 3]
    assert record["runs"] == ["seed_0", "seed_3"]
    results = [read_json(RUNS / "repeat_0" / run / "results.json") for run in record["runs"]]
    for model in ("final", "best"):
        assert record[model]["loss"]["values"] == [result[model]["loss"] for result in results]
        sensitivity = record[model]["per_class"]["NORMAL"]["sensitivity"]
        assert sensitivity["values"] == [result[model]["per_class"]["NORMAL"]["sensitivity"] for result in results]
    main([*args, "seed_everything=3"])
    alone = RUNS / "version_0"
    for name in ("predictions.csv", "split.csv"):
        assert (RUNS / "repeat_0" / "seed_3" / name).read_bytes() == (alone / name).read_bytes()
    predictions = [(RUNS / "repeat_0" / run / "predictions.csv").read_bytes() for run in record["runs"]]
    assert predictions[0] != predictions[1]


@slow
def test_more_seeds_are_added_to_those_there_are(args, trained):
    main(["repeat", "seeds=2", *args])
    main(["repeat", *args, "seeds=4"])
    assert trained == ["repeat_0/seed_0", "repeat_0/seed_1", "repeat_0/seed_2", "repeat_0/seed_3"]
    assert read_json(RUNS / "repeat_0" / "repeat.json")["best"]["accuracy"]["values"] == [0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize(("change", "seeds"), [([], "seeds=2"), (["model.dropout=0.1"], "seeds=3")])
@slow
def test_a_finished_repeat_or_another_recipe_begins_anew(change, seeds, args, trained):
    main(["repeat", "seeds=2", *args])
    main(["repeat", seeds, *args, *change])
    assert trained[2:4] == ["repeat_1/seed_0", "repeat_1/seed_1"]


@slow
def test_a_repeat_under_way_is_left_alone(args, trained):
    main(["repeat", "seeds=2", *args])
    with FileLock(RUNS / "repeat_0" / "repeat.lock"):
        main(["repeat", "seeds=3", *args])
    assert trained[2:] == ["repeat_1/seed_0", "repeat_1/seed_1", "repeat_1/seed_2"]


@slow
def test_images_that_changed_between_the_seeds_are_told(args, trained, capsys):
    main(["repeat", "seeds=2", *args])
    (RUNS / "repeat_0" / "seed_0" / "split.csv").write_text("path,label,split\nNORMAL/1.png,NORMAL,test\n")
    main(["repeat", "seeds=3", *args])
    assert "their splits differ" in capsys.readouterr().out
    assert "their splits differ" in read_json(RUNS / "repeat_0" / "repeat.json")["warning"]


@slow
@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_repeat_goes_on_with_the_seed_that_was_not_finished(failure, args, trained, monkeypatch, capsys):
    pretend = repeat.SeriesRun

    def break_in_seed_1(line: CommandLine, afterwards, run: Path, command: str) -> object:
        return (pretend if run.name == "seed_0" else SeriesRun)(line, afterwards, run, command)

    def fail(*_: object) -> None:
        raise failure

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as broken:
        broken.setattr(repeat, "SeriesRun", break_in_seed_1)
        broken.setattr(Classifier, "on_train_epoch_end", fail)
        with pytest.raises((SystemExit, RuntimeError)):
            main(["repeat", "seeds=3", *args])
    signal.signal(signal.SIGINT, handler)  # which Lightning ignores after a first Ctrl-C
    assert "1 of 3 seeds are finished" in capsys.readouterr().err
    assert (RUNS / "repeat_0" / "seed_1" / "config.yaml").is_file()  # what it had begun
    main(["repeat", "seeds=3", *args])
    assert trained == ["repeat_0/seed_0", "repeat_0/seed_1", "repeat_0/seed_2"]
    assert not (RUNS / "repeat_0" / "seed_1" / "config.yaml").exists()


@slow
def test_a_seed_that_was_interrupted_goes_on_from_its_last_whole_epoch(args, monkeypatch):
    args = [*args, "trainer.max_epochs=3"]
    trained = []

    def fail(self: Classifier) -> None:
        trained.append(self.trainer.current_epoch)
        if len(trained) == 5:
            raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(Classifier, "on_train_epoch_start", fail)
        with pytest.raises(RuntimeError):
            main(["repeat", "seeds=2", *args])
        main(["repeat", "seeds=2", *args])
    assert trained == [0, 1, 2, 0, 1, 1, 2]
    main(["run", *args, "seed_everything=1"])
    again, alone = RUNS / "repeat_0" / "seed_1", RUNS / "version_0"
    assert (again / "predictions.csv").read_bytes() == (alone / "predictions.csv").read_bytes()
    assert (again / "metrics.csv").read_bytes() == (alone / "metrics.csv").read_bytes()
    assert {path.name for path in RUNS.iterdir()} == {"repeat_0", "version_0"}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (["seeds=1"], "seeds=1 must be"),
        (["seeds=[3,3]"], "different ones"),
        (["seeds=[-1,3]"], "between 0 and"),
        (["seeds=five"], "seeds=five is not accepted"),
        (["seed_everything=3"], "seeds=[3,5,8]"),
        (["ckpt_path=last"], "ckpt_path"),
        (["trainer.fast_dev_run=true"], "trainer.fast_dev_run"),
        (["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"], "repeat trains in one process"),
        (["data.root=nowhere"], "data.root"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_repeated_is_refused_and_leaves_nothing(wrong, expected, args, capsys):
    assert expected in mistake(["repeat", *args, *wrong], capsys)
    assert not RUNS.exists() or not any(RUNS.iterdir())


def test_torchrun_is_refused(args, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    assert "repeat trains in one process" in mistake(["repeat", *args, *two], capsys)


def test_seeds_belong_to_repeat(args, capsys):
    assert "Unknown key 'seeds'" in mistake(["run", "seeds=2", *args], capsys)


def test_its_help_names_the_seeds_and_the_models_keys(capsys):
    with pytest.raises(SystemExit) as done:
        main(["repeat", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "usage: covidnet repeat" in text
    assert "seeds=5" in text
    assert "model.dropout=" in text


def test_a_spread_is_mean_sd_and_range_of_what_is_known():
    results = [
        {"final": {"accuracy": value, "per_class": {"A": {"ppv": ppv, "npv": None, "support": 4}}, "intervals": {}}}
        for value, ppv in [(0.5, None), (0.7, 0.2), (0.9, 0.4)]
    ]
    spread = summarise(results)["final"]
    assert spread["accuracy"] == {
        "mean": pytest.approx(0.7),
        "sd": pytest.approx(0.2),  # of a sample: divided by n - 1
        "min": 0.5,
        "max": 0.9,
        "values": [0.5, 0.7, 0.9],
    }
    assert spread["per_class"] == {
        "A": {"ppv": {"mean": pytest.approx(0.3), "sd": pytest.approx(0.02**0.5), "min": 0.2, "max": 0.4}
              | {"values": [None, 0.2, 0.4]}}
    }  # fmt: skip
    assert "intervals" not in spread


def test_a_model_that_not_every_seed_has_is_left_out():
    scores = {"accuracy": 0.5}
    assert set(summarise([{"final": scores, "best": scores}, {"final": scores}])) == {"final"}
