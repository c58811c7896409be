"""Folders that several runs make at the same time."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from covidnet.errors import UserError
from covidnet.files.plain_file import make_plain_folders

NAMES = [str(number) for number in range(10)]


@pytest.fixture
def in_turns():
    """Threads that change places at nearly every step."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_folders_that_another_run_makes_meanwhile_are_taken_as_they_are(tmp_path: Path, in_turns: None) -> None:
    """Before, one in three calls took the other's new folder for a link."""
    tops = [tmp_path / str(number) for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda top: make_plain_folders(top, *NAMES), [top for top in tops for _ in range(4)]))
    assert all(folder.is_dir() for folder in made)


@pytest.mark.parametrize("there", ["link", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, there: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    place = tmp_path / "top"
    place.mkdir()
    if there == "link":
        (place / "0").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UserError, match="is a link"):
            make_plain_folders(place, "0", "1")
    else:
        (place / "0").touch()
        with pytest.raises(FileExistsError):
            make_plain_folders(place, "0", "1")
    assert not list((tmp_path / "elsewhere").iterdir())
