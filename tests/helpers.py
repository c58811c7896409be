"""What the tests share: painted radiographs, quick training, and how a command ends."""

import argparse
import csv
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning import Callback

from covidnet.commands.train import main

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / "train.py"
RUN = Path("runs", "convnet", "version_0")
LAST = RUN / "checkpoints" / "last.ckpt"
BARE = ["trainer.enable_progress_bar=false", "trainer.enable_model_summary=false"]
QUICK = ["trainer=cpu", *BARE]
CLASSES = ("COVID-19", "NORMAL", "Viral Pneumonia")
PER_CLASS = 12

slow = pytest.mark.skipif("COVIDNET_TEST_SLOW" not in os.environ, reason="COVIDNET_TEST_SLOW is not set; CI sets it")


def some_of(cases: Mapping[str, Any]) -> list[Any]:
    """Return alike cases by name as parameters: all of them where slow tests run, each third elsewhere."""
    marked = zip(cases.items(), cycle([(), slow, slow]))  # the marks never end
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), id=name, marks=mark)
        for (name, case), mark in marked
    ]


def paint(root: Path, classes: Sequence[str] = CLASSES, per_class: int = PER_CLASS, size: int = 24) -> Path:
    """Paint ``per_class`` small grey PNGs a class, each class its own brightness, so that a model can learn it."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(classes):
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(1, per_class + 1):
            pixels = rng.normal(40 + 80 * label, 10, (size, size)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{name} ({number}).png")
    return root


LEFT = np.zeros((24, 24), dtype=np.uint8)
LEFT[:, :12] = 255  # a lung that no box is


def draw_mask(file: Path, mask: np.ndarray = LEFT) -> Path:
    """Write a lung mask."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(file)
    return file


def masks_for(root: Path, folder: Path) -> Path:
    """Write a mask of each image below a root, by its name, into a folder; return that."""
    for image in root.rglob("*.png"):
        draw_mask(folder / image.relative_to(root))
    return folder


def unpack_run(folder: Path) -> Path:
    """Paint the images that commit 2c5dbd2 trained on and unpack the run that it left; return ``folder``."""
    paint(folder / "xrays")
    with tarfile.open(ROOT / "tests" / "checkpoints" / "2c5dbd2.tar.xz") as tape:
        tape.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # since 3.11.4
    return folder


def read_json(file: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(file.read_text())


def untold_keys(document: object) -> set[str]:
    """Return the keys of a JSON document that the reference does not tell; names stand below ``key.NAME`` there."""
    names = ("reference-json", "reference-metrics", "files-of-a-run")
    pages = [(ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in names]
    spans = {span for page in pages for span in re.findall(r"`([\w.-]+)`", page)}
    told = spans | {part for span in spans for part in span.split(".")}
    paths = [span.split(".") for span in spans if span.rpartition(".")[2].isupper()]
    named = {tuple("*" if one.isupper() else one for one in path[:-1]) for path in paths}  # below them stand names

    def same(one: str, other: str) -> bool:
        return one in ("*", other)

    def walk(part: object, above: tuple[str, ...]) -> Iterator[str]:
        if isinstance(part, list):
            for one in part:
                yield from walk(one, above)
        if isinstance(part, dict) and above[-1:] not in {("recipe",), ("parameters",)}:  # keys of the command line
            maps = any(len(path) <= len(above) and all(map(same, path, above[-len(path) :])) for path in named)
            for key, value in part.items():
                if not maps and key not in told:
                    yield key
                yield from walk(value, (*above, "*" if maps and key not in told else key))

    return set(walk(document, ()))


def read_rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def mistake(command: Sequence[str] | Callable[[], object], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a wrong command, or a call that stands for one, says on stderr; its exit code must be 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        command() if callable(command) else main(command)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message


def call(tool: ModuleType, *words: object) -> Any:
    """Call a command of covidnet without its exit codes: what it raises comes through."""
    parser = argparse.ArgumentParser()
    tool.add_options(parser)
    return tool.run(parser.parse_args([str(word) for word in words]))


def count_images(batch: Sequence[Any]) -> int:
    """Return the images of a batch, as a callback of Lightning asks for them."""
    return len(batch[0])


class Ended(Callback):
    """End this process by a signal, once, before a batch of an epoch."""

    def __init__(self, number: int, epoch: int, batch: int = 1) -> None:
        self.number, self.epoch, self.batch = number, epoch, batch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            os.kill(os.getpid(), self.number)


def end(number: int, epoch: int) -> str:
    """Return the option that ends a training by a signal in an epoch."""
    arguments = {"number": int(number), "epoch": epoch}
    return f"trainer.callbacks={json.dumps([{'class_path': 'helpers.Ended', 'init_args': arguments}])}"
