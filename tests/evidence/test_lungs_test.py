"""The lungs test by the real command line: of painted images every pixel tells the class, so the skill survives."""

import json
import shutil
from pathlib import Path

import pytest
from helpers import QUICK, RUN, slow, untold_keys

from covidnet.commands.main import main as tools
from covidnet.commands.train import main


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


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        tools(["shortcuts", str(tmp_path)])
    assert stopped.value.code == 2
    assert "holds no results.json" in capsys.readouterr().err
