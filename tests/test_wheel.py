"""Facts about the wheel: it holds what the package reads at run time, and trains outside a clone."""

import subprocess
import sys
import zipfile

import pytest
from helpers import ROOT, slow


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The wheel's content, in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_it_holds_every_file_of_the_package_and_every_config(unpacked):
    wanted = [path for path in (ROOT / "covidnet").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert wanted
    for path in wanted:
        assert (unpacked / path.relative_to(ROOT)).is_file(), path
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert (unpacked / "covidnet" / path.relative_to(ROOT)).is_file(), path


@slow
def test_its_commands_know_their_configs_outside_the_clone(unpacked, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); from covidnet.commands.main import main; sys.exit(main())"
    )
    asked = [sys.executable, "-I", "-c", code, "run", "data=phantom", "model=inception", "--print_config"]
    printed = subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "covidnet.models.inception.InceptionV3" in printed
    assert "covidnet.data.phantom_module.PhantomDataModule" in printed
