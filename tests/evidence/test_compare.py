"""Two runs or repeats compared: on the images that all have, by patient where known; what does not fit is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import QUICK, call, paint, read_json, untold_keys

from covidnet.commands import compare
from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.errors import UserError
from covidnet.evaluation.comparison import compare_outputs
from covidnet.evidence.compare import compare_runs

CLASSES = ["COVID-19", "NORMAL"]


def write_run(
    name: str, right: dict[str, bool], classes: list[str] = CLASSES, label: str = "NORMAL", root: Path | None = None
) -> Path:
    """Write a run's predictions of images of one class, right or wrong, with 0.8 for the class that is said."""
    folder = Path(name)
    write_predictions(folder / "predictions.csv", [(path, label, hit) for path, hit in right.items()], classes)
    if root:
        data = {"class_path": "covidnet.data.module.RadiographyDataModule", "init_args": {"root": str(root)}}
        (folder / "config.yaml").write_text(json.dumps({"data": data}))
    return folder


def write_predictions(file: Path, rows: list[tuple], classes: list[str] = CLASSES, more: tuple[str, ...] = ()) -> None:
    """Write rows of path, label, whether it is said, and the columns ``more``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["path", "label", "predicted", *(f"prob_{name}" for name in classes), *more])
        for path, label, hit, *known in rows:
            predicted = label if hit else next(name for name in classes if name != label)
            rest = 0.2 / (len(classes) - 1)
            writer.writerow([path, label, predicted, *(0.8 if name == predicted else rest for name in classes), *known])


def write_repeat(name: str, wrong: dict[str, list[int]]) -> Path:
    """Write a repeat of which each seed is wrong, in each part, on so many of 20 images a class; return its directory.

    Outside, the images of a class are of two sources, ten each, and two images are of each patient.
    """
    files = {
        "inside": "predictions.csv",
        "outside": "external_predictions.csv",
        "lungs_covered": "shortcuts/covered/convnet/version_0/predictions.csv",
        "lungs_only": "shortcuts/only/convnet/version_0/predictions.csv",
        "swapped_at_test": "shortcuts/swapped_at_test/convnet/version_0/predictions.csv",
    }
    for part, by_seed in wrong.items():
        for seed, errors in enumerate(by_seed):
            rows = [
                (f"{label}/{i}.png", label, i >= errors, ("here", "there")[i % 2], i // 2 + 10 * number)
                for number, label in enumerate(CLASSES)
                for i in range(20)
            ]
            file = Path(name, f"seed_{seed}", files[part])
            write_predictions(file, rows, more=("source", "patient"))
            (file.parent / "results.json").write_text("{}")
    for folder in Path(name).iterdir():
        sources = {"here": {"in_training": True}, "there": {"in_training": False}}
        (folder / "external.json").write_text(json.dumps({"per_source": sources}))
    return Path(name)


def images(number: int, wrong: range = range(0)) -> dict[str, bool]:
    return {f"NORMAL/NORMAL ({i}).png": i not in wrong for i in range(1, number + 1)}


def test_the_common_images_are_matched_by_path_whatever_the_order_of_rows_and_classes():
    first = write_run("first", images(12, wrong=range(1, 4)))
    second = write_run("second", dict(reversed(images(10, wrong=range(3, 5)).items())), classes=CLASSES[::-1])
    found = compare_runs(first, second)
    inside = found["parts"]["inside"]
    assert inside["images"] == 10
    assert inside["left_out"] == [2, 0]
    assert inside["patients"] is None
    assert inside["metrics"]["accuracy"]["first"] == pytest.approx(0.7)
    assert inside["metrics"]["accuracy"]["second"] == pytest.approx(0.8)
    assert inside["mcnemar"] == {"first_better": 1, "second_better": 2, "p_value": pytest.approx(1.0)}
    assert "10 images that all runs have; 2 of A and 0 of B" in found["notes"][0]
    assert "every image counts as independent" in found["notes"][1]


def test_the_numbers_are_those_of_the_paired_comparison():
    first, second = write_run("first", images(12, wrong=range(1, 4))), write_run("second", images(12))
    probabilities = [np.array([[0.8, 0.2] if i < wrong else [0.2, 0.8] for i in range(12)]) for wrong in (3, 0)]
    expected = compare_outputs(*probabilities, np.ones(12, dtype=int))
    found = compare_runs(first, second)["parts"]["inside"]
    assert {key: found[key] for key in expected} == expected


def test_images_of_a_patient_count_once_where_the_table_is_still_there(xray_root):
    with (xray_root / "metadata.csv").open("w") as table:
        table.write("path,patient\n" + "".join(f"NORMAL/NORMAL ({i}).png,{(i + 1) // 2}\n" for i in range(1, 13)))
    first = write_run("first", images(12, wrong=range(1, 5)), root=xray_root)
    second = write_run("second", images(12))
    found = compare_runs(first, second)
    assert found["parts"]["inside"]["patients"] == 6
    assert found["parts"]["inside"]["mcnemar"]["second_better"] == 2
    assert "6 patients or groups" in found["notes"][0]
    (xray_root / "metadata.csv").unlink()
    assert compare_runs(first, second)["parts"]["inside"]["patients"] is None


def test_both_are_compared_in_each_group_that_a_table_tells(tmp_path, capsys):
    root = paint(tmp_path / "many", ("COVID-19", "NORMAL"), per_class=70, size=8)
    rows = [f"NORMAL/NORMAL ({i}).png,{'AP' if i % 2 else 'PA'},{'F' if i < 29 else ''}" for i in range(1, 71)]
    (root / "metadata.csv").write_text("\n".join(["path,view,sex", *rows]) + "\n")
    first = write_run("first", images(70, wrong=range(1, 20, 2)), root=root)
    write_run("second", images(70))
    groups = compare_runs(first, Path("second"))["parts"]["inside"]["groups"]
    assert [(one["attribute"], one["group"], one["images"]) for one in groups] == [
        ("view", "AP", 35),
        ("view", "PA", 35),
    ]
    assert [one["difference"] for one in groups] == pytest.approx([10 / 35, 0])
    tools(["compare", "first", "second"])
    assert "view: AP (35)" in capsys.readouterr().out


def test_different_folders_are_told(tmp_path):
    roots = [paint(tmp_path / name, per_class=1) for name in ("one", "two")]
    runs = [write_run(root.name, images(4), root=root) for root in roots]
    assert f"different folders, {roots[0]} and {roots[1]}" in compare_runs(*runs)["notes"][0]


ALL = {
    "inside": [2, 3],
    "lungs_covered": [8, 8],
    "lungs_only": [4, 5],
    "swapped_at_test": [6, 7],
    "outside": [10, 12],
}


def test_repeats_are_compared_by_the_mean_of_their_seeds_in_every_part():
    first = write_repeat("first", ALL)
    second = write_repeat("second", {**ALL, "lungs_covered": [9, 9], "swapped_at_test": [2, 3], "outside": [4, 6]})
    found = compare_runs(first, second)
    assert found["runs"] == [2, 2]
    assert list(found["parts"]) == ["inside", "lungs_only", "lungs_covered", "swapped_at_test", "outside"]
    swapped = found["parts"]["swapped_at_test"]["metrics"]["balanced_accuracy"]
    assert swapped["difference"] == pytest.approx(0.2)
    inside, outside = (found["parts"][part]["metrics"]["balanced_accuracy"] for part in ("inside", "outside"))
    assert inside["first_runs"] == inside["second_runs"] == pytest.approx([0.9, 0.85])
    assert inside["interval"][0] < 0 < inside["interval"][1]
    assert outside["difference"] == pytest.approx(0.3)
    assert 0 < outside["interval"][0] < 0.3 < outside["interval"][1]
    assert "mcnemar" not in found["parts"]["inside"]
    assert found["parts"]["outside"]["patients"] == 20
    shares = [(0.6 - 0.5) / 0.4, (0.6 - 0.5) / 0.35]  # of the first side: the balanced accuracies above chance
    assert found["survives"]["first_runs"] == pytest.approx(shares)
    assert found["survives"]["difference"] == pytest.approx(-np.mean(shares) / 2)
    assert untold_keys(found) == set()
    assert found["sentence"].startswith("Elsewhere, B is 30.0 points better than A [")
    assert "(balanced accuracy over COVID-19, NORMAL; 2 seeds each); at home it is 0.0 points" in found["sentence"]
    low, high = (100 * limit for limit in outside["seed_interval"])
    assert low < 30 < high
    assert f"] by patients, [{low:.1f}, {high:.1f}] by seeds" in found["sentence"]
    json.dumps(found, allow_nan=False)


def test_outside_each_source_and_class_has_its_recall():
    found = compare_runs(write_repeat("first", ALL), write_repeat("second", {**ALL, "outside": [0, 0]}))
    cells = found["parts"]["outside"]["cells"]
    assert [(cell["source"], cell["class"]) for cell in cells] == [
        (source, name) for source in ("here", "there") for name in CLASSES
    ]
    assert [cell["in_training"] for cell in cells] == [True, True, False, False]
    assert all(cell["images"] == 10 for cell in cells)
    assert cells[0]["first_runs"] == pytest.approx([0.5, 0.4])
    assert cells[0]["second"] == 1.0
    assert 0 < cells[0]["interval"][0] < cells[0]["difference"] < cells[0]["interval"][1]


def test_over_leaves_the_images_of_other_classes_out_of_the_scores_outside_alone():
    repeats = write_repeat("first", ALL), write_repeat("second", ALL)
    found = compare_runs(*repeats, over=["NORMAL"])
    assert found["parts"]["outside"]["images"] == 20
    assert found["parts"]["outside"]["over"] == ["NORMAL"]
    assert len(found["parts"]["outside"]["cells"]) == 4
    assert found["parts"]["inside"]["images"] == 40
    with pytest.raises(UserError, match=r"--over NORMALS .* Did you mean 'NORMAL'"):
        compare_runs(*repeats, over=["NORMALS"])


def test_what_a_run_lacks_is_told_and_the_rest_is_compared():
    first = write_repeat("first", ALL)
    second = write_repeat("second", {"inside": [1, 1]})
    found = compare_runs(first, second)
    assert list(found["parts"]) == ["inside"]
    assert found["survives"] is None
    assert "second/seed_0 lacks it, which covidnet evaluate RUN FOLDER makes" in found["notes"][-1]
    assert found["sentence"].startswith("At home, B is 7.5 points better than A [")
    with pytest.raises(UserError, match="--over names classes elsewhere, but"):
        compare_runs(first, second, over=["NORMAL"])


def test_what_seeds_alone_may_have_made_is_called_chance(capsys):
    first = write_repeat("first", {"inside": [8, 0]})
    call(compare, first, write_repeat("second", {"inside": [0, 0]}))
    found = read_json(Path("second", "comparison.json"))
    metric = found["parts"]["inside"]["metrics"]["balanced_accuracy"]
    assert metric["seed_interval"][0] < 0 < metric["interval"][0]
    assert "by seeds, which may be chance" in found["sentence"]
    low, high = metric["seed_interval"]
    assert f"seeds [{low:+.3f}, {high:+.3f}]" in capsys.readouterr().out


def test_a_run_is_compared_with_a_repeat():
    repeat = write_repeat("first", ALL)
    found = compare_runs(repeat / "seed_1", repeat)
    assert found["runs"] == [1, 2]
    assert found["parts"]["inside"]["metrics"]["accuracy"]["difference"] == pytest.approx(0.025)
    assert "A of 1 run, B of 2 seeds" in found["sentence"]


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
    with pytest.raises(UserError, match=r"covidnet predict second --out second/predictions.csv"):
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
    main([*args])
    capsys.readouterr()
    assert tools(["compare", "runs/convnet/version_0", "runs/convnet/version_1", "--json", "found.json"]) == 0
    found = json.loads(Path("found.json").read_text())
    assert found == json.loads(Path("runs/convnet/version_1/comparison.json").read_text())
    assert untold_keys(found) == set()
    assert found["parts"]["inside"]["images"] == 9
    assert found["classes"] == ["COVID-19", "NORMAL", "Viral Pneumonia"]
    assert "data.metadata=none" in found["notes"][0]
    printed = capsys.readouterr().out
    assert found["sentence"] in printed
    assert found["parts"]["inside"]["sentence"] in printed
    assert "Exact McNemar" in printed
    with pytest.raises(SystemExit) as stopped:
        tools(["compare", "runs/convnet/version_0", "runs/convnet/version_1", "--json", "no/found.json"])
    assert stopped.value.code == 2
    assert "Give another --json FILE" in capsys.readouterr().err
