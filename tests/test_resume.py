"""A training that was ended at any moment and goes on ends with the bits of one that never was."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback

from covidnet.cli import main

TRAIN = Path(__file__).parent.parent / "train.py"
QUICK = ["trainer=cpu", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false"]
RUN = Path("runs", "convnet", "version_0")


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


class Ended(Callback):
    """End this process by a signal, once, before a batch of an epoch."""

    def __init__(self, number: int, epoch: int, batch: int = 1) -> None:
        self.number, self.epoch, self.batch = number, epoch, batch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            os.kill(os.getpid(), self.number)


def end(number: int, epoch: int) -> str:
    arguments = {"number": int(number), "epoch": epoch}
    return f"trainer.callbacks={json.dumps([{'class_path': 'test_resume.Ended', 'init_args': arguments}])}"


def record(run: Path) -> dict:
    """Return all that must be the same, times and counts of tests left out."""
    results = json.loads((run / "results.json").read_text())
    kept = {key: value for key, value in results.items() if key not in ("seconds", "test_evaluations")}
    checkpoints = {
        name: torch.load(run / "checkpoints" / name, weights_only=True) for name in ("best.ckpt", "last.ckpt")
    }
    return {
        "results": kept,
        "metrics": (run / "metrics.csv").read_text(),
        "predictions": (run / "predictions.csv").read_bytes(),
        "split": (run / "split.csv").read_bytes(),
        **{
            name: {
                key: value
                for key, value in checkpoint.items()
                if key in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "epoch", "global_step")
            }
            for name, checkpoint in checkpoints.items()
        },
    }


def differences(one, two, where: str = "") -> list[str]:
    """Name each place in which two records are not equal to the last bit."""
    if isinstance(one, str) and isinstance(two, str):  # a run directory may be told from here or in full
        one, two = Path(one).name, Path(two).name
    if isinstance(one, dict) and isinstance(two, dict):
        one, two = ({Path(str(key)).name: value for key, value in record.items()} for record in (one, two))
        keys = sorted(one.keys() | two.keys(), key=str)
        return [found for key in keys for found in differences(one.get(key), two.get(key), f"{where}/{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return [
            found for i, pair in enumerate(zip(one, two, strict=True)) for found in differences(*pair, f"{where}/{i}")
        ]
    if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        return [] if torch.equal(one, two) else [where]
    return [] if one == two else [where]


@pytest.mark.parametrize("epochs", [[0], [1, 3], [4, 4]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_ended_and_goes_on_has_the_bits_of_one_that_was_not(args, epochs, number, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    main(args)
    expected = record(RUN)
    RUN.parent.parent.rename("uninterrupted")
    for epoch in epochs:
        handler = signal.getsignal(signal.SIGINT)
        with pytest.raises(SystemExit) as ended:
            main([*args, "ckpt_path=auto", end(number, epoch)])
        signal.signal(signal.SIGINT, handler)  # Lightning ignores it from then on
        assert ended.value.code == 128 + number
    main([*args, "ckpt_path=auto"])
    [*_, run] = sorted(RUN.parent.iterdir())
    assert expected["results"]["epochs"] == 5
    if run == RUN:
        assert differences(expected, record(run)) == []
    else:  # ended before the first checkpoint: begun anew
        assert epochs == [0]
        assert differences(expected["results"], record(run)["results"]) == []
