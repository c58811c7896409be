"""docs/lightning-keys.md is true: each key and each callback of Lightning works as it says, or is refused so."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from helpers import LAST, QUICK, ROOT, RUN, mistake, paint, read_rows, slow, some_of
from pytorch_lightning import Callback, callbacks

from covidnet.commands.train import main

TEXT = (ROOT / "docs" / "lightning-keys.md").read_text(encoding="utf-8")
BARS = ("RichProgressBar", "TQDMProgressBar")


def rows(heading: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the table below a heading."""
    table = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    for line in re.findall(r"^\| (`.*) \|$", table, re.MULTILINE):
        yield [cell.strip() for cell in line.split("|")]


def values(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


KEYS = [(values(key)[0], values(works), values(refused), why) for key, works, refused, why in rows("Keys")]
CALLBACKS = [(values(name)[0], values(arguments)[0], outcome) for name, arguments, outcome in rows("Callbacks")]
REFUSED = [f"trainer.{key}={value} -> {why}" for key, _, refused, why in KEYS for value in refused]
WORKS = [(key, works) for key, works, _, _ in KEYS if key != "callbacks"]


def spec(name: str, arguments: str) -> str:
    path = f"pytorch_lightning.callbacks.{name}"
    return f"trainer.callbacks={json.dumps([{'class_path': path, 'init_args': json.loads(arguments)}])}"


REFUSED += [
    f"{spec(name, arguments)} -> {outcome.removeprefix('refused: ')}"
    for name, arguments, outcome in CALLBACKS
    if outcome != "works"
]


def train(root: Path, *words: str) -> object:
    """Train a tiny ConvNet for two epochs of four steps."""
    given = {word.partition("=")[0] for word in words}
    own = [f"data.root={root}", "data.image_size=8", "data.test_per_class=1", "data.batch_size=3", "data.num_workers=0"]
    defaults = [key for key in (*QUICK[1:], "trainer.max_epochs=2") if key.partition("=")[0] not in given]
    return main(["fit", *own, *QUICK[:1], *defaults, *words])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return paint(tmp_path / "xrays", ("A", "B"), 7, 8)


def test_each_key_and_callback_of_lightning_is_in_the_tables():
    assert {key for key, *_ in KEYS} == {*inspect.signature(pl.Trainer).parameters}
    assert {name for name, *_ in CALLBACKS} == {*callbacks.__all__}


@pytest.mark.parametrize("case", some_of(dict(zip(REFUSED, REFUSED, strict=True))))
def test_what_is_refused_is_told_in_one_sentence_before_training(case, root, capsys, monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)  # which Lightning leaves after a training of several processes
    word, _, why = case.rpartition(" -> ")
    message = mistake(lambda: train(root, word), capsys)
    errors = message[message.index("error: ") :]
    assert errors.count("\n") == 1
    assert why.replace("`", "") in errors.replace("`", "")
    assert not RUN.exists()


@slow
@pytest.mark.filterwarnings("ignore")  # Lightning's own, of odd values: what matters is that they train
@pytest.mark.parametrize(("key", "works"), WORKS, ids=[key for key, _ in WORKS])
def test_what_works_trains(key, works, root):
    cli = train(root, f"trainer.{key}={works[-1]}")
    assert cli.trainer.global_step > 0
    assert cli.trainer.fast_dev_run or (cli.trainer.run_directory / "checkpoints" / "last.ckpt").is_file()


@slow
@pytest.mark.filterwarnings("ignore")  # as above
def test_callbacks_that_work_train_together_with_the_runs_own(root):
    together = [(name, arguments) for name, arguments, outcome in CALLBACKS if outcome == "works"]
    alone = [spec(*one) for one in together if one[0] in (*BARS, "EMAWeightAveraging", "StochasticWeightAveraging")]
    rest = [one for one in together if spec(*one) not in alone and one[0] != "WeightAveraging"]
    several = "trainer.callbacks=" + json.dumps([json.loads(spec(*one).partition("=")[2])[0] for one in rest])
    for number, word in enumerate([several, *alone, spec("WeightAveraging", "{}")]):
        cli = train(root, word, f"trainer.enable_progress_bar={str(any(bar in word for bar in BARS)).lower()}")
        folder = RUN.with_name(f"version_{number}") / "checkpoints"
        assert Path(cli.trainer.checkpoint_callback.best_model_path).name == "best.ckpt"
        assert {"best.ckpt", "last.ckpt"} <= {file.name for file in folder.iterdir()}


@pytest.mark.parametrize("steps", [1, 6])
def test_a_training_that_ends_in_mid_epoch_is_validated_and_kept_there(steps, root):
    cli = train(root, f"trainer.max_steps={steps}")
    assert cli.trainer.global_step == steps
    assert len([row for row in read_rows(RUN / "metrics.csv") if row["val_loss"]]) == -(-steps // 4)
    assert torch.load(LAST, weights_only=True)["global_step"] == steps


class Failing(Callback):
    """Fail in a hook of an epoch."""

    def __init__(self, hook: str, epoch: int) -> None:
        self.hook, self.epoch = hook, epoch

    def fail(self, hook: str, trainer: pl.Trainer) -> None:
        if (self.hook, self.epoch) == (hook, trainer.current_epoch):
            raise KeyError("what\nis this")

    def on_train_epoch_end(self, trainer, pl_module):
        self.fail("on_train_epoch_end", trainer)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.fail("on_train_batch_start", trainer)


@pytest.mark.parametrize(("hook", "epoch"), [("on_train_epoch_end", 0), ("on_train_batch_start", 1)])
def test_a_callback_that_fails_is_named_and_the_whole_epoch_kept(hook, epoch, root, capsys):
    given = {"class_path": "test_lightning_keys.Failing", "init_args": {"hook": hook, "epoch": epoch}}
    message = mistake(lambda: train(root, f"trainer.callbacks={json.dumps([given])}"), capsys)
    assert f"Failing of trainer.callbacks failed in {hook}: 'what\\nis this' (KeyError in test_light" in message
    assert "ckpt_path=auto goes on from the last whole epoch" in message
    kept = torch.load(LAST, weights_only=True)
    assert kept["epoch"] == 0
    train(root, "ckpt_path=auto")
    assert [row["epoch"] for row in read_rows(RUN / "metrics.csv") if row["train_loss"]] == ["0", "1"]
