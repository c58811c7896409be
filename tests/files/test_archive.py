"""Facts about unpacking: nothing leaves the folder, nothing grows beyond reason, nothing is left half done."""

import io
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple

import pytest

from covidnet.errors import UserError
from covidnet.files import archive as module
from covidnet.files.archive import unpack
from covidnet.files.folders import KEPT_FREE


def zipped(file, members):
    """Write a ZIP; a member is a name or a ZipInfo, and its bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members:
            packed.writestr(name, content)
    return file


def tarred(file, members):
    """Write a TAR; a member is a TarInfo and its bytes."""
    with tarfile.open(file, "w:gz") as packed:
        for info, content in members:
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return file


def special(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def tar_info(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def refuses(archive, target, says):
    with pytest.raises(UserError, match=says):
        unpack(archive, target)
    assert not target.exists()


def test_files_arrive_as_they_were_packed(tmp_path):
    members = [("a/b.png", b"pixels"), ("a/c/d.txt", b""), ("e.txt", b"text")]
    files = {name: content for name, content in members}
    unpack(zipped(tmp_path / "x.zip", members), tmp_path / "zip")
    unpack(tarred(tmp_path / "x.tgz", [(tar_info(name), content) for name, content in members]), tmp_path / "tar")
    for target in (tmp_path / "zip", tmp_path / "tar"):
        found = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        assert found == files
        assert not any(path.stat().st_mode & 0o111 for path in target.rglob("*.png"))


@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/out.png", "C:/out.png", "a\\..\\..\\out.png"])
def test_a_path_outside_the_folder_is_refused(tmp_path, name):
    refuses(zipped(tmp_path / "x.zip", [("good.png", b"1"), (name, b"2")]), tmp_path / "inner" / "to", "outside")
    tar = tarred(tmp_path / "x.tar", [(tar_info("good.png"), b"1"), (tar_info(name), b"2")])
    refuses(tar, tmp_path / "inner" / "to", "outside")
    assert not list(tmp_path.rglob("out.png"))


@pytest.mark.parametrize(
    "info",
    [
        tar_info("link", tarfile.SYMTYPE, "/etc"),
        tar_info("link", tarfile.LNKTYPE, "good.png"),
        tar_info("device", tarfile.CHRTYPE),
        tar_info("pipe", tarfile.FIFOTYPE),
    ],
    ids=["symbolic", "hard", "device", "pipe"],
)
def test_a_link_or_device_in_a_tar_is_refused(tmp_path, info):
    refuses(
        tarred(tmp_path / "x.tar", [(tar_info("good.png"), b"1"), (info, b"")]), tmp_path / "to", "link or a device"
    )


def test_a_link_in_a_zip_is_refused(tmp_path):
    archive = zipped(tmp_path / "x.zip", [(special("link", stat.S_IFLNK | 0o777), b"/etc")])
    refuses(archive, tmp_path / "to", "link or a device")


def test_a_bomb_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_write", lambda *_: pytest.fail("it was unpacked"))
    zeros = bytes(8 * 2**20)
    refuses(zipped(tmp_path / "x.zip", [("a.png", zeros)]), tmp_path / "to", "would unpack to more")
    refuses(tarred(tmp_path / "x.tgz", [(tar_info("a.png"), zeros)]), tmp_path / "to", "would unpack to more")


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_FILES", 3)
    refuses(zipped(tmp_path / "x.zip", [(f"{i}.png", b"") for i in range(4)]), tmp_path / "to", "3 files")


def test_a_zip_that_understates_a_size_gives_no_more_than_it_stated(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("a.png", bytes(2**20))])
    content = archive.read_bytes().replace((2**20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(content)
    refuses(archive, tmp_path / "to", "damaged")


@pytest.mark.filterwarnings("ignore:Duplicate name")  # what the test is about
def test_a_name_that_comes_twice_is_refused(tmp_path):
    refuses(zipped(tmp_path / "x.zip", [("a.png", b"1"), ("a.png", b"2")]), tmp_path / "to", "twice")


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>", b"PK\x03\x04 and no more"])
def test_what_is_no_archive_is_told_so(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    refuses(tmp_path / "x.zip", tmp_path / "to", "neither a ZIP nor a TAR")


def test_a_damaged_file_leaves_nothing(tmp_path):
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a.png", b"first")
        packed.writestr("b.png", b"second")
    archive.write_bytes(archive.read_bytes().replace(b"second", b"sEcond"))
    refuses(archive, tmp_path / "to", "damaged")
    cut = tarred(tmp_path / "x.tgz", [(tar_info("a.png"), bytes(range(256)) * 99)])
    cut.write_bytes(cut.read_bytes()[:-40])
    refuses(cut, tmp_path / "to", "damaged")


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(KEPT_FREE + 5))
    monkeypatch.setattr(module, "_write", lambda *_: pytest.fail("it was unpacked"))
    refuses(zipped(tmp_path / "x.zip", [("a.png", b"sixsix")]), tmp_path / "to", "to spare")


def test_ctrl_c_leaves_the_archive_and_nothing_else(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    archive = zipped(tmp_path / "x.zip", [("a.png", b"1")])
    monkeypatch.setattr(module.shutil, "copyfileobj", interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "to")
    assert list(tmp_path.iterdir()) == [archive]
