"""Keys of Lightning's Trainer with values sensible and odd, and its callbacks, by the whole command line."""

import inspect
import json
from typing import Any

import pytorch_lightning as pl
from hypothesis import strategies as st
from pytorch_lightning import callbacks

from bench.fuzz.commands import train
from bench.fuzz.pieces import scratch, write_good

KEPT = {"accelerator", "strategy", "devices", "num_nodes"}  # other machines, or more processes than this one
LIMITS: list[object] = [0, 1, 2, 0.1, 0.5, 1.0, -1, 1000]
SWITCHES = ["true", "false", "warn", "null"]
SENSIBLE: dict[str, list[object]] = {
    "max_epochs": [0, 1, 2, -1],
    "max_steps": [-1, 0, 1, 2, 3, 5],
    "max_time": ["00:00:00:00", "00:00:00:01", "{seconds: 1}", "{}", "1"],
    "min_epochs": [0, 1, 2],
    "val_check_interval": [0, 1, 2, 0.5, 1.0, 100, "00:00:00:01", "null"],
    "check_val_every_n_epoch": [0, 1, 2, 5, "null"],
    "fast_dev_run": ["true", "false", 1, 2],
    "gradient_clip_algorithm": ["norm", "value", "x"],
    "precision": ["32-true", "16-mixed", "bf16-mixed", "64-true", "bf16-true", "16-true", "transformer-engine"],
    "profiler": ["simple", "advanced", "pytorch", "x"],
    "logger": ["true", "false", "CSVLogger"],
    "default_root_dir": ["runs", "a b", ""],
}
OTHERWISE: list[object] = [*LIMITS, *SWITCHES]
ARGUMENTS: dict[str, list[object]] = {
    "monitor": ["val_loss", "val_accuracy", "train_loss", "x", None],
    "mode": ["min", "max", "x"],
    "patience": [0, 1],
    "save_top_k": [0, 1, 2, -1],
    "save_last": [True, False, "link"],
    "every_n_epochs": [0, 1, 2],
    "every_n_train_steps": [0, 1, 2],
    "filename": ["best", "last", "{epoch}"],
    "enable_version_counter": [True, False],
    "scheduling": [{"0": 2}, {"1": 1}, {}, {"0": 0}],
    "duration": ["00:00:00:10", "00:00:00:00", None],
    "interval": ["step", "epoch"],
    "swa_lrs": [0.01, -1, [0.1]],
    "logging_interval": ["step", "epoch", "x"],
    "dirpath": ["here"],
    "max_depth": [-1, 0, 2],
    "pruning_fn": ["l1_unstructured"],
    "decay": [0.5, 2],
}


@st.composite
def one_callback(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a callback of Lightning with some of its arguments."""
    name = draw(st.sampled_from(callbacks.__all__))
    taken = [key for key in inspect.signature(getattr(callbacks, name)).parameters if key in ARGUMENTS]
    chosen = draw(st.lists(st.sampled_from(taken), unique=True, max_size=3)) if taken else []
    arguments = {key: draw(st.sampled_from(ARGUMENTS[key])) for key in chosen}
    return {"class_path": f"pytorch_lightning.callbacks.{name}", "init_args": arguments}


@st.composite
def keys(draw: st.DrawFn) -> list[str]:
    """Draw one to three keys with their values, and perhaps a callback or two."""
    known = sorted({*inspect.signature(pl.Trainer).parameters} - KEPT - {"callbacks", "plugins"})
    chosen = draw(st.lists(st.sampled_from(known), unique=True, max_size=3))
    words = [f"trainer.{key}={draw(st.sampled_from(SENSIBLE.get(key, OTHERWISE)))}" for key in chosen]
    if not words or draw(st.booleans()):
        words.append(f"trainer.callbacks={json.dumps(draw(st.lists(one_callback(), min_size=1, max_size=2)))}")
    return words


def train_with_keys(words: list[str]) -> None:
    """Train, test and leave a run with these keys, or be told in a sentence why not."""
    with scratch() as here:
        root = write_good(here / "root")
        quick = ("trainer.fast_dev_run=false", "trainer.max_epochs=1", "data.batch_size=2", "report=false")
        train(root, *quick, *words, command="run")
