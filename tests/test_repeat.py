"""Several seeds: each is the run it would be alone, nothing finished is lost, and the table is right."""

import json
from pathlib import Path

import pytest
from filelock import FileLock

from covidnet import repeat
from covidnet.cli import main
from covidnet.repeat import summarise

QUICK = ["trainer=cpu", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false"]
RUNS = Path("runs", "convnet")


@pytest.fixture
def args(xray_root) -> list[str]:
    return [f"data.root={xray_root}", "data.test_per_class=3", "data.image_size=12", "trainer.max_epochs=1", *QUICK]


def read(file: Path) -> dict:
    return json.loads(file.read_text())


def ages(folder: Path) -> dict[str, int]:
    """Return when each seed's results were written."""
    return {file.parent.name: file.stat().st_mtime_ns for file in folder.glob("seed_*/results.json")}


def mistake(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as done:
        main(args)
    assert done.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_each_seed_is_the_run_that_it_is_alone(args):
    main(["repeat", "seeds=2", *args])
    main([*args, "seed_everything=1"])
    assert {path.name for path in (RUNS / "repeat_0").iterdir()} >= {"seed_0", "seed_1", "repeat.json"}
    for name in ("predictions.csv", "split.csv"):
        assert (RUNS / "repeat_0" / "seed_1" / name).read_bytes() == (RUNS / "version_0" / name).read_bytes()
    assert (RUNS / "repeat_0" / "seed_0" / "predictions.csv").read_bytes() != (
        RUNS / "version_0" / "predictions.csv"
    ).read_bytes()


def test_the_record_holds_the_spread_of_each_metric_and_the_runs(args, capsys):
    main(["repeat", "seeds=[3,5]", *args])
    record = read(RUNS / "repeat_0" / "repeat.json")
    assert record["seeds"] == [3, 5]
    assert record["runs"] == ["seed_3", "seed_5"]
    results = [read(RUNS / "repeat_0" / run / "results.json") for run in record["runs"]]
    for model in ("final", "best"):
        values = [result[model]["accuracy"] for result in results]
        assert record[model]["accuracy"]["values"] == values
        assert record[model]["accuracy"]["mean"] == pytest.approx(sum(values) / 2)
        sensitivity = record[model]["per_class"]["NORMAL"]["sensitivity"]
        assert sensitivity["values"] == [result[model]["per_class"]["NORMAL"]["sensitivity"] for result in results]
    printed = capsys.readouterr().out
    assert "balanced accuracy" in printed
    assert "Viral Pneumonia" in printed


def test_more_seeds_are_added_to_those_there_are(args):
    main(["repeat", "seeds=2", *args])
    before = ages(RUNS / "repeat_0")
    main(["repeat", *args, "seeds=3"])
    after = ages(RUNS / "repeat_0")
    assert after.keys() - before.keys() == {"seed_2"}
    assert before.items() <= after.items()
    assert not (RUNS / "repeat_1").exists()


@pytest.mark.parametrize(("change", "seeds"), [([], "seeds=2"), (["model.dropout=0.1"], "seeds=3")])
def test_a_finished_repeat_or_another_recipe_begins_anew(change, seeds, args):
    main(["repeat", "seeds=2", *args])
    before = ages(RUNS / "repeat_0")
    main(["repeat", seeds, *args, *change])
    assert ages(RUNS / "repeat_0") == before
    assert (RUNS / "repeat_1" / "repeat.json").is_file()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_repeat_goes_on_with_the_seed_that_was_not_finished(failure, args, monkeypatch, capsys):
    def fail(*_):
        raise failure

    folder = RUNS / "repeat_0"
    with monkeypatch.context() as broken:
        spoil = {"seed_1": "on_train_epoch_end"}

        def run(line, folder, seed, whole=repeat._SeedRun):
            if f"seed_{seed}" in spoil:
                broken.setattr("covidnet.models.classifier.Classifier.on_train_epoch_end", fail)
            return whole(line, folder, seed)

        broken.setattr(repeat, "_SeedRun", run)
        with pytest.raises((SystemExit, RuntimeError)):
            main(["repeat", "seeds=3", *args])
    assert "1 of 3 seeds are finished" in capsys.readouterr().err
    before = ages(folder)
    assert set(before) == {"seed_0"}
    main(["repeat", "seeds=3", *args])
    assert before.items() <= ages(folder).items()
    assert read(folder / "repeat.json")["final"]["accuracy"]["values"]
    assert len(ages(folder)) == 3


def test_a_repeat_under_way_is_left_alone(args):
    main(["repeat", "seeds=2", *args])
    with FileLock(RUNS / "repeat_0" / "repeat.lock"):
        main(["repeat", "seeds=3", *args])
    assert not (RUNS / "repeat_0" / "seed_2").exists()
    assert len(ages(RUNS / "repeat_1")) == 3


def test_images_that_changed_between_the_seeds_are_told(args, xray_root, capsys):
    main(["repeat", "seeds=2", *args])
    (xray_root / "NORMAL" / "new.png").write_bytes(next((xray_root / "NORMAL").iterdir()).read_bytes())
    main(["repeat", "seeds=3", *args])
    assert "their splits differ" in capsys.readouterr().out
    assert "their splits differ" in read(RUNS / "repeat_0" / "repeat.json")["warning"]


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
    assert "python train.py repeat" in text
    assert "--seeds" in text
    assert "--model.dropout" in text


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
