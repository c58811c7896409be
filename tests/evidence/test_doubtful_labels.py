"""``covidnet labels``: what it leaves, that a corrected table trains with the corrected labels, and what it refuses."""

import csv
import shutil
from pathlib import Path

import pytest
from helpers import QUICK, call, paint, read_json, read_rows, slow
from made_run import CLASSES, write_table
from made_series import write_crossval

from covidnet.commands import labels
from covidnet.commands.train import main
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError

COVID, NORMAL = CLASSES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_crossval(tmp_path)


def correct(file: Path, corrected: dict[str, str]) -> None:
    """Change labels in a table, as a user does."""
    rows = read_rows(file)
    write_table(
        file, [*rows[0]], [[*{**row, "label": corrected.get(row["path"], row["label"])}.values()] for row in rows]
    )


def test_the_table_ranks_each_image_and_given_back_corrected_it_is_the_labels(folder, tmp_path, capsys):
    rows = read_rows(folder / "predictions.csv")
    rows[2] |= {f"prob_{COVID}": "0.05", f"prob_{NORMAL}": "0.95"}  # as sure of the other class as of its own images
    write_table(folder / "predictions.csv", [*rows[0]], [[*row.values()] for row in rows])
    call(labels, folder, "--top", 2)
    printed = capsys.readouterr().out
    rows = read_rows(folder / "labels.csv")
    said = {row["path"]: row for row in read_rows(folder / "predictions.csv")}
    doubted = [f"{COVID}/{COVID} ({number}).png" for number in (3, 2, 1)]  # called the other class, the last the surest
    assert [row["path"] for row in rows[:3]] == doubted
    assert {row["path"] for row in rows} == said.keys()
    first = rows[0]
    assert (first["label"], first["suggested"], first["suspect"], first["patient"]) == (COVID, NORMAL, "yes", "P1")
    assert not any(row["suspect"] for row in rows[1:])
    assert first["fold"] == said[first["path"]]["fold"]
    assert "remark" not in first  # a column that nobody asked for may hold names
    assert [float(row["doubt"]) for row in rows] == sorted((float(row["doubt"]) for row in rows), reverse=True)
    told = read_json(folder / "labels.json")
    assert [row["path"] for row in told["most_doubtful"]] == [row["path"] for row in rows[:2]]
    assert sum(map(sum, told["estimated"])) == pytest.approx(10)
    assert "That proves nothing" in printed
    correct(folder / "labels.csv", {first["path"]: NORMAL})
    data = Radiographs(str(tmp_path / "xrays"), table=str(folder / "labels.csv"))
    given = dict(zip(data.folder.paths, data.folder.targets, strict=True))
    assert [data.classes[given[row["path"]]] for row in rows] == [NORMAL, *(row["label"] for row in rows[1:])]
    assert data.metadata.rows[first["path"]]["patient"] == "P1"


def test_a_table_that_somebody_has_corrected_is_never_written_over(folder, tmp_path):
    run = folder.parent / "version_0"
    call(labels, run)
    call(labels, run)  # one that nobody has changed is
    correct(run / "labels.csv", {read_rows(run / "labels.csv")[4]["path"]: "neither"})
    before = (run / "labels.csv").read_bytes()
    with pytest.raises(UserError, match=r"labels\.csv holds 1 labels that were changed"):
        call(labels, run)
    assert (run / "labels.csv").read_bytes() == before
    call(labels, run, "--out", tmp_path / "other.csv", "--json", tmp_path / "other.json")
    assert len(read_rows(tmp_path / "other.csv")) == len(read_json(tmp_path / "other.json")["most_doubtful"]) == 10


def test_images_that_no_fold_has_tested_stand_in_the_table_without_a_doubt(folder):
    rows = read_rows(folder / "predictions.csv")
    write_table(folder / "predictions.csv", [*rows[0]], [[*row.values()] for row in rows if row["fold"] == "1"])
    shutil.rmtree(folder / "fold_2")
    call(labels, folder)
    told = {row["path"]: row for row in read_rows(folder / "labels.csv")}
    assert {path for path, row in told.items() if not row["doubt"]} == {r["path"] for r in rows if r["fold"] == "2"}
    assert {path: row["label"] for path, row in told.items()} == {row["path"]: row["label"] for row in rows}
    assert "5 images no model" in " ".join(read_json(folder / "labels.json")["notes"])


def test_a_single_run_tells_of_its_test_alone(folder, capsys):
    run = folder.parent / "version_0"
    call(labels, run)
    assert "of its test images alone" in capsys.readouterr().out
    assert "fold" not in read_rows(run / "labels.csv")[0]
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("predictions.csv", "its folds have not all ended"),
        ("folds.csv", r"folds\.csv is damaged"),
        ("crossval.json", "holds no results.json"),
    ],
)
def test_what_has_not_ended_is_refused_in_a_sentence(folder, lost, message):
    (folder / lost).unlink()
    if lost == "crossval.json":
        for fold in folder.glob("fold_*"):
            shutil.rmtree(fold)
    with pytest.raises(UserError, match=message):
        call(labels, folder)


@slow
def test_moved_images_are_found_and_the_corrected_table_trains_with_the_right_labels(tmp_path):
    root = paint(tmp_path / "xrays", per_class=20)
    moved = {"NORMAL/COVID-19 (3).png": "COVID-19", "COVID-19/Viral Pneumonia (5).png": "Viral Pneumonia"}
    for path, name in moved.items():
        (root / name / Path(path).name).rename(root / path)
    args = [f"data.root={root}", "data.image_size=12", "data.batch_size=8", *QUICK]
    main(["crossval", *args, "k=3", "trainer.max_epochs=20", "early_stopping.patience=20", "model.learning_rate=0.003"])
    folder = Path("runs", "convnet", "crossval_0")
    assert "Doubtful labels" in (folder / "report.html").read_text(encoding="utf-8")
    call(labels, folder)
    assert {row["path"]: row["suggested"] for row in read_rows(folder / "labels.csv")[:2]} == moved
    correct(folder / "labels.csv", moved)
    main(["fit", *args, f"data.table={folder / 'labels.csv'}", "data.test_per_class=4", "trainer.max_epochs=1"])
    with (Path("runs", "convnet", "version_0") / "split.csv").open(newline="") as lines:
        trained = {row["path"]: row["label"] for row in csv.DictReader(lines)}
    assert len(trained) == 60
    assert moved.items() <= trained.items()
