"""An epoch is serialised once: where it is the best so far, best.ckpt and last.ckpt are two names of one file.

Once the training has ended, the best holds the model alone, and the last what a training needs to go on.
"""

import errno
import os
from pathlib import Path

import pytest
import torch
from helpers import LAST, QUICK, mistake

from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.training.lightning import WholeCheckpoints
from covidnet.training.trainer import Trainer

BEST = LAST.with_name("best.ckpt")


@pytest.fixture
def args(xray_root) -> list[str]:
    sizes = ["data.test_per_class=3", "data.image_size=12", "data.batch_size=8", "trainer.max_epochs=1"]
    return [f"data.root={xray_root}", *sizes, *QUICK]


@pytest.fixture
def under_way(monkeypatch) -> None:
    """Leave the checkpoints of a training as they are while it lasts."""
    monkeypatch.setattr(Trainer, "finish_checkpoints", lambda self: None)


@pytest.fixture
def saved(under_way, monkeypatch) -> list[int]:
    """Return the epochs that are serialised, as they are."""
    epochs, save = [], torch.save

    def noted(content, *given, **options):
        epochs.append(content["epoch"])
        save(content, *given, **options)

    monkeypatch.setattr(torch, "save", noted)
    return epochs


def test_the_best_epoch_is_one_file_until_another_is_the_last(args, saved):
    main(["fit", *args, "checkpoint.mode=max"])  # the first epoch has the greatest loss
    assert saved == [0]
    assert BEST.samefile(LAST)
    main(["fit", *args, "checkpoint.mode=max", "trainer.max_epochs=2", f"ckpt_path={LAST}"])
    assert saved == [0, 1]
    assert [torch.load(file, weights_only=True)["epoch"] for file in (BEST, LAST)] == [0, 1]
    assert {file.stat().st_nlink for file in (BEST, LAST)} == {1}


def test_what_is_fitted_after_training_goes_to_the_best_alone(args):
    main(args)
    best, last = (torch.load(file, weights_only=True) for file in (BEST, LAST))
    assert best["epoch"] == last["epoch"]
    assert "calibration" in best["covidnet"]
    assert "calibration" not in last["covidnet"]


def test_a_best_checkpoint_keeps_no_optimizer_and_names_the_one_that_goes_on(args, capsys):
    main(["fit", *args])
    best, last = (torch.load(file, weights_only=True) for file in (BEST, LAST))
    assert last.keys() - best.keys() == {"optimizer_states"}
    torch.testing.assert_close(best["state_dict"], last["state_dict"])
    assert BEST.stat().st_size < 0.4 * LAST.stat().st_size
    message = mistake(["fit", *args, f"ckpt_path={BEST}"], capsys)
    assert f"To go on, give ckpt_path={LAST}." in message
    main(["test", f"ckpt_path={BEST}", *QUICK])


def test_a_checkpoint_of_two_names_is_read_by_each(args, under_way, xray_root, capsys):
    main(["fit", *args])
    assert BEST.stat().st_nlink == 2
    main(["test", f"ckpt_path={LAST}", *QUICK])
    assert tools(["predict", str(BEST), str(next((xray_root / "NORMAL").iterdir()))]) == 0
    assert "NORMAL" in capsys.readouterr().out


def test_where_the_disk_has_no_links_the_second_is_a_copy(args, saved, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    main(["fit", *args])
    assert saved == [0]
    assert BEST.read_bytes() == LAST.read_bytes()
    assert not BEST.samefile(LAST)


def same(checkpoint: dict, first: Path) -> None:
    """Leave all as it is."""


def step(checkpoint: dict, first: Path) -> None:
    with torch.no_grad():
        checkpoint["state_dict"]["weight"] += 1


def count(checkpoint: dict, first: Path) -> None:
    checkpoint["loops"]["batches"] += 1


def strip(checkpoint: dict, first: Path) -> None:
    del checkpoint["optimizer_states"]


def lose(checkpoint: dict, first: Path) -> None:
    first.unlink()


def rewrite(checkpoint: dict, first: Path) -> None:
    first.write_bytes(first.read_bytes() + b"what was fitted")


@pytest.mark.parametrize("change", [same, step, count, strip, lose, rewrite])
def test_what_is_saved_again_has_a_file_of_its_own_unless_nothing_has_changed(change, tmp_path):
    first, second = tmp_path / "best.ckpt", tmp_path / "last.ckpt"
    checkpoint = {"state_dict": {"weight": torch.zeros(3)}, "optimizer_states": [0.1], "loops": {"batches": 7}}
    files = WholeCheckpoints()
    files.save_checkpoint(checkpoint, first)
    change(checkpoint, first)
    files.save_checkpoint(checkpoint, second)
    assert (second.stat().st_nlink == 2) == (change is same)
    content = torch.load(second, weights_only=True)
    torch.testing.assert_close(content, checkpoint)


def test_a_state_that_cannot_be_compared_is_written_each_time(tmp_path):
    files = WholeCheckpoints()
    for name in ("best.ckpt", "last.ckpt"):
        files.save_checkpoint({"state": {1, 2}}, tmp_path / name)
    assert not (tmp_path / "best.ckpt").samefile(tmp_path / "last.ckpt")
