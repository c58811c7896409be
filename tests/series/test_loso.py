"""Sources left out: each fold is an ordinary run on unseen sources, and what cannot be known is said."""

import csv
import json
import signal
from pathlib import Path

import pytest
from helpers import QUICK, mistake, paint, read_json, read_rows, slow, untold_keys

from covidnet.commands.train import main
from covidnet.models.classifier import Classifier
from covidnet.series import folds, loso, plan
from covidnet.series.folds import FoldRun as RealFoldRun
from covidnet.training.args import CommandLine

RUNS = Path("runs", "convnet")
SOURCES = {  # of images 1 to 12 of each class; fewer than 4 are merged
    "COVID-19": ["rome"] * 5 + ["ghent"] * 4 + ["a paper", "a book", "a paper"],
    "NORMAL": ["lima"] * 6 + ["oslo [east]"] * 5 + [""],
    "Viral Pneumonia": ["oslo [east]"] * 12,
}


@pytest.fixture(autouse=True)
def _four_images_are_a_source(monkeypatch):
    monkeypatch.setattr(plan, "SMALLEST", 4)


def write_table(root: Path, sources: dict[str, list[str]], patients: dict[str, str] | None = None) -> None:
    rows = [
        [path, (patients or {}).get(path, ""), source]
        for name, own in sources.items()
        for number, source in enumerate(own, start=1)
        for path in [f"{name}/{name} ({number}).png"]
    ]
    with (root / "metadata.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([["path", "patient", "source"], *rows])


@pytest.fixture
def root(tmp_path) -> Path:
    root = paint(tmp_path / "xrays")
    write_table(root, SOURCES, dict.fromkeys(["COVID-19/COVID-19 (1).png", "COVID-19/COVID-19 (12).png"], "p1"))
    return root


@pytest.fixture
def args(root) -> list[str]:
    return [f"data.root={root}", "data.image_size=12", "trainer.max_epochs=1", "report=false", *QUICK]


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Let folds leave made-up results, at once, every image right; return those that were asked for, in their order."""
    done = []

    def leave(line: CommandLine, afterwards, run: Path, command: str, write) -> None:
        run.mkdir()
        done.append(f"{run.parent.name}/{run.name}")
        write(run / "split.csv")
        test = [row for row in read_rows(run / "split.csv") if row["split"] == "test"]
        classes = json.loads(line.typed_keys()["data.classes"])
        with (run / "predictions.csv").open("w", newline="") as lines:
            probabilities = [
                [row["path"], row["label"], *(int(row["label"] == name) for name in classes)] for row in test
            ]
            csv.writer(lines).writerows([["path", "label", *(f"prob_{name}" for name in classes)], *probabilities])
        rates = {"sensitivity": 1.0, "specificity": 1.0, "auroc": 1.0, "intervals": {"auroc": [0.5, 1.0]}}
        per_class = {name: {**rates, "support": sum(row["label"] == name for row in test)} for name in classes}
        scores = {"balanced_accuracy": 1.0, "intervals": {"balanced_accuracy": [0.5, 1.0]}, "per_class": per_class}
        (run / "results.json").write_text(json.dumps({"final": scores, "best": scores, "classes": classes}))

    monkeypatch.setattr(folds, "FoldRun", leave)
    return done


@slow
def test_each_fold_is_an_ordinary_run_that_reports_unseen_sources(args, root, capsys):
    main(["loso", *args, "report=true", "folds=[1]"])
    run = RUNS / "loso_0" / "fold_1"
    table = {row["path"]: row["source"] for row in read_rows(root / "metadata.csv")}
    sides = {}
    for row in read_rows(run / "split.csv"):
        sides.setdefault(row["split"], set()).add(table[row["path"]])
    assert sides["test"] == {"rome", "lima"}
    assert not sides["test"] & (sides["train"] | sides["val"])
    assert len(read_rows(run / "predictions.csv")) == 11
    assert (run / "report.html").is_file()
    results = read_json(run / "results.json")
    assert results["best"]["per_class"]["Viral Pneumonia"]["support"] == 0  # trained on, and not tested
    assert "its only source" in capsys.readouterr().out
    record = read_json(RUNS / "loso_0" / "loso.json")
    assert record["per_fold"][0]["balanced_accuracy"] == results["best"]["balanced_accuracy"]
    assert record["mean_balanced_accuracy"] == pytest.approx(results["best"]["balanced_accuracy"])
    with pytest.warns(UserWarning, match="1 images are not in .*split.csv"):  # the one that is linked to the test
        main(["test", f"ckpt_path={run / 'checkpoints' / 'best.ckpt'}", *QUICK])
    assert read_json(RUNS / "version_0" / "results.json")["test"] == results["best"]


def test_the_record_holds_folds_sources_and_what_cannot_be_known(args, trained, capsys):
    main(["loso", *args])
    printed = capsys.readouterr().out
    record = read_json(RUNS / "loso_0" / "loso.json")
    assert untold_keys(record) == set()
    assert record["folds"] == [1, 2]
    first, second = record["per_fold"]
    assert first["held_out"] == {"COVID-19": {"rome": 5}, "NORMAL": {"lima": 6}}
    assert first["linked_images_left_out"] == 1
    assert first["per_class"]["NORMAL"] == {
        "images": 6,
        "sensitivity": 1.0,
        "specificity": 1.0,
        "auroc": 1.0,
        "intervals": {"auroc": [0.5, 1.0]},
    }
    assert second["held_out"] == {"COVID-19": {"ghent": 4}, "NORMAL": {"oslo [east]": 5}}
    assert second["dropped_classes"] == ["Viral Pneumonia"]
    assert record["per_source"]["COVID-19"]["rome"]["images"] == 5
    assert record["per_source"]["NORMAL"]["oslo [east]"]["sensitivity"] == 1.0
    assert record["mean_balanced_accuracy"] == 1.0
    assert record["intervals"]["mean_balanced_accuracy"][0] < 1
    told = "\n".join(record["notes"])
    assert "Viral Pneumonia cannot be tested on an unseen source" in told
    assert "COVID-19 has 3 images of other sources, too few" in told
    assert "NORMAL has 1 image without a source" in told
    assert "Fold 2 does without Viral Pneumonia" in told
    assert "Fold 1 leaves 1 image out" in told
    assert all(note in printed for note in record["notes"])
    assert record["meaning"] in printed
    assert "oslo [east]" in printed.replace("\n", "")


@slow
def test_a_source_held_out_twice_counts_its_images_once(args, root, trained):
    write_table(root, {**SOURCES, "COVID-19": ["rome"] * 4 + ["ghent"] * 4 + ["graz"] * 4})
    main(["loso", *args])
    lima = read_json(RUNS / "loso_0" / "loso.json")["per_source"]["NORMAL"]["lima"]
    assert (lima["images"], lima["folds"]) == (6, 2)


@slow
def test_a_source_counts_its_images_in_whichever_fold_they_are(args, root, trained):
    few = ["rome"] * 4 + ["oslo [east]"] * 4 + ["a paper"] * 2 + ["lima"] * 2
    write_table(root, {**SOURCES, "COVID-19": few, "NORMAL": ["lima"] * 5 + ["graz"] * 4 + [""] * 3})
    main(["loso", *args])  # lima, one of the small ones of COVID-19, is in the tests of all folds, the paper in one
    others = read_json(RUNS / "loso_0" / "loso.json")["per_source"]["COVID-19"]["other sources"]
    assert (others["images"], others["folds"]) == (4, 3)


@slow
def test_alone_an_unseen_source_is_tested_beside_other_classes_own(args, root, trained, capsys):
    main(["loso", *args, "together=false", "data.test_per_class=3"])
    printed = capsys.readouterr().out
    record = read_json(RUNS / "loso_0" / "loso.json")
    assert [scores["held_out"] for scores in record["per_fold"]] == [
        {"COVID-19": {"rome": 5}},
        {"COVID-19": {"ghent": 4}},
        {"NORMAL": {"lima": 6}},
        {"NORMAL": {"oslo [east]": 5}},
    ]
    assert [scores["own_sources"] for scores in record["per_fold"]] == [
        {"NORMAL": 3, "Viral Pneumonia": 3},
        {"NORMAL": 3, "Viral Pneumonia": 3},
        {"COVID-19": 3, "Viral Pneumonia": 3},
        {"COVID-19": 3},
    ]
    assert list(record["per_fold"][0]["per_class"]) == ["COVID-19", "NORMAL", "Viral Pneumonia"]
    assert {name: list(held) for name, held in record["per_source"].items()} == {
        "COVID-19": ["ghent", "rome"],
        "NORMAL": ["lima", "oslo [east]"],
    }
    assert record["per_source"]["NORMAL"]["lima"]["images"] == 6
    assert record["meaning"] == loso.MEANING_ALONE
    assert record["meaning"] in printed
    assert "COVID-19: rome" in printed
    assert "NORMAL: its own" in printed
    table = {row["path"]: row["source"] for row in read_rows(root / "metadata.csv")}
    split = read_rows(RUNS / "loso_0" / "fold_1" / "split.csv")
    assert "rome" not in {table[row["path"]] for row in split if row["split"] != "test"}
    assert {table[row["path"]] for row in split if (row["split"], row["label"]) == ("test", "COVID-19")} == {"rome"}


@slow
def test_a_fold_alone_is_an_ordinary_run(args):
    main(["loso", *args, "together=false", "data.test_per_class=3", "folds=[3]"])
    run = RUNS / "loso_0" / "fold_3"
    support = {name: own["support"] for name, own in read_json(run / "results.json")["best"]["per_class"].items()}
    assert support["NORMAL"] == 6
    assert support["Viral Pneumonia"] == 3
    assert "together" not in (run / "config.yaml").read_text()


@slow
def test_one_class_of_several_sources_is_enough_alone(args, root, trained, capsys):
    write_table(root, {**SOURCES, "NORMAL": ["lima"] * 12})
    main(["loso", *args, "together=false", "data.test_per_class=3"])
    assert read_json(RUNS / "loso_0" / "loso.json")["folds"] == [1, 2]
    told = "In fold 1 every training image of NORMAL is of lima and every training image of Viral Pneumonia is of "
    assert f"{told}oslo [east]: class and source are one there, so the model" in capsys.readouterr().out
    write_table(root, {**SOURCES, "NORMAL": ["lima"] * 12, "COVID-19": ["rome"] * 12})
    refused = mistake(["loso", *args, "together=false"], capsys)
    assert "loso together=false needs a class of two sources" in refused
    assert "COVID-19: rome (12 images): its only source" in refused


@slow
def test_a_source_that_two_classes_are_learned_from_is_not_one_with_either(args, root, trained):
    write_table(root, {**SOURCES, "NORMAL": ["lima"] * 6 + ["oslo [east]"] * 6})
    main(["loso", *args, "folds=[1]"])
    told = "In fold 1 every training image of NORMAL and Viral Pneumonia is of oslo [east], so the model may have"
    assert any(note.startswith(told) for note in read_json(RUNS / "loso_0" / "loso.json")["notes"])


@slow
def test_together_or_alone_is_part_of_the_recipe(args, trained):
    main(["loso", *args, "folds=[1]"])
    main(["loso", *args, "data.test_per_class=3", "together=false", "folds=[1]"])
    main(["loso", *args, "together=true"])
    assert trained == ["loso_0/fold_1", "loso_1/fold_1", "loso_0/fold_2"]


@slow
def test_finished_folds_are_kept_and_others_added(args, trained):
    main(["loso", *args, "folds=[2]"])
    main(["loso", *args])
    assert trained == ["loso_0/fold_2", "loso_0/fold_1"]
    assert read_json(RUNS / "loso_0" / "loso.json")["folds"] == [1, 2]


@slow
def test_another_recipe_or_other_images_begin_anew(args, root, trained):
    main(["loso", *args, "folds=[1]"])
    main(["loso", *args, "model.dropout=0.1"])
    assert trained[1:] == ["loso_1/fold_1", "loso_1/fold_2"]
    write_table(root, {**SOURCES, "NORMAL": ["lima"] * 6 + ["oslo [east]"] * 6})
    main(["loso", *args])
    assert trained[3:] == ["loso_2/fold_1", "loso_2/fold_2"]


@slow
def test_an_interrupted_fold_begins_again(args, trained, monkeypatch, capsys):
    pretend = folds.FoldRun

    def break_in_fold_2(line: CommandLine, afterwards, run: Path, command: str, write) -> object:
        return (pretend if run.name == "fold_1" else RealFoldRun)(line, afterwards, run, command, write)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as broken:
        broken.setattr(folds, "FoldRun", break_in_fold_2)
        broken.setattr(Classifier, "on_train_epoch_end", fail)
        with pytest.raises(SystemExit):
            main(["loso", *args])
    signal.signal(signal.SIGINT, handler)  # which Lightning ignores after a first Ctrl-C
    assert "1 of 2 folds are finished" in capsys.readouterr().err
    assert (RUNS / "loso_0" / "fold_2" / "config.yaml").is_file()  # what it had begun
    main(["loso", *args])
    assert trained == ["loso_0/fold_1", "loso_0/fold_2"]
    assert not (RUNS / "loso_0" / "fold_2" / "config.yaml").exists()


def test_one_class_of_several_sources_is_refused_class_by_class(args, root, capsys):
    write_table(root, {**SOURCES, "NORMAL": ["lima"] * 12})
    told = mistake(["loso", *args], capsys)
    assert "COVID-19: rome (5 images), ghent (4 images), other sources (3 images): 2 can be left out" in told
    assert "NORMAL: lima (12 images): its only source" in told
    assert "specificity there cannot be known" in told
    assert "together=false measures the former" in told
    assert not RUNS.exists()


def test_sources_that_nobody_named_are_refused(args, capsys):
    told = mistake(["loso", *args, "data.metadata=none"], capsys)
    assert "there is none (data.metadata)" in told
    assert "NORMAL: unknown (12 images): no source is known" in told
    assert not RUNS.exists()


def test_folds_that_would_each_lose_a_class_are_refused(args, root, capsys):
    # the first of COVID-19 and the first of NORMAL together are all that either has
    write_table(root, {"COVID-19": ["a"] * 7 + ["b"] * 5, "NORMAL": ["b"] * 7 + ["a"] * 5})
    told = mistake(["loso", *args], capsys)
    assert "Fold 1: without a and b too few images of COVID-19, NORMAL are left" in told
    assert not RUNS.exists()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (["folds=[3]"], "folds=[3] must be one or more different ones of [1, 2]"),
        (["folds=[1,1]"], "different ones"),
        (["folds=[]"], "one or more"),
        (["folds=first"], "folds=first is not accepted"),
        (["together=sometimes"], "together=sometimes is not accepted"),
        (["together=false", "data.test_per_class=0"], "data.test_per_class images of their own"),
        (["ckpt_path=last"], "ckpt_path"),
        (["trainer.fast_dev_run=true"], "trainer.fast_dev_run"),
        (["data.split_file=split.csv"], "leave data.split_file out"),
        (["data.test_root=."], "leave data.test_root out"),
        (["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"], "loso trains in one process"),
        (["data.root=nowhere"], "data.root"),
        (["seeds=2"], "Unknown key 'seeds'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_left_out_is_refused_and_leaves_nothing(wrong, expected, args, capsys):
    assert expected in mistake(["loso", *args, *wrong], capsys)
    assert not RUNS.exists() or not any(RUNS.iterdir())


def test_folds_belong_to_loso(args, capsys):
    assert "Unknown key 'folds'" in mistake(["run", "folds=[1]", *args], capsys)
    assert "Unknown key 'together'" in mistake(["repeat", "together=false", *args], capsys)


def test_its_help_names_the_folds(capsys):
    with pytest.raises(SystemExit) as done:
        main(["loso", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "usage: covidnet loso" in text
    assert "folds=" in text
    assert "together=true" in text
