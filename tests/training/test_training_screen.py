"""Facts about what a training tells: its lines, why it ended, and who is silenced by whom."""

import ast
import contextlib
import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import ROOT, paint
from jsonargparse import Namespace
from pytorch_lightning.callbacks import EarlyStopping, Timer, TQDMProgressBar
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from covidnet.commands.train import main
from covidnet.report.brief import BRIEF, brief, commands_left
from covidnet.report.verdicts import Verdict
from covidnet.runs.screen import Tally, duration
from covidnet.training.args import expand
from covidnet.training.screen import TrainingScreen, choose_screen, why_stopped

UNWANTED = ("TPU", "Seed set", "v_num", "FLOP", "MetricCollection", "Tip", "/999", "`Trainer", "litmodels", "Restor")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a run of two epochs, a fit that goes on from it and a validation say, in a log: stdout, stderr."""
    folder = tmp_path_factory.mktemp("told")
    sizes = ["data.test_per_class=3", "data.image_size=12", "data.batch_size=9", "trainer=cpu"]
    args = [f"data.root={paint(folder / 'xrays')}", f"data.cache_dir={folder / 'cache'}", *sizes]
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patched.chdir(folder)
        main([*args, "trainer.max_epochs=2", "report=false"])
        last = "ckpt_path=runs/convnet/version_0/checkpoints/last.ckpt"
        main(["fit", *args, "trainer.max_epochs=3", last])
        main(["validate", *args, last])
    return out.getvalue(), err.getvalue()


def test_a_log_holds_data_and_model_a_line_an_epoch_why_it_ended_and_the_result(told):
    shown = r"""xrays  train 21  val 6  test 9    ConvNet, [\d.]+ M parameters, CPU
epoch   1   loss \d\.\d{3}   val \d\.\d{3}   val acc \d\.\d{3}   best        +[\d.]+ s
epoch   2   loss \d\.\d{3}   val \d\.\d{3}   val acc \d\.\d{3}   (best|    )   [ \d/]{3} +[\d.]+ s
stopped after 2 epochs, [\d.]+ s: trainer.max_epochs=2 is reached
epoch [12]: balanced accuracy [\d.]+ % \[[\d.]+, [\d.]+\] on 9 test images
"""
    assert re.match(shown, told[0])


def test_who_goes_on_is_told_from_where_and_how_to_test(told):
    assert "going on after epoch 2\nepoch   3" in told[0]
    assert re.search(
        r"max_epochs=3 is reached\nnext     \S.* test ckpt_path=\S+best.ckpt\nvalidation   loss \d", told[0]
    )


def test_nothing_of_lightnings_own_is_told(told):
    assert [word for word in UNWANTED if word in "".join(told)] == []
    assert "\x1b" not in told[0]


def stopped(**known):
    """A stand-in for a trainer that has trained for 5 epochs of 10 steps, limited by nothing."""
    free = {"fast_dev_run": False, "max_epochs": 1000, "max_steps": -1, "current_epoch": 5, "global_step": 50}
    free["lightning_module"] = SimpleNamespace(rests=False)
    return SimpleNamespace(**{**free, "callbacks": [], "early_stopping_callbacks": [], **known})


def stopping(reason, **known):
    one = EarlyStopping("val_loss", patience=3, **known)
    one.stopping_reason, one.wait_count = reason, 3
    return {"early_stopping_callbacks": [None, one]}


def timer(left):
    one = Timer(duration={"seconds": 100})
    one._offset = 100 - left
    return {"callbacks": [one]}


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (stopping(EarlyStoppingReason.PATIENCE_EXHAUSTED, min_delta=0), "val_loss has not improved since epoch 2"),
        (stopping(EarlyStoppingReason.PATIENCE_EXHAUSTED, min_delta=0.01), "not improved by 0.01 since epoch 2"),
        (stopping(EarlyStoppingReason.STOPPING_THRESHOLD), "val_loss has reached early_stopping.stopping_threshold"),
        (stopping(EarlyStoppingReason.DIVERGENCE_THRESHOLD), "beyond early_stopping.divergence_threshold"),
        (stopping(EarlyStoppingReason.NON_FINITE_METRIC), "val_loss is not finite"),
        ({"max_epochs": 5}, "trainer.max_epochs=5 is reached"),
        ({"max_steps": 50}, "trainer.max_steps=50 is reached"),
        (timer(left=-1), "the time of trainer.max_time is over"),
        ({**timer(left=50), **stopping(EarlyStoppingReason.NOT_STOPPED)}, "a callback asked for it"),
        ({"lightning_module": SimpleNamespace(rests=True)}, "its head is solved"),
        ({"fast_dev_run": 1, "max_epochs": 1}, "trainer.fast_dev_run"),
    ],
)
def test_why_a_training_has_ended_is_said_in_words(known, why):
    assert why in why_stopped(stopped(**known), better=2)


@pytest.mark.parametrize(
    ("keys", "alone", "head", "epochs", "lightnings"),
    [
        ({}, True, True, True, False),
        ({"progress": "bar"}, True, True, False, True),
        ({"progress": "none"}, True, False, False, False),
        ({"enable_progress_bar": False, "progress": "bar"}, True, False, False, False),
        ({"callbacks": [TQDMProgressBar()]}, True, True, False, True),
        ({}, False, False, False, False),
    ],
)
def test_one_alone_shows_the_epochs(keys, alone, head, epochs, lightnings):
    trainer = Namespace(**{name: value for name, value in keys.items() if name != "progress"})
    config = Namespace(trainer=trainer, progress=keys.get("progress", "epochs"))
    screen, bars = choose_screen(config, expand(["fit"]), "seed 3", alone=alone)
    assert (screen.head, screen.epochs, bars["enable_progress_bar"]) == (head, epochs, lightnings)


def test_ctrl_c_tells_the_whole_command_that_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["../clone/train.py"])
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    line = expand(["data=phantom", "data.classes=[a,b c]", "ckpt_path=auto", "trainer.max_epochs=9"])
    trainer = SimpleNamespace(current_epoch=1, is_global_zero=True, logger=SimpleNamespace(log_dir=str(tmp_path)))
    TrainingScreen(line=line).on_exception(trainer, None, KeyboardInterrupt())
    told = capsys.readouterr().err
    assert "Interrupted after 1 whole epoch. To go on:\n" in told
    kept = f"ckpt_path={tmp_path}/checkpoints/last.ckpt"
    assert told.split(" ../clone/train.py ")[1] == f"data=phantom 'data.classes=[a, b c]' trainer.max_epochs=9 {kept}\n"


def test_several_runs_tell_which_of_all_they_are_and_the_time_left(monkeypatch):
    clock = iter([0.0, 90.0, 210.0])
    monkeypatch.setattr("covidnet.runs.screen.time.monotonic", lambda: next(clock))
    tally = Tally(3, done=1)
    assert tally.finished("seed 4", "94.2 %") == "seed 4   2 of 3   94.2 %   1 min 30 s   about 1 min 30 s left"
    assert tally.finished("seed 5", "94.2 %", "of all") == "seed 5   3 of 3   94.2 %   2 min 00 s   of all"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(1.06, "1.1 s"), (7, "7 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (12_000, "3 h 20 min")],
)
def test_a_time_is_written_in_the_units_that_matter(seconds, written):
    assert duration(seconds) == written


def test_each_question_of_a_report_has_few_words_for_each_answer():
    source = Path(ROOT, "covidnet", "report", "verdicts.py").read_text(encoding="utf-8")
    asked = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    questions = {text for text in asked if isinstance(text, str) and re.fullmatch(r"[A-Z][^.]*\?", text)}
    assert questions - BRIEF.keys() == set()
    box = Verdict("WARN", "Does the model look at the box that stands for the lungs?", "")
    assert brief(box) == "it looks past the lungs"


def test_commands_are_told_once():
    found = [Verdict("NOT RUN", "?", "", "audit"), Verdict("WARN", "?", "", "audit"), Verdict("PASS", "?", "")]
    assert commands_left(found) == ["audit"]
