"""Facts about covidnet threshold: it keeps what meets the wish, tells what that gives, and takes it back."""

import json

import numpy as np
import pytest
import torch
from doctored import doctored, recipe_of
from helpers import mistake, read_rows, untold_keys
from made_run import CLASSES

from covidnet.commands.main import main
from covidnet.evaluation.decision import Decision
from covidnet.files.tensors import read_tensors
from covidnet.inference.predictor import Predictor
from covidnet.runs.checkpoint import KEY, Checkpoint
from covidnet.runs.claim import hold
from covidnet.runs.files import LOCK, counted_tests

FITTED = {"temperature": 1.5, "thresholds": dict.fromkeys(CLASSES, 0.5)}
COVID = CLASSES[0]
WISH = ["--class", COVID, "--sensitivity", "0.9", "--device=cpu"]


@pytest.fixture
def run(tmp_path):
    """A made run whose best model was calibrated."""
    return doctored(tmp_path, recipe_of("calibration", FITTED)).parents[1]


def best(run):
    return run / "checkpoints" / "best.ckpt"


def scores(run):
    return json.loads((run / "results.json").read_text())["best"].get("decision")


def test_the_threshold_that_is_kept_meets_the_wish_and_is_obeyed_until_it_is_taken_back(run, capsys):
    before = read_tensors(best(run))
    for name in ("report.html", "model_card.md"):
        (run / name).write_text("old")
    assert main(["threshold", str(run), *WISH]) == 0
    printed = capsys.readouterr().out
    kept = Decision.kept(Checkpoint(best(run)).calibration)
    assert kept.sentence in printed

    rows = [row for row in read_rows(run / "split.csv") if row["split"] == "val"]
    predictor = Predictor(run, "cpu")
    found = predictor.predict([run.parents[2] / "xrays" / row["path"] for row in rows])
    of_class = [one.calibrated[COVID] for one, row in zip(found, rows, strict=True) if row["label"] == COVID]
    assert kept.threshold == pytest.approx(min(of_class), rel=2e-4)  # of so few, 0.9 takes each
    assert [one.decision == COVID for one in found] == [one.calibrated[COVID] >= kept.threshold for one in found]
    told = scores(run)
    assert untold_keys(told) == set()
    assert told["validation"]["sensitivity"] == 1
    assert len(told["intervals"]["sensitivity"]) == 2
    assert np.sum(told["confusion_matrix"]) == sum(row["split"] == "test" for row in read_rows(run / "split.csv"))
    assert counted_tests(run)[-1][1] == f"threshold of {COVID}, sensitivity 0.9"
    assert "Decision by a threshold" in (run / "report.html").read_text()
    assert "A threshold decides" in (run / "model_card.md").read_text()

    assert main(["threshold", str(run), "--undo"]) == 0
    after = read_tensors(best(run))
    assert after[KEY] == before[KEY]
    assert all(torch.equal(value, after["state_dict"][name]) for name, value in before["state_dict"].items())
    assert scores(run) is None
    assert "Decision by a threshold" not in (run / "report.html").read_text()
    assert Predictor(run, "cpu").predict(run.parents[2] / "xrays" / rows[0]["path"])[0].decision is None
    assert main(["threshold", str(run), "--undo"]) == 0
    assert "no threshold was kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--class", COVID.lower(), "--sensitivity=0.9"], f"Did you mean '{COVID}'"),
        (["--class", COVID, "--sensitivity=95"], "--sensitivity 95 must be a share"),
        (["--class", COVID, "--specificity=0"], "--specificity 0 must be a share"),
        (["--sensitivity=0.9"], "Give --class CLASS"),
        (["--undo", "--class", COVID], "leave --class out"),
        (["--class", COVID, "--sensitivity=0.9", "--specificity=0.9"], "not allowed with"),
        ([], "required"),
    ],
    ids=["class", "95", "0", "no class", "undo", "both", "nothing"],
)
def test_a_wish_that_cannot_be_understood_is_told_in_a_sentence(run, words, told, capsys):
    assert told in mistake(lambda: main(["threshold", str(run), *words]), capsys)
    assert scores(run) is None


def test_a_run_under_way_and_one_that_was_not_calibrated_are_refused(run, tmp_path, capsys):
    lock = hold(run, LOCK)
    assert "Another process writes in" in mistake(lambda: main(["threshold", str(run), *WISH]), capsys)
    lock.release()
    bare = doctored(tmp_path / "bare", lambda content: None).parents[1]
    assert "keeps no temperature" in mistake(lambda: main(["threshold", str(bare), *WISH]), capsys)
