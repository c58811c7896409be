"""Two runs compared: on the images that both have, by patient where that is known; what does not fit is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import paint

from covidnet.cli import main
from covidnet.compare import compare_runs
from covidnet.errors import UserError
from covidnet.evaluation.comparison import compare_outputs
from covidnet.tools import main as tools

CLASSES = ["COVID-19", "NORMAL"]
QUICK = ["trainer=cpu", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false"]


def write_run(
    name: str, right: dict[str, bool], classes: list[str] = CLASSES, label: str = "NORMAL", root: Path | None = None
) -> Path:
    """Write a run's predictions of images of one class, right or wrong, with 0.8 for the class that is said."""
    folder = Path(name)
    folder.mkdir()
    with (folder / "predictions.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["path", "label", "predicted", *(f"prob_{of_class}" for of_class in classes)])
        for path, hit in right.items():
            predicted = label if hit else next(of_class for of_class in classes if of_class != label)
            rest = 0.2 / (len(classes) - 1)
            writer.writerow([path, label, predicted, *(0.8 if of_class == predicted else rest for of_class in classes)])
    if root:
        data = {"class_path": "covidnet.data.module.RadiographyDataModule", "init_args": {"root": str(root)}}
        (folder / "config.yaml").write_text(json.dumps({"data": data}))
    return folder


def images(number: int, wrong: range = range(0)) -> dict[str, bool]:
    return {f"NORMAL/NORMAL ({i}).png": i not in wrong for i in range(1, number + 1)}


def test_the_common_images_are_matched_by_path_whatever_the_order_of_rows_and_classes():
    first = write_run("first", images(12, wrong=range(1, 4)))
    second = write_run("second", dict(reversed(images(10, wrong=range(3, 5)).items())), classes=CLASSES[::-1])
    found = compare_runs(first, second)
    assert found["images"] == 10
    assert found["left_out"] == [2, 0]
    assert found["patients"] is None
    assert found["metrics"]["accuracy"]["first"] == pytest.approx(0.7)
    assert found["metrics"]["accuracy"]["second"] == pytest.approx(0.8)
    assert found["mcnemar"] == {"first_better": 1, "second_better": 2, "p_value": pytest.approx(1.0)}
    assert "10 test images that both runs have; 2 of the first and 0 of the second" in found["notes"][0]
    assert "every image counts as independent" in found["notes"][1]


def test_the_numbers_are_those_of_the_paired_comparison():
    first, second = write_run("first", images(12, wrong=range(1, 4))), write_run("second", images(12))
    probabilities = [np.array([[0.8, 0.2] if i < wrong else [0.2, 0.8] for i in range(12)]) for wrong in (3, 0)]
    expected = compare_outputs(*probabilities, np.ones(12, dtype=int))
    found = compare_runs(first, second)
    assert {key: found[key] for key in expected} == expected


def test_images_of_a_patient_count_once_where_the_table_is_still_there(xray_root):
    with (xray_root / "metadata.csv").open("w") as table:
        table.write("path,patient\n" + "".join(f"NORMAL/NORMAL ({i}).png,{(i + 1) // 2}\n" for i in range(1, 13)))
    first = write_run("first", images(12, wrong=range(1, 5)), root=xray_root)
    second = write_run("second", images(12))
    found = compare_runs(first, second)
    assert found["patients"] == 6
    assert found["mcnemar"]["second_better"] == 2
    assert "6 patients or groups" in found["notes"][-1]
    (xray_root / "metadata.csv").unlink()
    assert compare_runs(first, second)["patients"] is None


def test_different_folders_are_told(tmp_path):
    roots = [paint(tmp_path / name, per_class=1) for name in ("one", "two")]
    runs = [write_run(root.name, images(4), root=root) for root in roots]
    assert f"different folders, {roots[0]} and {roots[1]}" in compare_runs(*runs)["notes"][0]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"classes": [*CLASSES, "Viral Pneumonia"]}, "data.classes"),
        ({"label": "COVID-19"}, r"is NORMAL in first and COVID-19 in second, and so for 4 of 4"),
        ({"right": {"NORMAL/other.png": True}}, "no test image in common"),
    ],
    ids=["classes", "labels", "images"],
)
def test_runs_that_do_not_fit_are_refused(other, says):
    first = write_run("first", images(4))
    second = write_run("second", **{"right": images(4), **other})
    with pytest.raises(UserError, match=says):
        compare_runs(first, second)


def test_a_run_without_predictions_is_told_which_command_writes_them():
    first = write_run("first", images(4))
    Path("second").mkdir()
    with pytest.raises(UserError, match=r"python train.py predict ckpt_path=second/checkpoints/best.ckpt"):
        compare_runs(first, Path("second"))
    with pytest.raises(UserError, match="nowhere is no folder"):
        compare_runs(first, Path("nowhere"))


@pytest.mark.parametrize("text", ["", "path,label\n", "path,label,prob_A,prob_B\nx,A,much,0\n", "a,b\n1,2\n"])
def test_a_file_that_holds_no_predictions_is_refused(text):
    first = write_run("first", images(4))
    Path("second").mkdir()
    Path("second", "predictions.csv").write_text(text)
    with pytest.raises(UserError, match=r"predictions.csv"):
        compare_runs(first, Path("second"))


def test_the_command_prints_and_writes_what_it_found_of_real_runs(xray_root, capsys):
    args = [f"data.root={xray_root}", "data.test_per_class=3", "data.image_size=12", "trainer.max_epochs=1", *QUICK]
    main([*args, "data.metadata=none"])
    main(["predict", "ckpt_path=last", *QUICK])  # the run directory of a prediction serves too
    capsys.readouterr()
    assert tools(["compare", "runs/convnet/version_0", "runs/convnet/version_1", "--json", "found.json"]) == 0
    found = json.loads(Path("found.json").read_text())
    assert found["images"] == 9
    assert found["classes"] == ["COVID-19", "NORMAL", "Viral Pneumonia"]
    assert "data.metadata=none" in found["notes"][-1]
    printed = capsys.readouterr().out
    assert found["sentence"] in printed
    assert "Exact McNemar" in printed
    with pytest.raises(SystemExit) as stopped:
        tools(["compare", "runs/convnet/version_0", "runs/convnet/version_1", "--json", "no/found.json"])
    assert stopped.value.code == 2
    assert "Give another --json FILE" in capsys.readouterr().err
