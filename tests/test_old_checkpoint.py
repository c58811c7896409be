"""What commit 2c5dbd2 trained predicts, is tested and goes on as it did there; checkpoints/README.md tells how."""

import shutil
import tarfile
from pathlib import Path

import pytest
from helpers import CLASSES, LAST, QUICK, RUN, main, paint, read_json, read_rows

import covidnet
from covidnet.commands.main import main as command

KEPT = Path(__file__).with_name("checkpoints")
EXPECTED = read_json(KEPT / "2c5dbd2.json")
BEST = RUN / "checkpoints" / "best.ckpt"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the old code worked in: its images and its run."""
    folder = tmp_path_factory.mktemp("old")
    paint(folder / "xrays")
    with tarfile.open(KEPT / "2c5dbd2.tar.xz") as tape:
        tape.extractall(folder, filter="data")
    return folder


@pytest.fixture(autouse=True)
def _in_a_copy(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a copy of it: its paths are relative."""
    shutil.copytree(unpacked, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def same(rows: list[dict[str, str]], expected: list[dict[str, str]], *, within: float) -> None:
    """Assert that two tables hold the same words, and numbers that differ by no more than ``within``."""
    assert [list(row) for row in rows] == [list(row) for row in expected]
    for row, old in zip(rows, expected, strict=True):
        for name, text in row.items():
            slack = 1.5e-3 if name == "novelty" else within  # it is written with three decimals
            assert text == old[name] or float(text) == pytest.approx(float(old[name]), abs=slack), name


def test_it_predicts():
    assert command(["predict", str(RUN), "--device=cpu", "--out=predictions.csv"]) == 0
    same(read_rows(Path("predictions.csv")), EXPECTED["predict"], within=1e-6)


def test_it_is_loaded():
    paths = [Path("xrays", row["path"]) for row in EXPECTED["predict"]]
    for prediction, old in zip(covidnet.load(RUN, "cpu").predict(paths), EXPECTED["predict"], strict=True):
        assert prediction.predicted == old["predicted"]
        expected = {name: float(old[f"prob_{name}"]) for name in CLASSES}
        assert prediction.probabilities == pytest.approx(expected, abs=1e-6)


def test_it_is_tested():
    main(["test", f"ckpt_path={BEST}", *QUICK])
    tested = read_json(RUN.with_name("version_1") / "results.json")["test"]
    assert {name: tested[name] for name in EXPECTED["test"]} == pytest.approx(EXPECTED["test"], abs=1e-6)


def test_it_goes_on():
    main(["run", f"ckpt_path={LAST}", "trainer.max_epochs=4", *QUICK])
    same(read_rows(RUN / "metrics.csv"), EXPECTED["resume"], within=1e-5)
