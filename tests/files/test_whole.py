import errno
import os

import pytest

from covidnet.errors import UserError
from covidnet.files.whole import SENT, Ahead, link_whole, remove_unfinished, whole, whole_folder


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


@pytest.mark.parametrize("given", ["there/../there", "there/inner/..", "link"])
def test_a_folder_is_one_by_whatever_path_it_is_named(tmp_path, given):
    folder = tmp_path / "there"
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("there")
    with whole_folder(tmp_path / given) as out:
        (out / "new").touch()
    assert [file.name for file in folder.iterdir()] == ["new"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "there"]
    assert (tmp_path / "link").is_symlink()


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    kept, rest = tmp_path / "checkpoints" / "last.ckpt", tmp_path / "checkpoints" / "last.ckpt.123.part"
    kept.parent.mkdir()
    kept.touch()
    rest.touch()
    remove_unfinished(tmp_path)
    assert list(kept.parent.iterdir()) == [kept]


@pytest.fixture
def two(tmp_path):
    file, name = tmp_path / "best.ckpt", tmp_path / "last.ckpt"
    file.write_text("this epoch")
    name.write_text("the one before")
    return file, name


def test_a_second_name_takes_the_place_of_another_file_and_is_the_same_file(two):
    file, name = two
    for _ in range(2):  # the second time there is nothing to do
        link_whole(file, name)
        assert file.samefile(name)
        assert sorted(file.parent.iterdir()) == [file, name]


@pytest.mark.parametrize("rewritten", [0, 1])
def test_a_file_of_two_names_that_is_written_anew_under_one_stays_under_the_other(two, rewritten):
    link_whole(*two)
    with whole(two[rewritten]) as out:
        out.write("with its calibration")
    assert two[1 - rewritten].read_text() == "this epoch"


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV])
def test_where_the_disk_has_no_links_there_is_a_copy(two, monkeypatch, number):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    file, name = two
    link_whole(file, name)
    assert name.read_text() == "this epoch"
    assert not file.samefile(name)
    assert sorted(file.parent.iterdir()) == [file, name]


def test_a_large_file_sets_off_for_the_disk_before_its_end_and_is_what_was_written(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, size, advice: told.append((start, size)), raising=False)
    parts = [os.urandom(size) for size in (7, 2 * SENT + 1, 30, SENT - 40, 5, 100)]
    with whole(tmp_path / "best.ckpt", "wb") as out:
        ahead = Ahead(out)
        written = [ahead.write(part) for part in parts]
        ahead.flush()
    assert (tmp_path / "best.ckpt").read_bytes() == b"".join(parts)
    assert written == [len(part) for part in parts]
    assert [start for start, _ in told] == [0, *(start + size for start, size in told[:-1])]
    assert sum(size for _, size in told) > sum(written) - SENT
    assert all(size >= SENT for _, size in told)


def test_a_folder_takes_its_name_when_it_is_whole(tmp_path):
    folder = tmp_path / "masks"
    for content in ("before", "after"):
        with whole_folder(folder) as here:
            (here / content).touch()
            assert here.name.startswith(".")  # no walk looks into it
    assert [file.name for file in folder.iterdir()] == ["after"]
    assert list(tmp_path.iterdir()) == [folder]


def test_one_process_at_a_time_writes_a_folder_and_a_full_disk_names_it(tmp_path):
    folder = tmp_path / "masks"
    with whole_folder(folder) as here:
        (here / "first").touch()
        with pytest.raises(UserError, match=r"Another process writes .*masks now"), whole_folder(folder):
            pass
    assert [file.name for file in folder.iterdir()] == ["first"]
    with pytest.raises(OSError, match="No space left") as error, whole_folder(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert error.value.filename == str(folder)


@pytest.mark.parametrize("moment", ["writing", "between the two names"])
def test_a_folder_that_is_not_finished_leaves_the_former(tmp_path, monkeypatch, moment):
    folder = tmp_path / "masks"
    with whole_folder(folder) as here:
        (here / "before").touch()
    rename = type(folder).rename

    def ended(self, target):
        if self.name == ".masks.part":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(type(folder), "rename", ended)
    after = "after" if moment != "writing" else "no such folder/after"
    with pytest.raises((KeyboardInterrupt, FileNotFoundError)), whole_folder(folder) as here:
        (here / after).touch()
    assert [file.name for file in folder.iterdir()] == ["before"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_a_killed_process_left_between_two_names_is_put_back(tmp_path):
    folder = tmp_path / "masks"
    for name in (".masks.former.part", ".masks.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    with pytest.raises(KeyboardInterrupt), whole_folder(folder):
        raise KeyboardInterrupt
    assert [file.name for file in folder.iterdir()] == [".masks.former.part"]
    assert list(tmp_path.iterdir()) == [folder]
