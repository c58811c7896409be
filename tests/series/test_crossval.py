"""Each image tested once: folds are ordinary runs, what they say is pooled, and nothing finished is lost."""

import contextlib
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import QUICK, mistake, paint, read_json, read_rows, slow, untold_keys

from covidnet.commands.train import main
from covidnet.models.classifier import Classifier
from covidnet.runs.predictions import read_predictions
from covidnet.series import crossval, folds
from covidnet.training.args import CommandLine

RUNS = Path("runs", "convnet")
CLASSES = ("COVID-19", "NORMAL", "Viral Pneumonia")
FIRST = RUNS / "crossval_0"


@pytest.fixture
def root(tmp_path) -> Path:
    """Twelve images a class; images 1 and 2, 3 and 4, ... of each are of one patient."""
    root = paint(tmp_path / "xrays")
    rows = [[f"{name}/{name} ({n}).png", f"{name} {(n + 1) // 2}"] for name in CLASSES for n in range(1, 13)]
    with (root / "metadata.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([["path", "patient"], *rows])
    return root


@pytest.fixture
def args(root) -> list[str]:
    (root.parent / "three.yaml").write_text("k: 3\n")  # which a run does not know
    three = f"--config={root.parent / 'three.yaml'}"
    return [f"data.root={root}", "data.image_size=12", "trainer.max_epochs=1", "report=false", three, *QUICK]


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Let folds leave made-up results, at once; return those that were asked for, in their order."""
    done = []

    def leave(line: CommandLine, afterwards, run: Path, command: str, write) -> None:
        run.mkdir()
        done.append(f"{run.parent.name}/{run.name}")
        write(run / "split.csv")
        test = [row for row in read_rows(run / "split.csv") if row["split"] == "test"]
        sure = 0.5 + 0.1 * int(line.typed_keys().get("seed_everything", 2))
        told = [[sure if row["label"] == name else (1 - sure) / 2 for name in CLASSES] for row in test]
        rows = [[row["path"], row["label"], row["label"], *p] for row, p in zip(test, told, strict=True)]
        with (run / "predictions.csv").open("w", newline="") as lines:
            head = ["path", "label", "predicted", *(f"prob_{name}" for name in CLASSES)]
            csv.writer(lines).writerows([head, *rows])
        support = {name: {"support": sum(row["label"] == name for row in test)} for name in CLASSES}
        scores = {"accuracy": 1.0, "intervals": {"accuracy": [0.5, 1.0]}, "per_class": support}
        (run / "results.json").write_text(json.dumps({"final": scores, "best": scores, "classes": CLASSES}))

    monkeypatch.setattr(folds, "FoldRun", leave)
    return done


def same(one, two) -> None:
    """Compare nested results, whose probabilities were once written in nine digits."""
    if isinstance(two, dict):
        assert one.keys() == two.keys()
        for key in two:
            if key not in ("weighted_loss", "temperature", "threshold", "least"):  # of which each run has its own
                same(one[key], two[key])
    elif isinstance(two, list):
        np.testing.assert_allclose(np.array(one, dtype=float), np.array(two, dtype=float), atol=1e-5)
    else:
        assert one == pytest.approx(two, abs=1e-5)


@slow
def test_a_fold_is_an_ordinary_run_and_alone_it_is_the_whole(args, root, capsys):
    main(["crossval", *args, "folds=[2]"])
    run = FIRST / "fold_2"
    results, record = read_json(run / "results.json"), read_json(FIRST / "crossval.json")
    same(record["pooled"], results["best"])
    assert record["per_fold"][0]["accuracy"] == results["best"]["accuracy"]
    (own,) = [row for row in record["per_fold"] if row["run"] == "fold_2"]
    assert own["intervals"]["loss"] == results["best"]["intervals"]["loss"]
    fold = {row["path"]: row["fold"] for row in read_rows(FIRST / "folds.csv")}
    split = {row["path"]: row["split"] for row in read_rows(run / "split.csv")}
    assert split.keys() == fold.keys()
    assert {path for path, side in split.items() if side == "test"} == {p for p, n in fold.items() if n == "2"}
    of_run = {row["path"]: row for row in read_rows(run / "predictions.csv")}
    rows = {row["path"]: row for row in read_rows(FIRST / "predictions.csv")}
    assert rows == {path: {**row, "fold": "2"} for path, row in of_run.items()}
    for name in ("val_predictions.csv", "checkpoints/best.ckpt", "config.yaml"):
        assert (run / name).is_file()
    assert "Of 3 folds 2 were run" in capsys.readouterr().out


@slow
def test_a_fold_that_was_interrupted_goes_on_from_its_last_whole_epoch(args, monkeypatch):
    epochs = []

    def fail(self: Classifier) -> None:
        epochs.append(self.trainer.current_epoch)
        if len(epochs) == 2:
            raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(Classifier, "on_train_epoch_start", fail)
        for _ in range(2):
            with contextlib.suppress(RuntimeError):
                main(["crossval", *args, "folds=[1]", "trainer.max_epochs=2"])
    assert epochs == [0, 1, 1]
    assert read_json(FIRST / "crossval.json")["runs"] == ["fold_1"]


def test_each_image_is_predicted_once_by_a_run_that_no_image_of_its_patient_trained(args, root, trained, capsys):
    main(["crossval", *args])
    printed = capsys.readouterr().out
    assert trained == ["crossval_0/fold_1", "crossval_0/fold_2", "crossval_0/fold_3"]
    record = read_json(FIRST / "crossval.json")
    assert untold_keys(record) == set()
    assert (record["folds"], record["k"], record["seeds"]) == ([1, 2, 3], 3, [28])
    assert record["runs"] == ["fold_1", "fold_2", "fold_3"]
    rows = read_rows(FIRST / "predictions.csv")
    table = read_rows(FIRST / "folds.csv")
    assert [(row["path"], row["label"], row["fold"]) for row in rows] == [tuple(row.values()) for row in table]
    patient = {row["path"]: row["patient"] for row in read_rows(root / "metadata.csv")}
    assert {row["path"] for row in table} == patient.keys()
    for number in "123":
        tested = {patient[row["path"]] for row in table if row["fold"] == number}
        assert not tested & {patient[row["path"]] for row in table if row["fold"] != number}
        split = read_rows(FIRST / f"fold_{number}" / "split.csv")
        assert not {patient[row["path"]] for row in split if row["split"] == "val"} & {
            patient[row["path"]] for row in split if row["split"] != "val"
        }
    assert [row["images"] for row in record["per_fold"]] == [12, 12, 12]
    pooled = record["pooled"]
    assert (pooled["accuracy"], pooled["per_class"]["NORMAL"]["support"]) == (1.0, 12)
    assert pooled["intervals"]["accuracy"][0] < 0.9  # of 18 patients, not of 36 images
    assert pooled["use"].keys() == set(CLASSES)
    told = [record["meaning"], *record["notes"]]
    assert any("data.test_per_class=40 is not used" in note for note in told)
    assert all(note in printed for note in told)
    assert "all together" in printed


@slow
def test_seeds_are_runs_of_their_own_whose_mean_is_what_the_image_gets(args, trained):
    main(["crossval", *args, "seeds=[1,3]", "folds=[1,3]"])
    assert trained == [f"crossval_0/fold_{fold}_seed_{seed}" for fold in (1, 3) for seed in (1, 3)]
    record = read_json(FIRST / "crossval.json")
    assert record["seeds"] == [1, 3]
    assert [(row["fold"], row["seed"], row["run"]) for row in record["per_fold"]][1] == (1, 3, "fold_1_seed_3")
    out = read_predictions(FIRST / "predictions.csv")
    assert len(set(out.paths)) == len(out.paths) == 24
    np.testing.assert_allclose(out.probabilities.max(axis=1), 0.7)
    assert any("2 seeds" in note for note in record["notes"])
    assert "seed_everything" not in record["recipe"]


@slow
def test_finished_folds_are_kept_others_added_and_a_lost_table_is_written_anew(args, trained, monkeypatch):
    main(["crossval", *args, "folds=[2]"])
    with monkeypatch.context() as broken:
        broken.setattr(crossval, "pooled_scores", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises((SystemExit, KeyboardInterrupt)):
            main(["crossval", *args])
    assert read_json(FIRST / "crossval.json")["runs"] == ["fold_2"]
    main(["crossval", *args])  # all runs are there, but not what they say together
    assert trained == ["crossval_0/fold_2", "crossval_0/fold_1", "crossval_0/fold_3"]
    assert read_json(FIRST / "crossval.json")["folds"] == [1, 2, 3]
    main(["crossval", *args, "folds=[1]"])
    main(["crossval", *args, "data.seed=3", "folds=[1]"])
    assert trained[3:] == ["crossval_1/fold_1", "crossval_2/fold_1"]


@slow
def test_a_test_root_is_in_no_fold(args, root, trained, capsys):
    apart = paint(root.parent / "xrays Test", per_class=3)
    main(["crossval", *args])
    record = read_json(FIRST / "crossval.json")
    assert record["recipe"]["test_root"] == str(apart)
    assert len(read_rows(FIRST / "folds.csv")) == record["images"] == 36
    assert not any(row["path"].startswith("test:") for row in read_rows(FIRST / "fold_1" / "split.csv"))
    told = "\n".join(record["notes"])
    assert "The 9 images of" in told
    assert "images in the folds are of the same patients or groups as test images" in told  # they are painted alike


def test_a_test_that_the_data_give_is_in_no_fold(args, root, trained, tmp_path):
    for side, per_class in (("train", 8), ("val", 3), ("test", 3)):
        paint(tmp_path / "sides" / side, per_class=per_class)
    main(["crossval", *args, f"data.root={tmp_path / 'sides'}", "data.duplicates=false"])
    tested = {row["path"].split("/")[0] for row in read_rows(FIRST / "folds.csv")}
    assert tested == {"train", "val"}
    assert any(
        "The data give 9 test images: they are in no fold" in n for n in read_json(FIRST / "crossval.json")["notes"]
    )


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (["k=7"], "k=7: each fold must test a patient"),
        (["folds=[4]"], "folds=[4] must be one or more different ones of [1, 2, 3]"),
        (["seeds=0"], "seeds=0 must be"),
        (["seeds=2", "seed_everything=3"], "sets seed_everything itself"),
        (["data.split_file=split.csv"], "leave data.split_file out"),
        (["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"], "crossval trains in one process"),
        (["together=false"], "Unknown key 'together'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_divided_is_refused_and_leaves_nothing(wrong, expected, args, capsys):
    assert expected in mistake(["crossval", *args, *wrong], capsys)
    assert not RUNS.exists() or not any(RUNS.iterdir())
