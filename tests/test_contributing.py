"""The recipes of CONTRIBUTING.md, each followed to the letter in a copy of this project with a made-up part."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import CLASSES, PER_CLASS, QUICK, ROOT, paint, slow

# Each recipe -> the files that it has one open: what is written there, or what is put before which line.
MODEL = {
    "covidnet/models/tiny.py": '''
"""Tiny: one convolution of as many filters as one likes."""

from typing import Any

from torch import nn

from covidnet.models.classifier import Classifier


class Tiny(Classifier):
    """Conv 3x3 + ReLU, mean, dense C.

    Args:
        num_classes: Number of classes C.
        filters: Of the convolution.
        options: What every classifier takes.
    """

    def __init__(self, num_classes: int, filters: int = 4, **options: Any) -> None:
        body = nn.Sequential(nn.Conv2d(3, filters, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(nn.Sequential(body, nn.Linear(filters, num_classes)), num_classes, **options)
        self.save_hyperparameters(logger=False)
''',
    "configs/model/tiny.yaml": """
# One convolution and a mean.
# python train.py model=tiny
model: {class_path: covidnet.models.tiny.Tiny, init_args: {filters: 3}}
data: {image_size: 12, batch_size: 8}
""",
}
LAYOUT = {
    "covidnet/data/named.py": '''
"""One folder of images whose names begin with their class: ``root/NORMAL (3).png``."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from covidnet.data.listing import Known, Listing
from covidnet.data.module import RadiographyDataModule


class NamedFolder:
    """The images of a folder, by the first words of their names."""

    def __init__(self, root: Path, classes: Sequence[str] | None) -> None:
        self.root = root
        self.paths = sorted(path.name for path in root.glob("*.png"))
        named = [path.partition(" (")[0] for path in self.paths]
        self.classes = list(classes or sorted(set(named)))
        self.targets = [self.classes.index(name) for name in named]
        self.ignored: list[tuple[str, str]] = []
        self.known = Known()

    @property
    def class_counts(self) -> dict[str, int]:
        """Images per class, in the order of the labels."""
        counts = Counter(self.targets)
        return {name: counts[label] for label, name in enumerate(self.classes)}


class NamedDataModule(RadiographyDataModule):
    """Serve ``root/<class> (<number>).png`` as batches."""

    def list_images(self, root: Path, classes: Sequence[str] | None, key: str) -> Listing:
        return NamedFolder(root, classes)
''',
    "configs/data/named.yaml": """
# One folder, the class in each file's name.
# python train.py data=named data.root=FOLDER
data: {class_path: covidnet.data.named.NamedDataModule}
""",
}
METRIC = {
    "covidnet/evaluation/scores.py": [
        (
            "        **overall,\n        **pooled,\n",
            '        **overall,\n        "unsure": float(1 - decided.mean()),\n        **pooled,\n',
        )
    ],
    "covidnet/evaluation/names.py": [
        (
            "METRICS = (  # tables that show all keep this order\n",
            "METRICS = (  # tables that show all keep this order\n"
            '    Metric("unsure", "unsure answers", "no class has a half", Scale.SHARE, Group.OVERALL),\n',
        )
    ],
}
COMMAND = {
    "covidnet/commands/greet.py": '''
"""A greeting for a radiologist."""

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("name", metavar="NAME", help="who is greeted")


def run(options: argparse.Namespace) -> None:
    """Greet."""
    print(f"Good morning, {options.name}.")
''',
    "covidnet/commands/main.py": [
        ("    train,\n)", "    train,\n    greet,\n)"),
        ('    "send": send,\n', '    "send": send,\n    "greet": greet,\n'),
    ],
}
RECIPES = {"model": MODEL, "layout": LAYOUT, "metric": METRIC, "command": COMMAND}
AT_MOST = {"model": 2, "layout": 3, "metric": 2, "command": 2}  # files to open


def follow(recipe: dict, tree: Path) -> None:
    """Write and change the files of a recipe in a copy of this project."""
    for name, content in recipe.items():
        file = tree / name
        if isinstance(content, str):
            assert not file.exists()
            file.write_text(content.lstrip())
            continue
        text = file.read_text()
        for before, after in content:
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, after)
        file.write_text(text)


def copied(folder: Path) -> Path:
    for name in ("covidnet", "configs"):
        shutil.copytree(ROOT / name, folder / name)  # with what is compiled
    shutil.copy(ROOT / "train.py", folder)
    return folder


def run(tree: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "XDG_CACHE_HOME": str(tree / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_opens_few_files_and_names_them(name):
    assert len(RECIPES[name]) <= AT_MOST[name]
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.split(r"^### ", told, flags=re.MULTILINE)
    (own,) = [part for part in section if part.startswith(f"A {name}")]
    for file in RECIPES[name]:
        folder, _, last = file.rpartition("/")
        assert f"{folder}/" in own
        assert isinstance(RECIPES[name][file], str) or last in own


def test_a_command_is_a_file_and_a_line(tmp_path):
    tree = copied(tmp_path)
    follow(COMMAND, tree)
    assert "greet" in run(tree, "-m", "covidnet", "--help")
    assert run(tree, "train.py", "greet", "Wilhelm") == "Good morning, Wilhelm.\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A copy with a made-up model, layout and metric, and a run of all three."""
    tree = copied(tmp_path_factory.mktemp("copy"))
    for name in ("model", "layout", "metric"):
        follow(RECIPES[name], tree)
    flat = tree / "flat"
    flat.mkdir()
    for image in paint(tree / "xrays").rglob("*.png"):
        image.rename(flat / image.name)
    small = ["data.test_per_class=3", "trainer.max_epochs=1", *QUICK]
    run(tree, "train.py", "run", "model=tiny", "data=named", "data.root=flat", *small)
    return tree / "runs" / "tiny" / "version_0"


@slow
def test_a_model_is_a_file_and_a_config(trained):
    tree = trained.parents[2]
    assert len(run(tree, "-m", "covidnet", "predict", str(trained)).splitlines()) == 1 + 3 * len(CLASSES)
    assert "model.filters=" in run(tree, "train.py", "run", "model=tiny", "--help")


@slow
def test_a_layout_is_a_file_and_a_config(trained):
    results = json.loads((trained / "results.json").read_text())
    assert results["classes"] == list(CLASSES)
    assert sum(sum(counts.values()) for counts in results["counts"].values()) == PER_CLASS * len(CLASSES)


@slow
def test_a_metric_is_computed_in_one_place_and_named_in_another(trained):
    assert 0 <= json.loads((trained / "results.json").read_text())["best"]["unsure"] <= 1
    for name in ("report.html", "model_card.md"):
        assert "nsure answers" in (trained / name).read_text(encoding="utf-8")
