"""Private caches, painted radiographs and the real ones, for all tests."""

import os
from pathlib import Path

# The workers, and the commands that they start, share the cores: threads of each would wait for one another. NumPy's
# library reads it when it is loaded, so it stands before all imports that do so; workers inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from helpers import paint

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep decoded images and runs of a test out of the user's folders."""
    folder = tmp_path_factory.mktemp("private")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("COVIDNET_") and name != "COVIDNET_TEST_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COVIDNET_RUN__REPORT", "false")  # it takes seconds; the tests of the report write theirs


@pytest.fixture
def xray_root(tmp_path: Path) -> Path:
    """A folder in the first release's layout with 12 tiny images a class."""
    return paint(tmp_path / "xrays")


@pytest.fixture
def real_data(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of real radiographs that COVIDNET_TEST_DATA names; all tests of it share what was decoded."""
    folder = os.environ.get("COVIDNET_TEST_DATA")
    if not folder:
        pytest.skip("COVIDNET_TEST_DATA names no folder of real radiographs; this project holds none")
    shared = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared))
    return Path(folder).resolve()
