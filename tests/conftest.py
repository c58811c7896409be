"""What the tests share: painted radiographs, private caches, quick training."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # the workers share the cores; threads of each would wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # so do the commands that they start

slow = pytest.mark.skipif("COVIDNET_TEST_SLOW" not in os.environ, reason="COVIDNET_TEST_SLOW is not set; CI sets it")
CLASSES = ("COVID-19", "NORMAL", "Viral Pneumonia")
PER_CLASS = 12


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep decoded images and runs of a test out of the user's folders."""
    folder = tmp_path_factory.mktemp("private")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("COVIDNET_") and name != "COVIDNET_TEST_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COVIDNET_RUN__REPORT", "false")  # it takes seconds; the tests of the report write theirs


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


@pytest.fixture
def xray_root(tmp_path: Path) -> Path:
    """A folder in the first release's layout with 12 tiny images a class."""
    return paint(tmp_path / "xrays")


@pytest.fixture
def real_data() -> Path:
    """The folder of real radiographs that COVIDNET_TEST_DATA names."""
    folder = os.environ.get("COVIDNET_TEST_DATA")
    if not folder:
        pytest.skip("COVIDNET_TEST_DATA names no folder of real radiographs; this project holds none")
    return Path(folder).resolve()
