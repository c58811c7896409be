"""Miniatures of the layouts and tables that data sets have: each trains with one command, without moving a file."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import QUICK, RUN, mistake, read_rows, slow
from PIL import Image

from covidnet.commands.train import main

LEVELS = {"Normal": 60, "Pneumonia": 180, "": 120}
FIT = ["fit", "data.test_per_class=2", "data.image_size=8", "data.batch_size=8", "trainer.max_epochs=1", *QUICK]
LABELS = "data.labels={Normal: No Finding, Pneumonia: Pneumonia}"


def draw(file: Path, name: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(file.as_posix().encode())
    pixels = np.random.default_rng(seed).normal(LEVELS[name] + seed % 20, 12, (16, 16)).clip(0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(file)


def truth(number: int) -> str:
    return ["Normal", "Pneumonia", ""][number % 3]  # "" is of neither


def nih(root: Path) -> tuple[list[str], dict[str, str]]:
    """Bare names, images in twelve folders, labels between bars, and a header with commas in its names."""
    head = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
    )
    cells = {"Normal": "No Finding", "Pneumonia": "Pneumonia|Effusion", "": "Mass|Nodule"}
    rows, labels = [], {}
    for n in range(36):
        name, path = f"{n // 2:08d}_{n % 2:03d}.png", f"images_{n % 12:03d}/images/{n // 2:08d}_{n % 2:03d}.png"
        draw(root / path, truth(n))
        rows.append(f"{name},{cells[truth(n)]},{n % 2},{n // 2},5{n % 9},M,PA,2500,2048,0.168,0.168,\n")
        labels[path] = truth(n)
    (root / "Data_Entry_2017.csv").write_text(head + "".join(rows))
    return [f"data.table={root}/Data_Entry_2017.csv", LABELS], labels


def chexpert(root: Path) -> tuple[list[str], dict[str, str]]:
    """Paths from the folder above, and a column a finding: 1.0, 0.0, -1.0 or nothing."""
    head = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Pneumonia,Support Devices\n"
    cells = {"Normal": "1.0,,", "Pneumonia": ",1.0,1.0", "": ",-1.0,1.0"}
    rows, labels = [], {}
    for n in range(36):
        path = f"train/patient{n // 2:05d}/study{1 + n % 2}/view1_frontal.jpg"
        draw(root / "CheXpert-v1.0-small" / path, truth(n))
        rows.append(f"CheXpert-v1.0-small/{path},Male,68,Frontal,AP,{cells[truth(n)]}\n")
        labels[path] = truth(n)
    (root / "CheXpert-v1.0-small" / "train.csv").write_text(head + "".join(rows))
    return [f"data.table={root}/CheXpert-v1.0-small/train.csv", LABELS], labels


def padchest(root: Path) -> tuple[list[str], dict[str, str]]:
    """A list of labels as Python writes it, in a cell; patients that nobody knows."""
    head = ",ImageID,ImageDir,StudyID,PatientID,Projection,Labels\n"
    cells = {"Normal": "['normal']", "Pneumonia": "['pneumonia', 'pleural effusion']", "": "['unchanged', '']"}
    rows, labels = [], {}
    for n in range(36):
        draw(root / "0" / f"{n}.png", truth(n))
        rows.append(f'{n},{n}.png,0,study{n},{n if n % 5 else "None"},PA,"{cells[truth(n)]}"\n')
        labels[f"0/{n}.png"] = truth(n)
    (root / "padchest.csv").write_text(head + "".join(rows))
    return [f"data.table={root}/padchest.csv", "data.labels={Normal: normal, Pneumonia: pneumonia}"], labels


def vindr(root: Path) -> tuple[list[str], dict[str, str]]:
    """Names without an ending, and a row a box and reader."""
    cells = {"Normal": ["No finding"] * 3, "Pneumonia": ["Pneumonia", "Pneumonia", "Mass"], "": ["Mass"]}
    rows, labels = ["image_id,class_name,class_id,rad_id,x_min\n"], {}
    for n in range(36):
        draw(root / "train" / f"{n:032x}.png", truth(n))
        rows += [f"{n:032x},{cell},{i},R{i},{10 * i}.0\n" for i, cell in enumerate(cells[truth(n)])]
        labels[f"train/{n:032x}.png"] = truth(n)
    (root / "train.csv").write_text("".join(rows))
    words = ["data.labels={Normal: No finding, Pneumonia: Pneumonia}", "data.disagree=any"]
    return [f"data.root={root}/train", f"data.table={root}/train.csv", *words], {
        path.removeprefix("train/"): name for path, name in labels.items()
    }


def rsna(root: Path) -> tuple[list[str], dict[str, str]]:
    """The name of the file is the patient's; 1 and 0 are the classes, and a box repeats its row."""
    rows, labels = ["patientId,x,y,width,height,Target\n"], {}
    for n in range(36):
        name = truth(n) or "Normal"
        draw(root / "stage_2_train_images" / f"{n:08d}-a.png", name)
        rows += [f"{n:08d}-a,{box},1,2,3,{int(name == 'Pneumonia')}\n" for box in range(1 + n % 2)]
        labels[f"stage_2_train_images/{n:08d}-a.png"] = name
    (root / "stage_2_train_labels.csv").write_text("".join(rows))
    words = ["data.columns={path: patientId, patient: patientId}", "data.labels={Normal: 0, Pneumonia: 1}"]
    return [f"data.table={root}/stage_2_train_labels.csv", *words], labels


def hospital(root: Path) -> tuple[list[str], dict[str, str]]:
    """A workbook from a Windows: whole paths, a column a class, a split."""
    openpyxl = pytest.importorskip("openpyxl")
    book, labels = openpyxl.Workbook(), {}
    book.active.append(["File Name", "Normal", "Pneumonia", "Patient", "Split"])
    for n in range(36):
        name = truth(n) or "Normal"
        draw(root / "Bilder" / f"Röntgen {n}.png", name)
        path = f"D:\\Daten\\Bilder\\Röntgen {n}.PNG"
        book.active.append([path, name == "Normal", name == "Pneumonia", n // 2, ["train", "train", "val"][n // 2 % 3]])
        labels[f"Bilder/Röntgen {n}.png"] = name
    book.save(root / "Liste.xlsx")
    return [f"data.table={root}/Liste.xlsx", "data.use_val=true"], labels


@pytest.mark.parametrize("layout", [nih, chexpert, padchest, vindr, rsna, hospital], ids=lambda one: one.__name__)
def test_a_miniature_trains_with_one_command(tmp_path, layout):
    words, labels = layout(tmp_path)
    main([*FIT, *words])
    found = {row["path"]: row["label"] for row in read_rows(RUN / "split.csv")}
    assert found == {path: name for path, name in labels.items() if name}
    assert (RUN / "checkpoints" / "last.ckpt").is_file()


def test_what_a_column_says_of_the_split_is_followed_exactly(tmp_path):
    words, _ = hospital(tmp_path)
    main([*FIT, *words])
    rows = read_rows(RUN / "split.csv")
    number = {row["path"]: int(row["path"].split()[1].split(".")[0]) for row in rows}
    assert {row["path"] for row in rows if row["split"] == "val"} == {p for p, n in number.items() if n // 2 % 3 == 2}


def test_no_patient_of_a_table_is_on_two_sides_of_a_drawn_split(tmp_path):
    words, _ = nih(tmp_path)
    main([*FIT, *words])
    sides: dict[str, set[str]] = {}
    for row in read_rows(RUN / "split.csv"):
        sides.setdefault(Path(row["path"]).name.split("_")[0], set()).add(row["split"])
    assert {len(held) for held in sides.values()} == {1}


@slow
def test_a_run_by_a_table_is_gone_on_with_and_tested(tmp_path):
    words, _ = chexpert(tmp_path)
    main([*FIT, *words])
    main(["fit", f"ckpt_path={RUN / 'checkpoints' / 'last.ckpt'}", "trainer.max_epochs=2", *QUICK])
    assert {row["epoch"] for row in read_rows(RUN / "metrics.csv")} == {"0", "1"}
    main(["test", f"ckpt_path={RUN / 'checkpoints' / 'last.ckpt'}", *QUICK])
    assert [row["what"] for row in read_rows(RUN / "test_evaluations.csv")] == ["test"]


@pytest.mark.parametrize("classes", [["0", "1", "10"], ["yes", "NO"]])
@pytest.mark.parametrize("how", ["typed", "in a file", "in a file elsewhere"])
def test_classes_may_be_called_as_numbers_and_truth_values_are(tmp_path, classes, how):
    for name in classes:
        for number in range(6):
            draw(tmp_path / "root" / name / f"{number}.png", "Normal" if name == classes[0] else "Pneumonia")
    given = f"[{','.join(classes)}]"
    (tmp_path / "c.yaml").write_text(f"data: {{classes: {given}}}")
    file = {"in a file": f"{tmp_path / 'c.yaml'}", "in a file elsewhere": f"file://{tmp_path / 'c.yaml'}"}
    word = f"data.classes={given}" if how == "typed" else f"--config={file[how]}"
    assert main([*FIT, f"data.root={tmp_path / 'root'}", word]).datamodule.classes == classes


def test_a_mistake_in_a_key_of_a_table_is_one_sentence(tmp_path, capsys):
    words, _ = nih(tmp_path)
    message = mistake([*FIT, *words[:1], "data.labels={Normal: No Findings, Pneumonia: Pneumonia}"], capsys)
    assert "has the labels" in message
    assert "not 'No Findings'. Did you mean 'No Finding'?" in message
    assert "data.root" not in mistake([*FIT, *words, "data.disagree=both"], capsys)
