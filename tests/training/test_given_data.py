"""Split folders, patients in names, several folders and views, through the real command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers import LAST, QUICK, RUN, mistake, read_json, read_rows, slow, unpack_run, untold_keys
from PIL import Image

from bench.hostile import dicom
from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.data.radiographs import Radiographs
from covidnet.runs.checkpoint import KEY

CLASSES = ("NORMAL", "PNEUMONIA")
ARGS = ["data.image_size=12", "data.test_per_class=2", "trainer.max_epochs=1", *QUICK]
PATTERN = r"(person\d+|IM-\d+)[_-]"


def draw(file: Path, level: int, seed: int) -> None:
    """Draw noise about a grey level: no two images show one radiograph."""
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(level, 10, (64, 64))
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(file)


def lay(root: Path, sides: dict[str, int], images: int = 2, first: int = 0) -> Path:
    """Draw so many patients of each side and class, with ``images`` each, under names like those of Kermany et al."""
    number = 1000 * first
    for side, patients in sides.items():
        for _ in range(patients):
            number += 1
            for image in range(images):
                for label, name in enumerate((f"IM-{number:04}-000{image}", f"person{number}_virus_{image}")):
                    draw(root / side / CLASSES[label] / f"{name}.png", 60 + 90 * label, 4 * number + 2 * image + label)
    return root


@pytest.fixture
def kermany(tmp_path) -> Path:
    root = lay(tmp_path / "chest_xray", {"train": 8, "val": 1, "test": 3})
    (root / "__MACOSX" / "chest_xray").mkdir(parents=True)
    return root


def ran(words: list[str], caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> str:
    """Run a command; return what it told."""
    caplog.clear()
    recwarn.clear()
    with caplog.at_level("INFO"):
        main(words)
    return caplog.text + "\n".join(str(one.message) for one in recwarn)


def split_of(run: Path = RUN) -> dict[str, set[str]]:
    rows = read_rows(run / "split.csv")
    return {side: {row["path"] for row in rows if row["split"] == side} for side in ("train", "val", "test")}


def files(root: Path, side: str) -> set[str]:
    return {file.relative_to(root).as_posix() for file in (root / side).rglob("*.png")}


def test_split_folders_train_with_one_command_and_their_test_is_the_test(kermany, caplog, recwarn):
    told = ran(["fit", f"data.root={kermany}", *ARGS], caplog, recwarn)
    assert "The data give the split: 32 train, 4 val, 12 test; data.use_split=false draws one." in told
    assert "The 4 images given for validation are too few to judge a training by: they train, and" in told
    assert "data.use_val=true takes them as they are." in told
    assert "names such as test/NORMAL/IM-0010-0000.png look as if they told them: data.patient_pattern='" in told
    assert "would find 24 patients of 48 images, 100% of them with several. It is not applied by itself." in told
    split = split_of()
    assert split["test"] == files(kermany, "test")
    assert split["train"] | split["val"] == files(kermany, "train") | files(kermany, "val")


def test_a_given_validation_is_taken_where_the_user_insists_and_none_where_he_refuses(kermany, caplog, recwarn):
    told = ran(["fit", f"data.root={kermany}", "data.use_val=true", *ARGS], caplog, recwarn)
    assert "too few" not in told
    assert split_of()["val"] == files(kermany, "val")
    told = ran(["fit", f"data.root={kermany}", "data.use_split=false", *ARGS], caplog, recwarn)
    assert "give the split" not in told
    assert split_of(RUN.with_name("version_1"))["test"] != files(kermany, "test")


def test_no_patient_of_the_pattern_stands_on_two_sides_of_what_is_drawn(kermany, caplog, recwarn):
    told = ran(["fit", f"data.root={kermany}", f"data.patient_pattern={PATTERN}", *ARGS], caplog, recwarn)
    assert (
        f"data.patient_pattern={PATTERN}, below {kermany}: 24 patients of 48 images, 100% of them with several." in told
    )
    assert "No patient is known" not in told
    sides: dict[str, set[str]] = {}
    for side, paths in split_of().items():
        for path in paths:
            sides.setdefault(path.rsplit("_", 1)[0].rsplit("-", 1)[0], set()).add(side)
    assert {len(held) for held in sides.values()} == {1}


def test_a_patient_on_two_sides_of_a_given_split_is_told_before_training_and_fails_the_audit(
    kermany, caplog, recwarn, capsys
):
    keys = [f"data.patient_pattern={PATTERN}"]
    tools(["audit", str(kermany), *keys, "--json", "before.json"])
    draw(kermany / "test" / "PNEUMONIA" / "person2_virus_7.png", 150, 9999)
    (kermany / "metadata.csv").unlink()
    told = ran(["fit", f"data.root={kermany}", *keys, *ARGS], caplog, recwarn)
    sentence = (
        "1 patients or groups of copies have images on two sides of the split that was given, 1 test images among them "
        "(such as test/PNEUMONIA/person2_virus_7.png"
    )
    assert sentence in told
    tools(["audit", str(kermany), *keys, "--json", "after.json"])
    checks = [
        next(check for check in read_json(Path(name))["checks"] if check["name"] == "split")
        for name in ("before.json", "after.json")
    ]
    assert [check["verdict"] for check in checks] == ["PASS", "FAIL"]
    assert "no patient, group or copy is known on two sides" in checks[0]["sentence"]
    assert sentence in checks[1]["sentence"]


def test_the_audit_proposes_a_pattern_with_what_it_would_join(kermany, capsys):
    tools(["audit", str(kermany), "--json", "audit.json"])
    patients = next(check for check in read_json(Path("audit.json"))["checks"] if check["name"] == "patients")
    assert patients["verdict"] == "WARN"
    assert "would find 24 patients of 48 images, 100% of them with several" in patients["sentence"]
    assert all(not row["patient"] for row in read_rows(kermany / "metadata.csv"))  # it was not applied


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data.patient_pattern=(x"], "data.patient_pattern=(x is no regular expression"),
        ([r"data.patient_pattern=(q\d+)"], "finds no patient in the 48 names, such as test/NORMAL/"),
        (["data.views=[PA,sideways]"], "data.views=['PA', 'sideways'] must name one view or more"),
        (["data.roots={a: .}"], "must be left out where data.roots names folders"),
        (["data.root=null", "data.roots={a: nowhere}"], "nowhere does not exist, but data.roots[a] must be a folder"),
        (["data.test_root=."], "is a test, and"),
    ],
)
def test_wrong_keys_are_told_in_one_sentence(kermany, words, says, capsys):
    assert says in mistake(["fit", f"data.root={kermany}", *ARGS, *words], capsys)


def test_the_audit_takes_the_keys_of_training_and_tells_wrong_ones(kermany, capsys):
    def said(*words: str) -> str:
        return mistake(lambda: tools(["audit", *words]), capsys)

    assert "Unknown key data.patient_patern. Did you mean 'patient_pattern'?" in said(
        str(kermany), "data.patient_patern=x"
    )
    assert "data.views=3 is no list[str] | None." in said(str(kermany), "data.views=3")
    assert "audit looks at one folder, or at those of data.roots, but none is given" in said("data.views=[PA]")
    assert f"but {kermany}, data.roots are given" in said(str(kermany), "data.roots={a: b}")


def test_the_audit_tells_views_of_headers_kinds_that_are_left_out_and_takes_a_table_alone(tmp_path, capsys):
    shades = np.add.outer(np.arange(30), np.arange(40)).astype(np.uint8)
    names = [f"{number}.dcm" for number in range(8)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(dicom(shades + 9 * number, ViewPosition="LL" if number == 3 else "PA"))
    (tmp_path / "a.heic").touch()
    rows = [f"{name},{'AB'[number % 2]}" for number, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,finding", *rows]))
    data = Radiographs(table=str(tmp_path / "labels.csv"), labels={"0": "A", "no": "B"})
    for words in ([f"data.table={tmp_path / 'labels.csv'}"], data.words):
        tools(["audit", *words, "--json", "audit.json", "--out", "out.csv", "--force"])
        report = read_json(Path("audit.json"))
        assert untold_keys(report) == set()
        sentences = {check["name"]: check["sentence"] for check in report["checks"]}
        assert "7 PA, 1 LATERAL. New runs leave 1 out (data.views)." in sentences["views"]
        assert "1 other files or folders are left out: a.heic is HEIC" in sentences["files"]
        assert {row["path"]: row["view"] for row in read_rows(Path("out.csv"))}["3.dcm"] == "LATERAL"
    assert report["counts"] == {"0": 4, "no": 4}  # the words of the data say all of it


@pytest.fixture
def sites(tmp_path) -> dict[str, Path]:
    """Two hospitals with names of their own, the second with a class more."""
    lima, oslo = (lay(tmp_path / name, {"": 8}, first=number) for number, name in enumerate(("l", "o"), start=1))
    for number in range(8):
        draw(oslo / "VIRAL" / f"{number}.png", 200, 77000 + number)
    return {"lima": lima, "oslo": oslo}


def typed(sites: dict[str, Path]) -> str:
    return f"data.roots={{{', '.join(f'{name}: {folder}' for name, folder in sites.items())}}}"


@slow
def test_several_folders_train_test_and_are_shown_with_their_names(sites, caplog, recwarn):
    told = ran(["run", typed(sites), "report=true", *ARGS], caplog, recwarn)
    assert f"lima ({sites['lima']}): 16 NORMAL, 16 PNEUMONIA, 0 VIRAL." in told
    assert "VIRAL comes from oslo alone." in told
    paths = set().union(*split_of().values())
    assert {path.split("/")[0] for path in paths} == {"lima", "oslo"}
    assert len(paths) == 72
    page, card = (RUN / "report.html").read_text(), (RUN / "model_card.md").read_text()
    assert "VIRAL comes from oslo alone." in page
    assert '<th scope="row">lima</th>' in page
    assert "| lima |" in card
    assert "name: lima, oslo" in card
    assert "Patients and duplicates of the images are not known." in card
    assert str(sites["lima"]) not in card
    test = f"ckpt_path={RUN / 'checkpoints' / 'best.ckpt'}"
    main(["test", test, *QUICK])
    assert len(read_rows(RUN.with_name("version_1") / "predictions.csv")) == len(split_of()["test"])


@slow
def test_the_audit_sees_the_hospitals_and_wants_a_place_for_its_table(sites, capsys):
    tools(["audit", typed(sites), "--json", "audit.json"])
    report = read_json(Path("audit.json"))
    sources = next(check for check in report["checks"] if check["name"] == "sources")
    assert sources["details"]["table"]["VIRAL"] == {"lima": 0, "oslo": 8}
    printed = capsys.readouterr().out
    assert "VIRAL comes from oslo alone." in printed
    assert "No table was written: one of several folders needs a place" in " ".join(printed.split())
    tools(["audit", typed(sites), "--out", "all.csv"])
    rows = read_rows(Path("all.csv"))
    assert {row["path"].split("/")[0]: row["source"] for row in rows} == {"lima": "lima", "oslo": "oslo"}
    main(["fit", typed(sites), "data.metadata=all.csv", *ARGS])


def test_evaluate_finds_images_of_the_training_in_each_folder_and_names_their_source(sites, tmp_path, capsys):
    main(["run", typed(sites), *ARGS])
    outside = tmp_path / "outside"
    trained = sorted(split_of()["train"])
    for path in (next(p for p in trained if p.startswith(f"{name}/NORMAL")) for name in sites):
        name, rest = path.split("/", 1)
        (outside / name / "NORMAL").mkdir(parents=True)
        shutil.copy(sites[name] / rest, outside / name / "NORMAL" / f"copy of {name}.png")
    for number in range(4):
        draw(outside / "rome" / "NORMAL" / f"{number}.png", 60, 55000 + number)
    tools(["evaluate", str(RUN), str(outside), "--keep-seen"])
    report = read_json(RUN / "external.json")
    assert untold_keys(report) == set()
    assert sorted(path.split("/")[0] for path in report["seen"]["images"].values()) == ["lima", "oslo"]
    assert {name: held["in_training"] for name, held in report["per_source"].items()} == {
        "lima": True, "oslo": True, "rome": False
    }  # fmt: skip


def with_views(root: Path) -> set[str]:
    """Write a table that tells lateral views of some images of every side; return them."""
    images = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.png"))
    laterals = set(images[::4])
    spelt = ("L", "LL", "Lateral")
    rows = [
        f"{path},{spelt[number % 3] if path in laterals else ('PA', 'AP Supine', '')[number % 3]}"
        for number, path in enumerate(images)
    ]
    (root / "metadata.csv").write_text("\n".join(["path,view", *rows]))
    return laterals


@slow
def test_new_runs_leave_laterals_out_with_a_line_and_evaluate_follows_the_checkpoint(tmp_path, caplog, recwarn, capsys):
    root = lay(tmp_path / "x", {"": 10})
    laterals = with_views(root)
    told = ran(["run", f"data.root={root}", *ARGS], caplog, recwarn)
    assert (
        f"{len(laterals)} LATERAL of 40 images are left out by their view: data.views=[PA, AP]; data.views=null" in told
    )
    assert (
        set().union(*split_of().values())
        == {file.relative_to(root).as_posix() for file in root.rglob("*.png")} - laterals
    )
    assert yaml.safe_load((RUN / "config.yaml").read_text())["data"]["init_args"]["views"] == ["PA", "AP"]
    outside = lay(tmp_path / "outside", {"": 3}, first=7)
    out = with_views(outside)
    capsys.readouterr()
    tools(["evaluate", str(RUN), str(outside)])
    assert f"As in the training, {len(out)} LATERAL of 12 images are left out by their view" in capsys.readouterr().err
    assert read_json(RUN / "external.json")["images"] == 12 - len(out)
    ran(["fit", f"data.root={root}", "data.views=null", *ARGS], caplog, recwarn)
    assert len(set().union(*split_of(RUN.with_name("version_1")).values())) == 40


def test_the_audit_tells_views_and_how_many_new_runs_leave_out(tmp_path, capsys):
    root = lay(tmp_path / "x", {"": 10})
    laterals = with_views(root)
    tools(["audit", str(root), "--json", "audit.json"])
    views = next(check for check in read_json(Path("audit.json"))["checks"] if check["name"] == "views")
    assert f"New runs leave {len(laterals)} out (data.views)." in views["sentence"]
    assert views["details"]["views"]["LATERAL"] == len(laterals)


@slow
def test_a_checkpoint_and_a_split_file_from_before_keep_their_laterals(tmp_path, caplog, recwarn):
    root = lay(tmp_path / "x", {"": 10})
    ran(["run", f"data.root={root}", "data.views=null", *ARGS], caplog, recwarn)
    for checkpoint in (RUN / "checkpoints").glob("*.ckpt"):  # as an older version wrote it
        content = torch.load(checkpoint, weights_only=True)
        for key in ("views", "roots", "patient_pattern", "patient_across_classes", "use_split", "use_val"):
            del content[KEY]["data"]["init_args"][key]
        torch.save(content, checkpoint)
    laterals = with_views(root)
    best = f"ckpt_path={RUN / 'checkpoints' / 'best.ckpt'}"
    main(["test", best, *QUICK])
    tested = {row["path"] for row in read_rows(RUN.with_name("version_1") / "predictions.csv")}
    assert tested == split_of()["test"]
    assert tested & laterals
    (RUN / "split.csv").rename(tmp_path / "split.csv")  # without it the split is drawn as it was
    main(["test", best, *QUICK])
    assert {row["path"] for row in read_rows(RUN.with_name("version_2") / "predictions.csv")} == tested
    main(["fit", f"data.root={root}", f"data.split_file={tmp_path / 'split.csv'}", *ARGS])
    assert tested == split_of(RUN.with_name("version_3"))["test"]
    shutil.copy(tmp_path / "split.csv", RUN)
    main(["fit", f"ckpt_path={LAST}", "trainer.max_epochs=2", *QUICK])
    assert tested == split_of()["test"]


def test_a_run_of_an_old_version_is_tested_on_its_own_laterals(tmp_path, monkeypatch):
    old = unpack_run(tmp_path)
    monkeypatch.chdir(old)
    run = next(old.rglob("split.csv")).parent
    split = split_of(run)
    root = old / "xrays"
    (root / "metadata.csv").write_text("\n".join(["path,view", *(f"{path},L" for path in sorted(split["test"]))]))
    main(["test", f"ckpt_path={next((run / 'checkpoints').glob('*.ckpt'))}", *QUICK])
    tested = max(Path("runs").rglob("predictions.csv"), key=lambda file: file.stat().st_mtime)
    assert {row["path"] for row in read_rows(tested)} == split["test"]


def test_views_may_not_change_in_mid_training(tmp_path, capsys):
    root = lay(tmp_path / "x", {"": 6})
    main(["fit", f"data.root={root}", *ARGS])
    message = mistake(["fit", f"ckpt_path={LAST}", "data.views=null", *QUICK], capsys)
    assert "data.views=None does not go with this checkpoint, which holds data.views=['PA', 'AP']" in message


@slow
def test_loso_leaves_out_one_folder_at_a_time_and_tells_of_a_class_that_is_lost(sites, monkeypatch, capsys):
    monkeypatch.setattr("covidnet.series.plan.SMALLEST", 8)
    main(["loso", typed(sites), "report=false", *ARGS])
    told = capsys.readouterr().out
    assert "Fold 2 does without VIRAL: without the sources held out, too few images of it are left to train on." in told
    record = read_json(Path("runs", "convnet", "loso_0", "loso.json"))
    assert record["sources"]["NORMAL"] == {"lima": 16, "oslo": 16}
    assert [fold["held_out"]["NORMAL"] for fold in record["per_fold"]] == [{"lima": 16}, {"oslo": 16}]
    for number, name in ((1, "lima"), (2, "oslo")):
        split = split_of(Path("runs", "convnet", "loso_0", f"fold_{number}"))
        assert {path.split("/")[0] for path in split["test"]} == {name}
        assert name not in {path.split("/")[0] for path in split["train"] | split["val"]}
    assert json.dumps(record)
