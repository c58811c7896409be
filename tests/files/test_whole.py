import errno
import os

import pytest

from covidnet.files.whole import remove_unfinished, whole


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    file = tmp_path / "results.json"
    file.write_text("before")
    with whole(file) as out:
        out.write("af")
        assert file.read_text() == "before"
        out.write("ter")
    assert file.read_text() == "after"
    assert list(tmp_path.iterdir()) == [file]


def test_an_error_leaves_what_was_there_and_no_rest(tmp_path):
    file = tmp_path / "results.json"
    file.write_text("before")
    with pytest.raises(TypeError), whole(file, "wb") as out:
        out.writelines([b"af", None])
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_disk_that_is_full_names_the_file(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write raises it: without a name

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error, whole(tmp_path / "results.json") as out:
        out.write("after")
    assert error.value.filename == str(tmp_path / "results.json")


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    kept, rest = tmp_path / "checkpoints" / "last.ckpt", tmp_path / "checkpoints" / "last.ckpt.123.part"
    kept.parent.mkdir()
    kept.touch()
    rest.touch()
    remove_unfinished(tmp_path)
    assert list(kept.parent.iterdir()) == [kept]
