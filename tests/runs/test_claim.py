"""Facts about directories that are claimed: one process each, numbers only go up, a lock ends with its holder."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from covidnet.runs.claim import hold, newest_of, next_folder, numbered

CLAIM = """
import sys
from pathlib import Path
from covidnet.runs.claim import next_folder
sys.stdin.readline()
for _ in range(50):
    print(next_folder(Path(sys.argv[1]), "run_").name)
"""


def test_the_first_is_0_and_makes_the_folders_above_it(tmp_path):
    folder = next_folder(tmp_path / "runs" / "convnet", "version_")
    assert folder == tmp_path / "runs" / "convnet" / "version_0"
    assert folder.is_dir()


def test_the_next_follows_the_highest_number_whatever_else_lies_there(tmp_path):
    for name in ("run_2", "run_10", "run_x", "run_11_copy", "other_99", "run_-5"):
        (tmp_path / name).mkdir()
    assert list(numbered(tmp_path, "run_")) == [2, 10]
    assert next_folder(tmp_path, "run_").name == "run_11"


def test_it_begins_no_lower_than_asked(tmp_path):
    assert [next_folder(tmp_path, "run_", lowest).name for lowest in (3, 0, 3)] == ["run_3", "run_4", "run_5"]


def test_two_processes_never_get_the_same(tmp_path):
    command = [sys.executable, "-c", CLAIM, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:  # both begin when both stand ready
        told = list(pool.map(lambda process: process.communicate("go\n")[0].split(), processes))
    assert sorted(told[0] + told[1], key=lambda name: int(name[4:])) == [f"run_{number}" for number in range(100)]


def test_a_folder_that_cannot_be_made_is_told_and_tried_once(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OSError, match="runs"):
        next_folder(tmp_path / "runs" / "convnet", "version_")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileExistsError):
        next_folder(tmp_path / "dangling", "version_")


def test_the_newest_of_a_recipe_is_found_past_others_and_damaged_records(tmp_path):
    for number, text in enumerate(
        [json.dumps({"recipe": {"a": 1}})] * 2 + [json.dumps({"recipe": {"a": 2}}), "{", "[]"]
    ):
        (tmp_path / f"run_{number}").mkdir()
        (tmp_path / f"run_{number}" / "record.json").write_text(text)
    (tmp_path / "run_9").mkdir()
    assert newest_of(tmp_path, "run_", "record.json", {"a": 1}) == tmp_path / "run_1"
    assert newest_of(tmp_path, "run_", "record.json", {"a": 3}) is None
    assert newest_of(tmp_path / "none", "run_", "record.json", {"a": 1}) is None


def test_a_lock_is_held_by_one_until_it_is_released(tmp_path):
    lock = hold(tmp_path, ".lock")
    assert lock is not None
    assert hold(tmp_path, ".lock") is None
    lock.release()
    again = hold(tmp_path, ".lock")
    assert again is not None
    again.release()


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path):
    code = "import os, sys; from pathlib import Path; from covidnet.runs.claim import hold\n"
    code += "lock = hold(Path(sys.argv[1]), '.lock'); assert lock; print('held', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], **pipes) as process:
        assert process.stdout.readline() == "held\n"
        assert hold(tmp_path, ".lock") is None
        process.kill()
        process.wait()
    lock = hold(tmp_path, ".lock")
    assert lock is not None
    lock.release()
