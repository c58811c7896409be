"""Facts about the audit: what each check finds, and the table that it writes for the split."""

import csv
import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers import CLASSES, paint
from PIL import Image

from covidnet.data.module import RadiographyDataModule
from covidnet.data.phantoms import write_phantoms
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.evaluation.probes import views
from covidnet.evidence.audit import audit, audit_images, write_table
from covidnet.evidence.audit_screen import print_audit
from covidnet.evidence.inspection import inspect_files

COUNTS = dict.fromkeys(CLASSES, 20)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Phantoms with a marker that tells the class, and without."""
    folder = tmp_path_factory.mktemp("drawn")
    return {shortcut: write_phantoms(folder / str(shortcut), COUNTS, size=64, shortcut=shortcut) for shortcut in (0, 1)}


@pytest.fixture
def copied(drawn, tmp_path, monkeypatch):
    """Phantoms under names that do not say that they are drawn, so that nothing is known of them; without probes."""
    monkeypatch.setattr("covidnet.evidence.audit_checks.probe", lambda *_: None)
    root = tmp_path / "xrays"
    shutil.copytree(drawn[0], root, ignore=shutil.ignore_patterns("metadata.csv"))
    for file in list(root.rglob("*.png")):
        file.rename(file.with_name(file.name.replace(" phantom", "")))
    return root


def checks(root, **options):
    return {check["name"]: check for check in audit(root, **options).report["checks"]}


def told(root, name, **options):
    check = checks(root, **options)[name]
    return check["verdict"], check["sentence"], check["details"]


def table(root, *rows):
    (root / "metadata.csv").write_text("\n".join(["path,patient,group,source", *rows]) + "\n")


def every(root, row):
    """Write a table with ``row(class, number)`` for each image."""
    table(
        root,
        *(
            f"{file.relative_to(root).as_posix()},{row(file.parent.name, number)}"
            for number, file in enumerate(sorted(root.rglob("*.png")))
        ),
    )


def test_a_marker_that_tells_the_class_fails_the_set_and_its_absence_passes(drawn):
    marked, clean = (audit(drawn[shortcut]).report for shortcut in (1, 0))
    verdicts = {check["name"]: check["verdict"] for check in marked["checks"]}
    assert (marked["verdict"], verdicts["lungs_covered"]) == ("FAIL", "FAIL")
    assert (clean["verdict"], clean["release"]) == ("PASS", "drawn radiographs (phantoms)")


def test_the_report_is_plain_and_names_what_is_there(drawn):
    report = audit(drawn[0]).report
    assert json.loads(json.dumps(report)) == report
    assert (report["counts"], report["layout"], report["metadata"]) == (
        COUNTS,
        "CLASS/*",
        str(drawn[0] / "metadata.csv"),
    )
    for check in report["checks"]:
        assert set(check) == {"name", "verdict", "sentence", "details"}


def test_chosen_classes_alone_are_audited(copied):
    assert audit(copied, ["NORMAL", "COVID-19"]).report["counts"] == {"NORMAL": 20, "COVID-19": 20}


def test_unreadable_files_fail_with_their_reasons_and_others_are_counted(copied):
    (copied / "NORMAL" / "NORMAL (1).png").write_bytes(b"")
    (copied / "NORMAL" / "notes.txt").write_text("")
    verdict, sentence, details = told(copied, "files")
    assert verdict == "FAIL"
    assert "1 of 60 images cannot be read (NORMAL/NORMAL (1).png is empty" in sentence
    assert details["ignored"] == {"NORMAL/notes.txt": "is no image (.txt)"}


def test_a_folder_without_a_readable_image_is_a_mistake(tmp_path):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match="None of the 3 images"):
        audit(tmp_path)


def test_a_class_of_its_own_size_is_warned_of(copied):
    assert told(copied, "format")[0] == "PASS"
    for file in (copied / "NORMAL").iterdir():
        Image.open(file).resize((48, 64)).save(file)
    verdict, sentence, details = told(copied, "format")
    assert (verdict, details["width"], details["modes"]) == ("WARN", [48, 64], {"L": 60})
    assert "48 to 64 pixels wide" in sentence


def test_blank_and_oddly_exposed_images_are_named(copied):
    assert told(copied, "exposure")[0] == "PASS"
    pixels = np.asarray(Image.open(copied / "NORMAL" / "NORMAL (3).png"))
    Image.new("L", (64, 64), 90).save(copied / "NORMAL" / "NORMAL (1).png")
    Image.fromarray(pixels // 4).save(copied / "NORMAL" / "NORMAL (2).png")
    Image.fromarray(255 - pixels // 4).save(copied / "NORMAL" / "NORMAL (3).png")
    verdict, _, details = told(copied, "exposure")
    assert verdict == "WARN"
    assert details["blank"] == {"count": 1, "paths": ["NORMAL/NORMAL (1).png"]}
    assert details["odd"] == {"count": 2, "paths": ["NORMAL/NORMAL (2).png", "NORMAL/NORMAL (3).png"]}


def test_exact_and_near_copies_are_found_and_grouped_in_the_table(copied):
    assert told(copied, "duplicates")[0] == "PASS"
    first = Image.open(copied / "NORMAL" / "NORMAL (1).png")
    first.save(copied / "NORMAL" / "copy.bmp")
    first.resize((80, 80)).save(copied / "NORMAL" / "near.jpg", quality=90)
    verdict, sentence, details = told(copied, "duplicates")
    assert (verdict, details["exact_surplus"], details["images"]) == ("WARN", 1, 3)
    assert details["groups"] == [["NORMAL/NORMAL (1).png", "NORMAL/copy.bmp", "NORMAL/near.jpg"]]
    assert "3 images (4.8%)" in sentence
    rows = {row["path"]: row["group"] for row in audit(copied).rows}
    assert {path for path, group in rows.items() if group} == set(details["groups"][0])
    assert set(rows.values()) == {"", "as NORMAL/NORMAL (1).png"}


def test_one_radiograph_in_two_classes_is_a_wrong_label(copied):
    assert told(copied, "labels")[0] == "PASS"
    shutil.copy(copied / "NORMAL" / "NORMAL (1).png", copied / "COVID-19" / "wrong.png")
    verdict, sentence, _ = told(copied, "labels")
    assert verdict == "FAIL"
    assert "COVID-19/wrong.png, NORMAL/NORMAL (1).png" in sentence


def test_blank_copies_are_found_by_their_pixels(copied):
    for name in ("a.png", "b.png"):
        Image.new("L", (64, 64)).save(copied / "NORMAL" / name)
    assert told(copied, "duplicates")[2]["groups"] == [["NORMAL/a.png", "NORMAL/b.png"]]


def test_patients_are_known_or_the_reader_is_warned(copied):
    assert told(copied, "patients")[0] == "WARN"
    every(copied, lambda name, number: f"p{number // 2},,")
    verdict, _, details = told(copied, "patients")
    assert (verdict, details["patients"], details["with_several_images"]) == ("PASS", 30, 30)


@pytest.mark.parametrize(
    ("source", "verdict", "says"),
    [
        (lambda name, number: name, "FAIL", r"Cramér's V of class and source is 1\.00.*No source of COVID-19"),
        (lambda name, number: number % 2, "PASS", "does not tell the class"),
        (lambda name, number: "same", "PASS", r"0\.00"),
        (lambda name, number: number % 2 if number else "", "WARN", "1 images have no source"),
        (lambda name, number: "", "WARN", "No source is known"),
    ],
    ids=["class", "mixed", "one", "gaps", "unknown"],
)
def test_the_table_of_class_and_source_is_judged(copied, source, verdict, says):
    every(copied, lambda name, number: f",,{source(name, number)}")
    found, sentence, details = told(copied, "sources")
    assert found == verdict
    assert re.search(says, sentence)
    assert list(details["table"]) == list(CLASSES)


@pytest.mark.parametrize(
    ("views", "verdict"), [(("AP", "PA", "PA"), "FAIL"), (("AP", "PA"), "PASS")], ids=["by class", "mixed"]
)
def test_a_planted_confound_of_view_and_class_fails(copied, views, verdict):
    files = sorted(copied.rglob("*.png"))
    order = [CLASSES.index(file.parent.name) if len(views) == 3 else number % 2 for number, file in enumerate(files)]
    rows = [f"{file.name},{views[index]},F,w{index}" for file, index in zip(files, order, strict=True)]
    (copied / "metadata.csv").write_text("\n".join(["path,view,sex,ward", *rows]) + "\n")
    found = checks(copied)
    assert (found["views"]["verdict"], found["sex"]["verdict"]) == (verdict, "PASS")
    assert "ward" not in found  # nobody asked for it
    asked = audit_images(Radiographs(str(copied), subgroups=["Ward"])).report["checks"]
    assert {check["name"]: check["verdict"] for check in asked}["Ward"] == verdict


def test_a_table_is_read_and_its_groups_kept(copied):
    every(copied, lambda name, number: f"p{number},{'mine' if number < 2 else ''},here")
    shutil.copy(copied / "COVID-19" / "COVID-19 (1).png", copied / "COVID-19" / "z.png")
    audited = audit(copied)
    assert audited.report["metadata"] == str(copied / "metadata.csv")
    rows = {row["path"]: row for row in audited.rows}
    assert rows["COVID-19/z.png"] == {"path": "COVID-19/z.png", "patient": "", "group": "mine", "source": ""}
    assert sum(row["group"] == "mine" for row in rows.values()) == 3
    assert audit(copied, metadata="none").report["metadata"] is None


def test_a_given_table_must_be_of_this_folder(copied, tmp_path):
    (tmp_path / "t.csv").write_text("path\nelsewhere.png\n")
    with pytest.raises(UserError, match=r"Change data\.metadata"):
        audit(copied, metadata=str(tmp_path / "t.csv"))


def test_the_table_is_written_once_and_training_uses_it(copied):
    shutil.copy(copied / "NORMAL" / "NORMAL (1).png", copied / "NORMAL" / "copy.png")
    file, _ = write_table(audit(copied), copied, None, force=False)
    assert file == copied / "metadata.csv"
    before = file.read_text()
    with file.open(newline="") as lines:
        assert next(csv.reader(lines)) == ["path", "patient", "group", "source"]
    groups = RadiographyDataModule(str(copied), duplicates=False, test_per_class=3).metadata.rows
    assert sum(bool(row["group"]) for row in groups.values()) == 2
    again, said = write_table(audit(copied), copied, None, force=False)
    assert again is None
    assert "left as it is" in said
    assert write_table(audit(copied), copied, None, force=True)[0] == file
    assert file.read_text() == before


def test_columns_that_nobody_uses_survive_where_the_table_is_written_anew(tmp_path):
    root = paint(tmp_path / "xrays", per_class=2)
    paths = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    rows = [f"{path};p{number};{50 + number};tube {number}\n" for number, path in enumerate(paths)]
    (root / "metadata.csv").write_text("filename;subject_id;Patient Age;Devices\n" + "".join(rows))
    (root / paths[-1]).write_bytes(b"")  # nor is a row lost whose image cannot be read today
    file, _ = write_table(audit(root), root, None, force=True)
    with file.open(newline="") as lines:
        written = list(csv.DictReader(lines))
    assert list(written[0]) == ["path", "patient", "group", "source", "age", "Devices"]
    assert [(row["path"], row["patient"], row["age"], row["Devices"]) for row in written] == [
        (path, f"p{number}", str(50 + number), f"tube {number}") for number, path in enumerate(paths)
    ]


def test_a_folder_that_takes_no_table_is_told(copied, tmp_path):
    (tmp_path / "file").touch()
    file, said = write_table(audit(copied), copied, Path(tmp_path / "file" / "t.csv"), force=False)
    assert file is None
    assert "was not written" in said
    assert "--out FILE" in said


def test_painted_classes_fail_by_their_greys(tmp_path):
    assert told(paint(tmp_path / "xrays"), "histogram")[0] == "FAIL"


def test_a_class_with_a_single_image_is_told_rather_than_probed(tmp_path):
    verdict, sentence, _ = told(paint(tmp_path / "xrays", per_class=1), "border")
    assert (verdict, sentence) == ("WARN", "A class has too few independent images to tell.")


def test_what_is_printed_names_every_check_and_the_sources(copied, capsys):
    every(copied, lambda name, number: f",,[{name}]")  # brackets are rich's markup
    report = audit(copied).report
    print_audit(report, "Told.")
    printed = capsys.readouterr().out
    assert all(check["name"].replace("_", " ") in printed for check in report["checks"])
    assert "[NORMAL]" in printed
    assert "Verdict: FAIL. Told." in printed


def once(inspect):
    """Return what inspects the files of the first call alone."""
    found = []
    return lambda *given: found or found.extend(inspect(*given)) or found


def covered_lungs(*seen):
    """Return what the probe of covered lungs sees, and next to nothing for the others."""
    return {name: all_of[:, : None if name == "lungs_covered" else 1] for name, all_of in views(*seen).items()}


@pytest.mark.xdist_group("real")
def test_the_first_release_fails_without_its_table_and_with_it(real_data, monkeypatch):
    root = real_data / "release1" / "COVID-19 Radiography Database"
    # The files are read once, and one probe sees all that it may.
    monkeypatch.setattr("covidnet.evidence.audit.inspect_files", once(inspect_files))
    monkeypatch.setattr("covidnet.evidence.audit_checks.views", covered_lungs)
    without = checks(root, metadata="none")
    assert without["lungs_covered"]["verdict"] == "FAIL"
    assert without["lungs_covered"]["details"]["interval"][0] > 0.9
    monkeypatch.setattr("covidnet.evidence.audit_checks.probe", lambda *_: None)
    report = audit(root).report
    assert report["release"] == "the first release"
    (sources,) = (check for check in report["checks"] if check["name"] == "sources")
    assert (sources["verdict"], round(sources["details"]["cramers_v"], 2)) == ("FAIL", 0.71)
    assert "No source of COVID-19 gave images of another class" in sources["sentence"]


def test_odd_files_are_told_with_their_reasons(real_data, copied):
    shutil.copytree(real_data / "odd", copied / "NORMAL" / "odd")
    found = checks(copied)
    assert len(found["files"]["details"]["unreadable"]) == 3
    assert found["exposure"]["details"]["blank"]["paths"] == ["NORMAL/odd/blank.jpg"]
    assert found["exposure"]["details"]["odd"]["paths"] == ["NORMAL/odd/nearly_black.png"]


def test_each_step_of_an_audit_is_named_once_and_all_are_counted(drawn, monkeypatch):
    named = []

    @contextmanager
    def steps(total, title, **_):
        yield named.append
        assert len(named) == total

    monkeypatch.setattr("covidnet.evidence.audit.named_steps", steps)
    audit(drawn[0])
    assert len(set(named)) == len(named)
