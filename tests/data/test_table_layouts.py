"""Tables as people have them: each trains with one command, without moving a file."""

from pathlib import Path

import pytest
from helpers import QUICK, RUN, mistake, read_rows, slow
from known_sets import draw, truth

from covidnet.commands.train import main

FIT = ["fit", "data.test_per_class=2", "data.image_size=8", "data.batch_size=8", "trainer.max_epochs=1", *QUICK]


def kaggle(root: Path) -> tuple[list[str], dict[str, str]]:
    """Names without an ending, and a row a box and reader."""
    cells = {"Normal": ["No finding"] * 3, "Pneumonia": ["Pneumonia", "Pneumonia", "Mass"], "": ["Mass"]}
    rows, labels = ["image_id,class_name,class_id,rad_id,x_min\n"], {}
    for n in range(36):
        draw(root, f"train/{n:032x}.png", truth(n))
        rows += [f"{n:032x},{cell},{i},R{i},{10 * i}.0\n" for i, cell in enumerate(cells[truth(n)])]
        labels[f"{n:032x}.png"] = truth(n)
    (root / "train.csv").write_text("".join(rows))
    words = ["data.labels={Normal: No finding, Pneumonia: Pneumonia}", "data.disagree=any"]
    return [f"data.root={root}/train", f"data.table={root}/train.csv", *words], labels


def hospital(root: Path) -> tuple[list[str], dict[str, str]]:
    """A workbook from a Windows: whole paths, a column a class, a split."""
    openpyxl = pytest.importorskip("openpyxl")
    book, labels = openpyxl.Workbook(), {}
    book.active.append(["File Name", "Normal", "Pneumonia", "Patient", "Split"])
    for n in range(36):
        name = truth(n) or "Normal"
        draw(root, f"Bilder/Röntgen {n}.png", name)
        path = f"D:\\Daten\\Bilder\\Röntgen {n}.PNG"
        book.active.append([path, name == "Normal", name == "Pneumonia", n // 2, ["train", "train", "val"][n // 2 % 3]])
        labels[f"Bilder/Röntgen {n}.png"] = name
    book.save(root / "Liste.xlsx")
    return [f"data.table={root}/Liste.xlsx", "data.use_val=true"], labels


@pytest.mark.parametrize("layout", [kaggle, hospital], ids=lambda one: one.__name__)
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


@slow
def test_a_run_by_a_table_is_gone_on_with_and_tested(tmp_path):
    words, _ = kaggle(tmp_path)
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
            draw(tmp_path / "root", f"{name}/{number}.png", "Normal" if name == classes[0] else "Pneumonia")
    given = f"[{','.join(classes)}]"
    (tmp_path / "c.yaml").write_text(f"data: {{classes: {given}}}")
    file = {"in a file": f"{tmp_path / 'c.yaml'}", "in a file elsewhere": f"file://{tmp_path / 'c.yaml'}"}
    word = f"data.classes={given}" if how == "typed" else f"--config={file[how]}"
    assert main([*FIT, f"data.root={tmp_path / 'root'}", word]).datamodule.classes == classes


def test_a_mistake_in_a_key_of_a_table_is_one_sentence(tmp_path, capsys):
    words, _ = kaggle(tmp_path)
    message = mistake([*FIT, *words[:2], "data.labels={Normal: No findings, Pneumonia: Pneumonia}"], capsys)
    assert "has the labels" in message
    assert "not 'No findings'. Did you mean 'No finding'?" in message
    assert "data.root" not in mistake([*FIT, *words, "data.disagree=both"], capsys)
