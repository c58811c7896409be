"""What the cache folder holds and how it goes: never what a process is using."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from helpers import call, mistake, paint

from covidnet.commands import cache as command
from covidnet.commands.main import main
from covidnet.data.cache import open_cache
from covidnet.data.cache_shelf import COPIES, DECODED, DRAWN, busy, remove, shelves
from covidnet.data.phantoms import Phantoms
from covidnet.files.in_use import keep

DAY = 86_400


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two decoded folders of which the first was not used for long, phantoms, and a copy out of a store."""
    above = tmp_path / "cache"
    for name in ("old", "new"):
        root = paint(tmp_path / name, ["a"], 2)
        open_cache(root, ["a/a (1).png", "a/a (2).png"], 8, cache_dir=above)
    for place, name in (("phantoms/v1", "README.md"), ("mirrors/bucket-1/files/xrays", "1.png")):
        (above / place).mkdir(parents=True)
        (above / place / name).write_text("0")
    for shelf in shelves(above):
        if shelf.what == f"{tmp_path / 'old'}, 8 px":
            long_ago = time.time() - 40 * DAY
            os.utime(shelf.folder / "lock", (long_ago, long_ago))
    (above / "notes.txt").write_text("the user's own")
    (above / "other").mkdir()
    return above


def whats(cache: Path) -> list[tuple[str, str]]:
    return sorted((shelf.kind, Path(shelf.what.removesuffix(", 8 px")).name) for shelf in shelves(cache))


def test_each_folder_is_told_with_its_data_and_goes_by_its_age(cache, capsys):
    all_of_it = [(COPIES, "bucket-1"), (DECODED, "new"), (DECODED, "old"), (DRAWN, "v1")]
    assert whats(cache) == sorted(all_of_it)
    call(command, cache)
    assert "/old,8px" in re.sub(r"[\s│]", "", capsys.readouterr().out)  # however the table breaks it
    call(command, "clean", cache, "--older", 30, "--yes")
    assert whats(cache) == sorted(set(all_of_it) - {(DECODED, "old")})
    call(command, "clean", cache, "--all", "--yes")
    assert whats(cache) == []
    assert sorted(one.name for one in cache.iterdir()) == ["mirrors", "notes.txt", "other", "phantoms"]


def test_opening_a_cache_counts_as_its_use(cache, tmp_path):
    open_cache(tmp_path / "old", ["a/a (1).png"], 8, cache_dir=cache)
    call(command, "clean", cache, "--older", 30, "--yes")
    assert (DECODED, "old") in whats(cache)


def test_what_is_read_or_filled_stays(cache, tmp_path):
    pixels, _ = open_cache(tmp_path / "new", ["a/a (1).png"], 8, cache_dir=cache)
    keep(cache / "mirrors" / "bucket-1" / "in-use")
    old = next(shelf for shelf in shelves(cache) if "old" in shelf.what)
    with FileLock(old.folder / "lock"):
        assert {shelf.kind for shelf in shelves(cache) if shelf.folder not in busy(cache)} == {DRAWN}
        call(command, "clean", cache, "--all", "--yes")
        assert not remove(old)
    assert whats(cache) == [(COPIES, "bucket-1"), (DECODED, "new"), (DECODED, "old")]
    assert pixels.gather(np.array([0])).shape == (1, 1, 8, 8)
    del pixels
    call(command, "clean", cache, "--all", "--yes")
    assert whats(cache) == [(COPIES, "bucket-1")]


def test_clean_without_a_choice_is_refused(cache, capsys):
    assert "--older DAYS" in mistake(lambda: main(["cache", "clean", str(cache)]), capsys)


def test_phantoms_are_drawn_where_the_cache_is(tmp_path):
    assert Phantoms(cache_dir=str(tmp_path)).default_root.parent == tmp_path / "phantoms"
