"""Private caches, painted radiographs and the real ones, for all tests."""

import hashlib
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # torch is imported where tests run: what deals them out to the workers does not wait for it
    import numpy as np

    from covidnet.data.division.duplicates import Duplicates

# The workers, and the commands that they start, share the cores: threads of each would wait for one another. NumPy's
# library reads it when it is loaded; workers inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
_copies: "dict[bytes, Duplicates]" = {}  # of real radiographs, by their thumbnails


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark where pytest-xdist is not there."""
    config.addinivalue_line("markers", "xdist_group(name): all tests of these files run in one worker")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give the tests of a file that share a fixture, or of files that share a group, to one worker: it is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _unit(config.rootpath / nodeid.partition("::")[0]) or nodeid

    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left with it when the others have nothing more to do."""
    from helpers import slow

    if "PYTEST_XDIST_WORKER" in os.environ:  # in one process, the tests of a file stay together
        items.sort(key=lambda item: slow.mark not in item.iter_markers())


@cache
def _unit(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    group = re.search(r'mark\.xdist_group\("(\w+)"\)', text)
    return group[1] if group else str(file) * ('scope="module"' in text)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep decoded images and runs of a test out of the user's folders, and it on one core."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("private")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("COVIDNET_") and name != "COVIDNET_TEST_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COVIDNET_RUN__REPORT", "false")  # it takes seconds; the tests of the report write theirs


@pytest.fixture
def xray_root(tmp_path: Path) -> Path:
    """A folder in the first release's layout with 12 tiny images a class."""
    from helpers import paint

    return paint(tmp_path / "xrays")


@pytest.fixture
def real_data(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of real radiographs that COVIDNET_TEST_DATA names; all tests share what was decoded and compared."""
    folder = os.environ.get("COVIDNET_TEST_DATA")
    if not folder:
        pytest.skip("COVIDNET_TEST_DATA names no folder of real radiographs; this project holds none")
    shared = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared))
    for user in ("data.copies", "evidence.audit"):
        monkeypatch.setattr(f"covidnet.{user}.find_duplicates", _find_once)
    return Path(folder).resolve()


def _find_once(thumbnails: "np.ndarray") -> "Duplicates":
    import numpy as np

    from covidnet.data.division.duplicates import find_duplicates

    known = hashlib.sha256(np.ascontiguousarray(thumbnails)).digest()
    if known not in _copies:
        _copies[known] = find_duplicates(thumbnails)
    return _copies[known]
