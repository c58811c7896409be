"""Facts about covidnet evaluate: what it measures, what it leaves out, what it refuses."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import QUICK, call, paint, read_json, slow
from PIL import Image

from bench.hostile import dicom
from covidnet.commands import evaluate
from covidnet.commands.train import main
from covidnet.errors import UserError
from covidnet.report.card import write_card
from covidnet.report.page import write_report
from covidnet.runs.predictions import read_predictions
from covidnet.runs.screen import with_interval

NAMES = ("covid", "Normal", "viral")  # of the painted COVID-19, NORMAL, Viral Pneumonia


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on painted images, with a table of sources; its images lie in xrays/ beside it."""
    folder = tmp_path_factory.mktemp("trained")
    root = paint(folder / "xrays")
    paths = [path.relative_to(root).as_posix() for path in root.rglob("*.png")]
    (root / "metadata.csv").write_text("path,source\n" + "".join(f"{path},here\n" for path in paths))
    keys = {"data.root": root, "data.cache_dir": folder / "cache", "trainer.default_root_dir": folder}
    sizes = ["data.image_size=12", "data.test_per_class=3", "trainer.max_epochs=2"]
    main([*(f"{key}={value}" for key, value in keys.items()), *sizes, *QUICK])
    return folder / "convnet" / "version_0"


@pytest.fixture
def evaluation_of(trained, tmp_path):
    """Return a function that evaluates the run on a folder and returns what external.json holds."""

    def evaluation(root, *options, checkpoint=trained):
        file = tmp_path / "out.json"
        call(evaluate, checkpoint, root, f"--json={file}", *options)
        return json.loads(file.read_text())

    return evaluation


@pytest.fixture
def outside(tmp_path):
    """Twelve painted images a class, of another size, under other names."""
    return paint(tmp_path / "outside", NAMES, size=30)


@slow
def test_another_part_of_the_body_is_left_out_and_told_unless_that_is_overruled(evaluation_of, outside, capsys):
    pixels = np.add.outer(np.arange(30), np.arange(40)).astype(np.uint8)
    for number in range(3):
        (outside / "covid" / f"1.2.840.{number}").write_bytes(dicom(pixels + number, BodyPartExamined="SKULL"))
    (outside / "covid" / "a.heic").touch()
    assert len(evaluation_of(outside)["unreadable"]) == 3
    told = capsys.readouterr().err
    assert "covid/a.heic is HEIC" in told
    assert re.search(r"covid/1\.2\.840\.0 is a DICOM object .* insist: .* --body-part any \(3 such\)", told)
    assert evaluation_of(outside, "--body-part=any")["unreadable"] == {}


def test_views_that_the_training_left_out_are_left_out_by_their_headers_too(evaluation_of, outside, capsys):
    pixels = np.add.outer(np.arange(30), np.arange(40)).astype(np.uint8)
    for number, view in enumerate(("LL", "PA", "RL")):
        (outside / "covid" / f"{number}.dcm").write_bytes(dicom(pixels + number, ViewPosition=view))
    assert evaluation_of(outside)["images"] == 37
    said = "As in the training, 2 LATERAL of 39 images are left out by their view (2 by that in their DICOM headers)"
    assert said in capsys.readouterr().err


def split_paths(run_folder, split):
    with (run_folder / "split.csv").open(newline="") as lines:
        return [row["path"] for row in csv.DictReader(lines) if row["split"] == split]


def test_the_report_holds_inside_outside_and_the_drop(evaluation_of, trained, outside, capsys):
    report = evaluation_of(outside, f"--predictions={outside.parent / 'p.csv'}")
    assert report == json.loads((trained / "external.json").read_text())
    best = json.loads((trained / "results.json").read_text())["best"]
    assert report["inside"]["overall"]["accuracy"] == best["accuracy"]
    assert (report["inside"]["images"], report["images"], report["seen"]["checked"]) == (9, 36, True)
    drop = report["drop"]["balanced_accuracy"]
    assert drop["value"] == best["balanced_accuracy"] - report["overall"]["balanced_accuracy"]
    assert drop["interval"][0] < drop["value"] < drop["interval"][1]
    assert set(report["intervals"]) >= {"accuracy", "balanced_accuracy", "mcc"}
    with (outside.parent / "p.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert sum(row["label"] == row["predicted"] for row in rows) / 36 == report["overall"]["accuracy"]
    printed = capsys.readouterr().out
    assert "not a medical device" in printed
    assert "inside" in printed
    assert " ".join(report["sentence"].split()) in " ".join(printed.split())


def test_what_is_said_of_each_image_lies_beside_the_report(evaluation_of, trained, outside):
    (outside / "metadata.csv").write_text(
        "path,patient,source\ncovid/covid (1).png,7,east\ncovid/covid (2).png,7,east\ncovid/covid (3).png,,west\n"
    )
    report = evaluation_of(outside, f"--predictions={outside.parent / 'p.csv'}")
    said = read_predictions(trained / "external_predictions.csv")
    assert said.classes == report["classes"]
    assert said.paths == sorted(said.paths)
    assert (said.predicted == said.labels).mean() == report["overall"]["accuracy"]
    assert dict(zip(said.paths, said.sources, strict=True))["covid/covid (2).png"] == "east"
    assert len(set(said.patients)) == 35  # images of which nothing is known stand each for itself
    one, other = (said.paths.index(f"covid/covid ({number}).png") for number in (1, 2))
    assert said.patients[one] == said.patients[other]
    assert (outside.parent / "p.csv").read_bytes() == (trained / "external_predictions.csv").read_bytes()
    assert not list(trained.glob("external_predictions.csv.*"))


@slow
def test_groups_that_the_table_outside_tells_are_told(evaluation_of, outside):
    files = sorted(outside.rglob("*.png"))
    rows = [f"{file.name},{number},{3 + number % 2 * 40},{number % 3}" for number, file in enumerate(files)]
    (outside / "metadata.csv").write_text("\n".join(["path,patient,age,Ward", *rows]) + "\n")
    report = evaluation_of(outside, "--bins=20", "--subgroups=ward")
    assert {name: list(found["groups"]) for name, found in report["subgroups"].items()} == {
        "age": ["0 to 19", "20 or more"],
        "ward": ["0", "1", "2"],
    }
    assert report["subgroups"]["age"]["groups"]["0 to 19"] == {"images": 18}
    assert report["class_by"]["ward"]["cramers_v"] == 0
    assert "--bins 18-40 must be ages" in mistake_of("--bins=18-40", evaluation_of, outside)
    assert "--subgroups names the column 'wart'" in mistake_of("--subgroups=wart", evaluation_of, outside)


def mistake_of(option, evaluation_of, root):
    with pytest.raises(UserError) as refused:
        evaluation_of(root, option)
    return str(refused.value)


@slow
def test_a_repeat_is_evaluated_seed_by_seed(trained, outside, tmp_path):
    repeat = tmp_path / "repeat_0"
    seeds = ("seed_2", "seed_10")
    for name in seeds:
        shutil.copytree(trained, repeat / name)
    (repeat / "seed_11").mkdir()  # not finished
    call(evaluate, repeat, outside)
    checkpoints = [json.loads((repeat / name / "external.json").read_text())["checkpoint"] for name in seeds]
    assert checkpoints == [str(repeat / name / "checkpoints" / "best.ckpt") for name in seeds]
    assert not list((repeat / "seed_11").iterdir())
    with pytest.raises(UserError, match=r"p\.csv can hold one run, but .*repeat_0 holds 2"):
        call(evaluate, repeat, outside, "--predictions=p.csv")


def test_images_of_the_training_are_left_out_unless_they_are_asked_for(evaluation_of, trained, outside, capsys):
    own = trained.parent.parent / "xrays"
    for split in ("train", "val", "test"):
        path = split_paths(trained, split)[0]
        Image.open(own / path).save(outside / "covid" / f"{split}.bmp")
    report = evaluation_of(outside)
    assert sorted(report["seen"]["images"]) == ["covid/train.bmp", "covid/val.bmp"]
    assert report["images"] == 37
    assert "2 of the 39 images were seen in the model's training or validation" in capsys.readouterr().err
    assert evaluation_of(outside, "--keep-seen")["images"] == 39


def test_a_folder_of_the_training_images_alone_is_refused(evaluation_of, trained, tmp_path):
    path = split_paths(trained, "train")[0]
    (tmp_path / "root" / "COVID").mkdir(parents=True)
    shutil.copy(trained.parent.parent / "xrays" / path, tmp_path / "root" / "COVID")
    with pytest.raises(UserError, match=r"All 1 images .*--keep-seen"):
        evaluation_of(tmp_path / "root")


def test_what_cannot_be_checked_or_compared_is_said(evaluation_of, trained, outside, tmp_path, capsys):
    alone = shutil.copy(trained / "checkpoints" / "best.ckpt", tmp_path / "sent.ckpt")
    report = evaluation_of(outside, checkpoint=alone)
    assert report["seen"]["checked"] is False
    assert "drop" not in report
    told = capsys.readouterr().err
    assert "could not be checked" in told
    assert "drop cannot be told" in told


def test_classes_that_the_folder_lacks_are_left_out_of_the_comparison(evaluation_of, outside):
    shutil.rmtree(outside / "viral")
    report = evaluation_of(outside)
    assert report["classes_present"] == ["COVID-19", "NORMAL"]
    rates = [report["per_class"][name]["sensitivity"] for name in report["classes_present"]]
    assert report["overall"]["balanced_accuracy"] == sum(rates) / 2
    assert report["per_class"]["Viral Pneumonia"]["sensitivity"] is None
    own = [report["inside"]["per_class"][name]["sensitivity"] for name in report["classes_present"]]
    assert report["drop"]["balanced_accuracy"]["value"] == sum(own) / 2 - sum(rates) / 2
    assert set(report["drop"]) == {"balanced_accuracy", "sensitivity_COVID-19", "sensitivity_NORMAL"}


def intervals_in(record, name=()):
    """Yield each interval that a document holds, by the names that lead to it; ``overall`` metrics are the record's."""
    for key, value in record.items():
        if key == "intervals":
            yield from (((*name, metric), tuple(limits)) for metric, limits in value.items())
        elif isinstance(value, dict):
            yield from intervals_in(value, (*name, key))


@slow
def test_one_number_has_one_interval_wherever_it_is_shown(evaluation_of, trained, outside, tmp_path, capsys):
    root = tmp_path / "sites"
    for site, names in (("one", NAMES[:1]), ("two", NAMES)):
        for name in names:
            shutil.copytree(outside / name, root / site / name)
    report = evaluation_of(root)
    own = dict(intervals_in(read_json(trained / "results.json")["best"]))
    assert dict(intervals_in(report["inside"])) == own
    alone = report["per_source"]["one"]
    limits = [*(alone["intervals"][key] for key in ("accuracy", "balanced_accuracy"))]
    assert limits == [alone["per_class"]["COVID-19"]["intervals"]["sensitivity"]] * 2
    assert evaluation_of(root / "two")["intervals"].keys() >= {"accuracy", "balanced_accuracy"}

    of_one = evaluation_of(root / "one")  # whose own test is told over this class alone
    shown = capsys.readouterr().out
    inside = of_one["inside"]
    assert inside["intervals"]["balanced_accuracy"] == inside["per_class"]["COVID-19"]["intervals"]["sensitivity"]
    assert of_one["drop"]["balanced_accuracy"] == of_one["drop"]["sensitivity_COVID-19"]
    own_limits = inside["intervals"]["balanced_accuracy"]
    assert with_interval(inside["overall"]["balanced_accuracy"], own_limits, ".2f") in shown
    page, card = (write(trained).read_text() for write in (write_report, write_card))
    for key in ("accuracy", "balanced_accuracy"):
        low, high = own[(key,)]
        assert f"{100 * low:.1f} to {100 * high:.1f}" in page
        assert f"{100 * low:.1f} to {100 * high:.1f}" in card
    low, high = inside["intervals"]["balanced_accuracy"]
    assert f"{100 * low:.1f} to {100 * high:.1f}" in page


@slow
def test_sources_come_from_the_table_and_else_from_the_folders_above(evaluation_of, tmp_path):
    root = tmp_path / "all"
    paint(root / "east", NAMES, per_class=4, size=30)
    paint(root / "west", ["Normal"], per_class=5, size=36)
    (root / "metadata.csv").write_text("path,source\neast/covid/covid (1).png,here\n")
    sources = evaluation_of(root)["per_source"]
    assert {name: scores["images"] for name, scores in sources.items()} == {"east": 11, "here": 1, "west": 5}
    assert [name for name, scores in sources.items() if scores["in_training"]] == ["here"]
    assert sources["west"]["overall"]["accuracy"] == sources["west"]["per_class"]["NORMAL"]["sensitivity"]
    assert set(evaluation_of(root, "--metadata=none")["per_source"]) == {"east", "west"}


@slow
def test_images_of_one_patient_widen_the_intervals(evaluation_of, outside):
    def width():
        low, high = evaluation_of(outside)["intervals"]["accuracy"]
        return high - low

    alone = width()
    rows = [f"{path.relative_to(outside).as_posix()},{int(path.stem[-2]) % 3}" for path in outside.rglob("*.png")]
    (outside / "metadata.csv").write_text("path,patient\n" + "\n".join(f"{row}-{row[0]}" for row in rows))
    assert width() > alone


def test_a_checkpoints_calibration_is_measured(evaluation_of, trained, outside, tmp_path):
    content = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    sets = {"coverage": 0.9, "least": {"COVID-19": 0.0, "NORMAL": 1.1, "Viral Pneumonia": 0.0}}
    content["covidnet"]["calibration"] = {"temperature": 2.0, "thresholds": {"NORMAL": 0.4}, "conformal": sets}
    torch.save(content, tmp_path / "calibrated.ckpt")
    report = evaluation_of(outside, checkpoint=tmp_path / "calibrated.ckpt")
    assert report["calibrated"]["temperature"] == 2.0
    assert list(report["thresholds"]) == ["NORMAL"]
    covered = {name: one["coverage"] for name, one in report["prediction_sets"]["per_class"].items()}
    assert covered == {"COVID-19": 1.0, "NORMAL": 0.0, "Viral Pneumonia": 1.0}


def test_a_model_of_drawn_radiographs_says_so(evaluation_of, trained, outside, tmp_path):
    content = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    content["covidnet"]["data"]["class_path"] = "covidnet.data.phantom_module.PhantomDataModule"
    torch.save(content, tmp_path / "drawn.ckpt")
    assert evaluation_of(outside, checkpoint=tmp_path / "drawn.ckpt")["notice"].startswith("Trained on DRAWN")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map=covid"], "NAME=CLASS"),
        (["--metadata=none.csv"], "--metadata"),
        (["--device=abacus"], "--device abacus"),
        (["--predictions=nowhere/p.csv"], "no folder"),
    ],
)
def test_a_mistake_is_explained(evaluation_of, outside, options, message):
    with pytest.raises(UserError, match=message):
        evaluation_of(outside, *options)


def test_a_missing_checkpoint_is_named(evaluation_of, outside):
    with pytest.raises(UserError, match=r"best\.ckpt does not exist"):
        evaluation_of(outside, checkpoint=Path.cwd())
