import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from helpers import QUICK, RUN, TRAIN, mistake, paint, read_rows, slow
from pytorch_lightning import Callback

from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.evaluation.calibration import fit_temperature
from covidnet.runs.checkpoint import Checkpoint
from covidnet.runs.predictions import read_predictions


def small_run(root: Path) -> list[str]:
    """Train a small ConvNet on painted images."""
    return [f"data.root={root}", "data.test_per_class=3", "data.image_size=12", "trainer.max_epochs=2", *QUICK]


@pytest.fixture
def args(xray_root) -> list[str]:
    return small_run(xray_root)


@pytest.fixture(scope="module")
def once(tmp_path_factory) -> Path:
    """A folder with such a run and its images, xrays."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("COVIDNET_RUN__REPORT", "false")
        main(small_run(paint(folder / "xrays")))
    return folder


@pytest.fixture
def trained(once) -> list[str]:
    """What trained the run that lies in RUN: a copy, for tests that begin with one."""
    shutil.copytree(once / "runs", "runs")
    return small_run(once / "xrays")


def read_results(run: Path) -> dict:
    return json.loads((run / "results.json").read_text())


def test_run_leaves_its_record(args):
    main([*args, "report=true"])
    files = {path.relative_to(RUN).as_posix() for path in RUN.rglob("*") if path.is_file()}
    assert files == {
        "config.yaml",
        "metrics.csv",
        "model_card.md",
        "split.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        ".lock",
        "predictions.csv",
        "val_predictions.csv",
        "report.html",
        "results.json",
        "test_evaluations.csv",
    }


def test_results_hold_both_models_and_the_counts(trained):
    results = read_results(RUN)
    expected = {"final", "best", "classes", "counts", "epochs", "best_epoch", "seconds", "versions", "test_evaluations"}
    assert set(results) == expected | {"class_by", "subgroups"}
    assert results["classes"] == ["COVID-19", "NORMAL", "Viral Pneumonia"]
    assert results["counts"]["test"] == dict.fromkeys(results["classes"], 3)
    assert results["epochs"] == 2
    assert 1 <= results["best_epoch"] <= 2
    for model in ("final", "best"):
        scores = results[model]
        assert scores["true_positives"] + scores["false_negatives"] == 9
        assert scores["true_negatives"] + scores["false_positives"] == 18
        low, high = scores["intervals"]["accuracy"]
        assert 0 <= low <= scores["accuracy"] <= high <= 1


@slow
def test_a_painted_data_set_is_learned(args):
    main([*args, "trainer.max_epochs=30", "data.batch_size=8"])
    assert read_results(RUN)["best"]["accuracy"] == 1.0


def test_predictions_are_the_best_models_on_the_test_split(trained):
    rows = read_rows(RUN / "predictions.csv")
    test = {row["path"]: row["label"] for row in read_rows(RUN / "split.csv") if row["split"] == "test"}
    assert {row["path"]: row["label"] for row in rows} == test
    correct = sum(row["label"] == row["predicted"] for row in rows) / len(rows)
    assert correct == pytest.approx(read_results(RUN)["best"]["accuracy"])
    for row in rows:
        probabilities = {name.removeprefix("prob_"): float(p) for name, p in row.items() if name.startswith("prob_")}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-6)
        assert max(probabilities, key=probabilities.get) == row["predicted"]


def test_others_can_fit_the_temperature_again(trained):
    validation = {row["path"]: row["label"] for row in read_rows(RUN / "split.csv") if row["split"] == "val"}
    said = read_predictions(RUN / "val_predictions.csv")
    assert dict(zip(said.paths, (said.classes[label] for label in said.labels), strict=True)) == validation
    again = fit_temperature(np.log(said.probabilities), said.labels)
    assert again == pytest.approx(read_results(RUN)["best"]["calibrated"]["temperature"], rel=1e-4)


def test_a_checkpoint_is_enough_for_the_same_numbers(trained):
    main(["test", f"ckpt_path={RUN / 'checkpoints' / 'best.ckpt'}", *QUICK])
    again = read_results(RUN.with_name("version_1"))
    assert again["test"] == read_results(RUN)["best"]


def test_each_look_at_the_test_split_is_counted_where_the_model_was_trained(trained):
    assert read_results(RUN)["test_evaluations"] == 2  # the final and the best model
    main(["test", f"ckpt_path={RUN / 'checkpoints' / 'best.ckpt'}", *QUICK])
    assert read_results(RUN.with_name("version_1"))["test_evaluations"] == 3
    assert [row["what"] for row in read_rows(RUN / "test_evaluations.csv")] == ["final", "best", "test"]


def test_what_is_fitted_on_validation_is_in_the_best_checkpoint_as_plain_types(trained):
    calibration = torch.load(RUN / "checkpoints" / "best.ckpt", weights_only=True)["covidnet"]["calibration"]
    best = read_results(RUN)["best"]
    assert type(calibration["temperature"]) is float
    assert calibration["temperature"] == best["calibrated"]["temperature"]
    for name, point in best["thresholds"].items():
        assert calibration["thresholds"][name] == point["threshold"]
    for name, sets in best["prediction_sets"]["per_class"].items():
        assert calibration["conformal"]["least"][name] == sets["least"] == 0  # of two validation images


@slow
def test_what_is_fitted_survives_a_test_and_is_fitted_anew_when_training_goes_on(trained):
    best = RUN / "checkpoints" / "best.ckpt"
    first = Checkpoint(best).recipe
    main(["test", f"ckpt_path={best}", *QUICK])
    assert Checkpoint(best).recipe["novelty"]["limits"] == first["novelty"]["limits"]
    main(["run", f"ckpt_path={RUN / 'checkpoints' / 'last.ckpt'}", "trainer.max_epochs=4", *QUICK])
    again = Checkpoint(best).recipe
    assert again["calibration"].keys() == first["calibration"].keys()
    assert len(again["novelty"]["looks"]) == 21


def test_a_checkpoint_of_an_older_version_is_tested_all_the_same(trained):
    best = RUN / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    del content["covidnet"]["novelty"], content["covidnet"]["calibration"]["conformal"]
    torch.save(content, best)
    main(["test", f"ckpt_path={best}", *QUICK])
    test, expected = read_results(RUN.with_name("version_1"))["test"], read_results(RUN)["best"]
    assert test == {key: value for key, value in expected.items() if key != "prediction_sets"}


def test_images_and_not_their_served_features_tell_how_they_look_to_a_frozen_backbone(args):
    name = "test_resnet.r160_in1k"
    frozen = [f"model.backbone={name}", "model.pretrained=false", "model.freeze_backbone=true", "data.image_size=32"]
    cli = main([*args, "model=inception", *frozen])
    state = Checkpoint(Path(cli.trainer.checkpoint_callback.best_model_path)).recipe["novelty"]
    assert state["looks"].shape == (21, 257)
    assert state["network"].shape[1] == cli.model.backbone.num_features


def test_predict_writes_the_same_predictions(trained):
    assert tools(["predict", str(RUN), "--out", "again.csv"]) == 0
    again = read_rows(Path("again.csv"))
    for row, kept in zip(again, read_rows(RUN / "predictions.csv"), strict=True):
        assert {key: row[key] for key in ("path", "label", "predicted")} == {
            key: kept[key] for key in ("path", "label", "predicted")
        }
        for key in kept.keys() - {"path", "label", "predicted"}:
            assert float(row[key]) == pytest.approx(float(kept[key]), abs=1e-6)


def test_validate_of_the_best_checkpoint_gives_its_val_loss(trained):
    best = min(float(row["val_loss"]) for row in read_rows(RUN / "metrics.csv") if row["val_loss"])
    again = main(["validate", f"ckpt_path={RUN / 'checkpoints' / 'best.ckpt'}", *QUICK])
    assert float(again.trainer.callback_metrics["val_loss"]) == pytest.approx(best, rel=1e-6)


def test_a_checkpoint_loads_without_running_code_and_holds_its_classes(args):
    main([*args, "data.classes=[NORMAL, COVID-19]"])
    checkpoint = torch.load(RUN / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["covidnet"]["classes"] == ["NORMAL", "COVID-19"]
    main(["test", f"ckpt_path={RUN / 'checkpoints' / 'best.ckpt'}", *QUICK])
    assert list(read_results(RUN.with_name("version_1"))["test"]["per_class"]) == ["NORMAL", "COVID-19"]


def test_a_checkpoint_needs_neither_the_hub_nor_the_weights_it_began_from(args):
    name = "test_resnet.r160_in1k"
    torch.save(timm.create_model(name, num_classes=0).state_dict(), "weights.pth")
    main([*args, "model=inception", f"model.backbone={name}", "model.weights=weights.pth", "data.image_size=64"])
    Path("weights.pth").unlink()
    main(["test", "model=inception", "ckpt_path=last", *QUICK])
    final, again = Path("runs", "inception", "version_0"), Path("runs", "inception", "version_1")
    scores = read_results(final)["final"]
    fitted = ("calibrated", "thresholds", "prediction_sets", "use")  # of last.ckpt nothing is fitted
    found = read_results(again)["test"]
    assert {key: found[key] for key in found if key != "use"} == {
        key: scores[key] for key in scores if key not in fitted
    }


def test_the_test_split_does_not_move_when_the_folder_grows(args, xray_root):
    main(args)
    source = next((xray_root / "NORMAL").iterdir())
    for number in range(100, 120):
        (xray_root / "NORMAL" / f"{number}.png").write_bytes(source.read_bytes())
    with pytest.warns(UserWarning, match="20 images are not in .*split.csv"):
        main(["test", f"ckpt_path={RUN / 'checkpoints' / 'best.ckpt'}", *QUICK])
    assert read_results(RUN.with_name("version_1"))["test"] == read_results(RUN)["best"]


@slow
def test_the_same_command_twice_gives_the_same_weights(args):
    weights = [main(args).model.state_dict() for _ in range(2)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@slow
def test_another_seed_gives_other_weights_on_the_same_split(trained):
    main([*trained, "seed_everything=1"])
    first, second = RUN, RUN.with_name("version_1")
    assert (first / "split.csv").read_bytes() == (second / "split.csv").read_bytes()
    assert (first / "predictions.csv").read_bytes() != (second / "predictions.csv").read_bytes()


class Terminator(Callback):
    """Send this process a SIGTERM in the middle of the second epoch, as a cloud does that takes a machine back."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_terminated_run_is_no_success_and_goes_on_where_it_was(args, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*args, 'trainer.callbacks=[{"class_path": "test_interface.Terminator"}]'])
    assert ended.value.code == 143
    assert "ckpt_path=auto goes on" in capsys.readouterr().err
    assert not (RUN / "results.json").exists()
    main([*args, "ckpt_path=last"])
    assert read_results(RUN)["epochs"] == 2


def test_last_goes_on_in_its_own_run_directory(trained):
    before = read_rows(RUN / "metrics.csv")
    cli = main([*trained, "ckpt_path=last", "trainer.max_epochs=3"])
    assert cli.trainer.current_epoch == 3
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]
    after = read_rows(RUN / "metrics.csv")
    epochs = [row for row in before if row["train_loss"] or row["val_loss"]]  # not the tests that ended the run
    assert len(epochs) == 4
    assert after[:4] == epochs
    assert read_results(RUN)["epochs"] == 3


@slow
def test_config_yaml_repeats_the_run(trained):
    main(["--config", str(RUN / "config.yaml")])
    assert (RUN.with_name("version_1") / "predictions.csv").read_bytes() == (RUN / "predictions.csv").read_bytes()


def test_tensorboard_writes_beside_metrics(args):
    main(["fit", *args, "tensorboard=true"])
    assert list(RUN.glob("events.out.tfevents.*"))
    assert (RUN / "metrics.csv").is_file()


def test_environment_sets_any_key(args, monkeypatch):
    monkeypatch.setenv("COVIDNET_MODEL__DROPOUT", "0.25")
    monkeypatch.setenv("COVIDNET_EARLY_STOPPING__PATIENCE", "7")
    main(["fit", *args])
    config = yaml.safe_load((RUN / "config.yaml").read_text())
    assert config["model"]["init_args"]["dropout"] == 0.25
    assert config["early_stopping"]["patience"] == 7


def test_early_stopping_counts_from_the_tutorials_patience(args):
    cli = main(["fit", *args, "trainer.max_epochs=50", "early_stopping.min_delta=1e6"])
    assert cli.trainer.current_epoch == 6  # the first is the best, five more do not improve


def test_fast_dev_run_leaves_no_files(args):
    main([*args, "trainer.fast_dev_run=true"])
    assert not RUN.exists() or not any(RUN.iterdir())


def test_a_schedule_that_knows_no_end_is_refused(args, capsys):
    assert "trainer.max_epochs" in mistake(["fit", *args, "model.schedule=cosine", "trainer.max_epochs=-1"], capsys)


def test_a_resumed_run_keeps_the_end_and_the_schedule_that_it_had(args):
    main(["fit", *args, "recipe=robust", "trainer.max_epochs=3", "early_stopping.patience=7"])
    again = main(["fit", "ckpt_path=last", *QUICK])
    config = again.config_init["fit"]
    assert (config.trainer.max_epochs, config.early_stopping.patience) == (3, 7)
    assert again.trainer.current_epoch == 3
    assert again.model.schedule == "cosine"


@slow
def test_a_checkpoint_of_another_recipe_is_refused_and_of_the_same_accepted(args, capsys):
    main(["fit", *args, "recipe=robust"])
    assert "recipe=tutorial does not go with this checkpoint" in mistake(
        ["fit", *args, "recipe=tutorial", "ckpt_path=last"], capsys
    )
    main(["fit", *args, "recipe=robust", "ckpt_path=last"])
    main(
        [
            "test",
            *args,
            "recipe=robust",
            f"ckpt_path={RUN / 'checkpoints' / 'best.ckpt'}",
            "model.average_mirrored=true",
        ]
    )


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (["model=incption"], "model=incption: there is no"),
        (["model.learning_rat=1e-3"], "Unknown key 'model.learning_rat'. Did you mean 'model.learning_rate'?"),
        (["data.imagesize=3"], "Unknown key 'data.imagesize'. Did you mean 'data.image_size'?"),
        (["trainer.max_epoch=3"], "Unknown key 'trainer.max_epoch'. Did you mean 'trainer.max_epochs'?"),
        (["early_stoping.patience=3"], "Unknown key 'early_stoping.patience'"),
        (["trainer.max_epochs=five"], "trainer.max_epochs=five is not accepted: expected a whole number"),
        (["model.dropout=much"], "model.dropout=much is not accepted: expected a number"),
        (["data.interpolation=cubic"], "data.interpolation=cubic is not accepted: expected one of"),
        (["data.body_part=foot"], "data.body_part=foot is not accepted: expected one of"),
        (["data.augment=null"], "data.augment=null is no value of this key"),
        (["model.learning_rate=null"], "model.learning_rate=null is no value"),
        (["data.classes="], "data.classes= is not accepted: expected list"),
        (["data.val_fraction=2"], "data.val_fraction=2.0 must be"),
        (["model.dropout=1"], "model.dropout=1.0 must be"),
        (["data.test_per_class=40"], "data.test_per_class (now 40)"),
        (["data.test_per_class=0"], "data.test_per_class=0 or data.split_file leaves no images"),
        (["data.classes=[NORMAL, Covid]"], "data.classes names ['NORMAL', 'Covid']"),
        (["data.root=nowhere"], "data.root"),
        (["data.metadata=nothing.csv"], "data.metadata"),
        (["data.split_file=nothing.csv"], "data.split_file"),
        (["test"], "ckpt_path"),
        (["validate", "ckpt_path=nothing.ckpt"], "ckpt_path=nothing.ckpt does not exist"),
        (["validate", "ckpt_path=last"], "ckpt_path=last: there is no"),
        (["--config=nothing.yaml"], "nothing.yaml"),
        (["checkpoint.monitor=null"], "checkpoint.monitor=null is not measured"),
        (["early_stopping.monitor=null"], "early_stopping.monitor=null is not measured"),
        (["checkpoint.monitor=val_accuracy"], "checkpoint.mode=max"),
        (["trainer.accelerator=abacus"], "trainer"),
        (["frobnicate"], "neither a command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_names_the_key_to_change(wrong, expected, args, capsys):
    assert expected in mistake([*args, *wrong], capsys)
    assert not Path("runs").exists() or not any(RUN.parent.iterdir())


def test_a_text_file_is_no_checkpoint(args, capsys):
    Path("text.ckpt").write_text("not a checkpoint")
    assert "ckpt_path=text.ckpt cannot be read" in mistake(["test", "ckpt_path=text.ckpt"], capsys)


def test_a_checkpoint_of_another_program_is_refused(args, capsys):
    torch.save({"state_dict": {}}, "other.ckpt")
    assert "of another program" in mistake(["test", "ckpt_path=other.ckpt"], capsys)


@pytest.mark.parametrize("change", ["model.learning_rate=0.5", "data.image_size=20", "data.seed=1", "model=inception"])
def test_what_a_checkpoint_fixes_cannot_be_changed_in_silence(change, trained, capsys):
    checkpoint = RUN / "checkpoints" / "last.ckpt"
    key = change.split("=")[0]
    assert key in mistake(["fit", *trained, f"ckpt_path={checkpoint}", change], capsys)


@pytest.mark.parametrize("variable", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_copies_that_torchrun_or_srun_started_are_refused_without_ddp(variable, args, capsys, monkeypatch):
    monkeypatch.setenv(variable, "4")
    message = mistake(args, capsys)
    assert f"{variable}=4" in message
    assert "trainer=ddp" in message


def test_unreadable_images_are_all_listed_before_training(args, xray_root, capsys):
    (xray_root / "NORMAL" / "empty.png").touch()
    (xray_root / "COVID-19" / "page.png").write_text("<html>")
    with pytest.raises(SystemExit) as done:
        main(args)
    message = capsys.readouterr().err
    assert done.value.code == 2
    assert "NORMAL/empty.png: is empty" in message
    assert "COVID-19/page.png: is a web page" in message
    assert "data.on_error=skip" in message


def test_the_whole_help_of_a_command_has_lightnings_keys_too(capsys):
    with pytest.raises(SystemExit) as done:
        main(["run", "model=inception", "help=all"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "--model.freeze_backbone" in text
    assert "--data.test_per_class" in text
    assert "--trainer.max_epochs" in text


def test_the_script_ends_with_code_2_and_one_message(tmp_path):
    done = subprocess.run(
        [sys.executable, str(TRAIN), "data.root=nowhere"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: nowhere does not exist")
