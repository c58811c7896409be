"""The lungs test by the real command line: of painted images every pixel tells the class, so the skill survives."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers import QUICK, RUN, draw_mask, masks_for, slow, untold_keys
from made_run import write_run

from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.errors import UserError
from covidnet.evidence.compare import _file, _lungs_note
from covidnet.evidence.lungs_test import _lungs_of
from covidnet.files.reading import read_yaml
from covidnet.runs.find import newest_run
from covidnet.runs.run import Run


@pytest.fixture
def args(xray_root):
    sizes = ["data.test_per_class=3", "data.image_size=12", "data.batch_size=9", "trainer.max_epochs=30"]
    return [f"data.root={xray_root}", *sizes, "early_stopping.patience=30", "model.dropout=0", *QUICK]


@slow
def test_it_trains_twice_more_on_the_same_split_once_and_says_what_survives(args, capsys):
    main([*args, "shortcuts=true"])
    before = (RUN / "shortcuts.json").read_bytes()
    outcome = json.loads(before)
    assert untold_keys(outcome) == set()
    assert {"whole", "lungs_covered", "lungs_only", "covered_at_test", "swapped_at_test"} <= set(outcome)
    assert outcome["whole"] == json.loads((RUN / "results.json").read_text())["best"]
    assert outcome["verdict"] == "FAIL"
    assert outcome["skill_survives"] > 0.8
    assert "of the skill above chance survives without lungs" in capsys.readouterr().out
    splits = [file.read_text().splitlines() for file in RUN.rglob("split.csv")]
    assert len(splits) == 3
    assert all(sorted(rows) == sorted(splits[0]) for rows in splits)

    files = {path: path.stat().st_mtime_ns for path in (RUN / "shortcuts").rglob("*")}
    assert tools(["shortcuts", str(RUN), "--json", "found.json"]) == 0
    assert {path: path.stat().st_mtime_ns for path in (RUN / "shortcuts").rglob("*")} == files
    assert (RUN / "shortcuts.json").read_bytes() == before
    assert json.loads(Path("found.json").read_text())["verdict"] == "FAIL"

    for seed in ("seed_0", "seed_1"):  # of a repeat, each
        shutil.copytree(RUN, Path("repeat_0", seed))
        Path("repeat_0", seed, "shortcuts.json").unlink()
    assert tools(["shortcuts", "repeat_0"]) == 0
    assert [Path("repeat_0", seed, "shortcuts.json").read_bytes() for seed in ("seed_0", "seed_1")] == [before] * 2
    with pytest.raises(SystemExit) as stopped:
        tools(["shortcuts", "repeat_0", "--json", "found.json"])
    assert stopped.value.code == 2


@slow
def test_masks_of_another_rule_are_tested_apart_and_nothing_is_mixed(args, xray_root, capsys):
    main([*args, "trainer.max_epochs=2"])
    folder = masks_for(xray_root, Path("lungs"))
    assert tools(["shortcuts", str(RUN)]) == 0
    first = (RUN / "shortcuts.json").read_bytes()
    assert tools(["shortcuts", str(RUN), "--masks", "lungs"]) == 0
    outcome = json.loads((RUN / "shortcuts.json").read_text())
    assert untold_keys(outcome) == set()
    assert (outcome["masks"], outcome["lungs"]) == ("lungs", f"by mask files of {folder}")
    assert f"lungs {outcome['lungs']}" in " ".join(capsys.readouterr().out.split())
    covered = read_yaml(newest_run(RUN / outcome["runs"] / "covered") / "config.yaml")
    assert covered["data"]["init_args"]["masks"] == "lungs"
    assert _file(RUN, "lungs_covered").is_relative_to(RUN / outcome["runs"])
    assert tools(["shortcuts", str(RUN), "--masks", "box"]) == 0  # which auto means here
    again = json.loads((RUN / "shortcuts.json").read_text())
    assert again == json.loads(first)


def test_runs_of_one_rule_lie_together_however_it_is_spelt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run(write_run(tmp_path))
    masks_for(tmp_path / "xrays", Path("lungs"))
    places = {masks: _lungs_of(run, masks).runs for masks in (None, "auto", "box", "lungs", str(tmp_path / "lungs"))}
    assert places[None] == places["auto"] == places["box"] == run.folder / "shortcuts"
    assert places["lungs"] == places[str(tmp_path / "lungs")]
    assert places["lungs"].parent == places[None]
    trained = places[None] / "covered" / "convnet" / "version_0"
    shutil.copytree(run.folder, trained)
    recipe = read_yaml(trained / "config.yaml")
    recipe["data"]["init_args"]["masks"] = "box"
    (trained / "config.yaml").write_text(json.dumps(recipe))
    beside = [draw_mask(file.parent / "masks" / file.name) for file in [*(tmp_path / "xrays").rglob("*.png")]]
    assert _lungs_of(run, None).runs.parent == places[None]  # what the box told stays apart
    beside[0].unlink()
    assert _lungs_of(run, None).runs == places[None]
    checkpoint = torch.load(run.checkpoint, weights_only=True)
    checkpoint["covidnet"]["data"]["init_args"] |= {"lungs": "crop", "masks": "box"}
    torch.save(checkpoint, run.checkpoint)
    assert _lungs_of(Run(run.folder), "auto").masks == "box"  # auto cuts none
    next(Path("lungs").rglob("*.png")).unlink()
    with pytest.raises(UserError, match=r"--masks=.* lacks the masks of 1 of 10 images"):
        _lungs_of(run, "lungs")


def test_comparison_tells_of_lungs_that_were_found_by_several_rules(tmp_path):
    runs = [tmp_path / name for name in "ab"]
    for run, told in zip(runs, ("by the central box", "by mask files of lungs"), strict=True):
        run.mkdir()
        (run / "shortcuts.json").write_text(json.dumps({"verdict": "PASS", "sentence": "", "lungs": told}))
    assert "by the central box in one and by mask files of lungs in another" in _lungs_note([[run] for run in runs])[0]
    assert _lungs_note([[runs[0]], [runs[0]]]) == []


@pytest.mark.parametrize("given", ["Auto", "gone"])
def test_a_folder_of_masks_that_is_not_there_is_told_at_once(given, capsys, tmp_path):
    run = write_run(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        tools(["shortcuts", str(run), "--masks", given])
    assert stopped.value.code == 2
    assert f"--masks={given} does not exist" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        tools(["shortcuts", str(tmp_path)])
    assert stopped.value.code == 2
    assert "holds no results.json" in capsys.readouterr().err
