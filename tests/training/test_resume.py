"""A training that was ended at any moment and goes on ends with the bits of one that never was."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from helpers import QUICK, RUN, TRAIN, end, slow

from bench.soak import differences, finished, record
from covidnet.commands.train import main


@pytest.fixture
def args(xray_root) -> list[str]:
    """Train on 21 images in batches of 8, with dropout and augmentation, long enough to stop early."""
    return [
        f"data.root={xray_root}",
        "data.test_per_class=3",
        "data.image_size=12",
        "data.batch_size=8",
        "data.augment=strong",
        "trainer.max_epochs=9",
        "early_stopping.patience=4",
        "early_stopping.min_delta=1e6",  # so that the fifth epoch is the last
        *QUICK,
    ]


@slow
@pytest.mark.parametrize("epochs", [[0], [1, 3], [4, 4]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_ended_and_goes_on_has_the_bits_of_one_that_was_not(args, epochs, number, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    main(args)
    expected = record(RUN)
    RUN.parent.parent.rename("uninterrupted")
    for epoch in epochs:
        # A background job of a shell ignores it, and Lightning does after a first Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(SystemExit) as ended:
            main([*args, "ckpt_path=auto", end(number, epoch)])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        assert ended.value.code == 128 + number
    main([*args, "ckpt_path=auto"])
    assert expected["results"]["epochs"] == 5
    assert differences(expected, record(*finished(tmp_path))) == []
    # What was ended before its first checkpoint is begun anew, in another directory.
    assert len(list(RUN.parent.iterdir())) == (2 if epochs == [0] else 1)


@slow
def test_runs_that_are_killed_at_random_moments_end_with_the_same_bits():
    """Two kills, in a process of its own: pytest's has threads, which a fork does not survive."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.soak", "--command", "short", "--kills", "2", "--seed", "28"],
        cwd=TRAIN.parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kills with seed 28" in done.stdout


def test_two_processes_do_not_train_in_one_directory(args, capsys):
    main(args)
    with FileLock(RUN / ".lock"), pytest.raises(SystemExit) as ended:
        main([*args, "ckpt_path=last"])
    assert ended.value.code == 2
    assert "Another process is training in" in capsys.readouterr().err
    main([*args, "ckpt_path=last"])


@slow
def test_auto_begins_a_run_goes_on_with_an_unfinished_one_and_leaves_a_finished_one_alone(args):
    for number in range(2):
        main([*args, "ckpt_path=auto"])
        assert len(list(RUN.parent.iterdir())) == number + 1
    newest = RUN.with_name("version_1")
    (newest / "results.json").unlink()
    main([*args, "ckpt_path=auto"])
    assert (newest / "results.json").is_file()
    assert len(list(RUN.parent.iterdir())) == 2


def test_auto_is_for_training(args, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["test", *args, "ckpt_path=auto"])
    assert ended.value.code == 2
    assert "ckpt_path=auto is for run and fit" in capsys.readouterr().err


def test_last_is_the_last_whole_epoch_though_it_was_not_the_best(args):
    cli = main([*args, "checkpoint.mode=max"])  # the first epoch has the greatest loss
    epochs = [torch.load(RUN / "checkpoints" / name, weights_only=True)["epoch"] for name in ("best.ckpt", "last.ckpt")]
    assert epochs == [0, 4]
    assert cli.trainer.current_epoch == 5


def test_a_damaged_checkpoint_is_told_and_not_used(args, capsys):
    main(args)
    last = RUN / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1  # one bit of a weight
    last.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        main([*args, "ckpt_path=last"])
    assert ended.value.code == 2
    assert "cannot be read as a checkpoint: its part" in capsys.readouterr().err


@slow
def test_the_best_score_is_kept_where_the_folder_has_another_name_now(args, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    first = main(args)
    Path("runs").rename("moved")
    again = main([*args, "trainer.default_root_dir=moved", "ckpt_path=last", "early_stopping.patience=5"])
    assert again.trainer.current_epoch == 6
    callbacks = [cli.trainer.checkpoint_callback for cli in (first, again)]
    assert callbacks[1].best_model_score <= callbacks[0].best_model_score
    assert Path(callbacks[1].best_model_path).is_relative_to(tmp_path / "moved")
