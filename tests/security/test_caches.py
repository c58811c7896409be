"""Facts about caches, copies and archives that strangers can write to: links are not followed, odd names not made."""

import io
import json
import os
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import paint

from covidnet.data import phantoms
from covidnet.data.cache import JOURNAL, LOCK, PLANES, open_cache
from covidnet.errors import UserError
from covidnet.files import mirror
from covidnet.files.archive import unpack
from covidnet.files.folders import locked
from covidnet.files.names import clash_of, harm_of
from covidnet.files.plain_file import make_plain_folders, open_plain, refuse_link
from covidnet.files.whole import whole
from covidnet.runs.claim import hold

MINE = "what is mine\n" * 100
NAMES = [f"{name}/{name} ({number}).png" for name in "AB" for number in (1, 2)]


@pytest.fixture
def victim(tmp_path) -> Path:
    """A file of the user's own, elsewhere."""
    file = tmp_path / "mine" / "victim.txt"
    file.parent.mkdir()
    file.write_text(MINE)
    return file


@pytest.fixture
def root(tmp_path) -> Path:
    return paint(tmp_path / "xrays", ("A", "B"), 2)


def filled(tmp_path: Path, root: Path) -> Path:
    """Fill a cache; return its folder."""
    open_cache(root, NAMES, 8, cache_dir=tmp_path / "cache")
    return next((tmp_path / "cache").iterdir())


def link(kind: str, file: Path, victim: Path) -> None:
    file.unlink(missing_ok=True)
    if kind == "link":
        file.symlink_to(victim)
    else:
        file.hardlink_to(victim)


# A cache of decoded images


@pytest.mark.parametrize("kind", ["link", "hard link"])
@pytest.mark.parametrize("name", [PLANES, JOURNAL, LOCK])
def test_a_link_in_a_cache_is_not_followed(tmp_path, root, victim, kind, name):
    folder = filled(tmp_path, root)
    link(kind, folder / name, victim)
    with (folder / name).open("ab") as careless:
        careless.write(b"x")
    assert victim.read_text() == f"{MINE}x"
    victim.write_text(MINE)
    with pytest.raises(UserError, match="is a link"):
        open_cache(root, [*NAMES, "B/B (9).png"], 8, cache_dir=tmp_path / "cache")
    assert victim.read_text() == MINE


@pytest.mark.parametrize("kind", ["link", "hard link"])
@pytest.mark.parametrize("name", [PLANES, JOURNAL])
def test_a_link_in_the_place_of_what_is_written_anew_goes(tmp_path, root, victim, kind, name):
    folder = filled(tmp_path, root)
    link(kind, folder / f"{name}.new", victim)
    (folder / JOURNAL).write_text("{}\n")  # so all is written anew
    cache, unreadable = open_cache(root, NAMES, 8, cache_dir=tmp_path / "cache")
    assert len(cache.index) == len(NAMES)
    assert not unreadable
    assert victim.read_text() == MINE


def test_a_link_in_the_place_of_a_caches_folder_is_not_followed(tmp_path, root, victim):
    folder = filled(tmp_path, root)
    folder.rename(tmp_path / "moved")
    folder.symlink_to(victim.parent)
    with pytest.raises(UserError, match="is a link"):
        open_cache(root, NAMES, 8, cache_dir=tmp_path / "cache")
    assert [path.name for path in victim.parent.iterdir()] == [victim.name]


def test_the_folder_that_the_user_gives_may_be_a_link(tmp_path, root):
    (tmp_path / "disk").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "disk")
    filled(tmp_path, root)
    assert list((tmp_path / "disk").glob(f"*/{PLANES}"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among files")
def test_a_pipe_in_a_cache_is_not_waited_for(tmp_path, root):
    folder = filled(tmp_path, root)
    (folder / JOURNAL).unlink()
    os.mkfifo(folder / JOURNAL)
    with pytest.raises(UserError, match="is a link, or no plain file"):
        open_cache(root, NAMES, 8, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("name", [PLANES, JOURNAL, LOCK, f"{PLANES}.new", f"{JOURNAL}.new"])
def test_a_folder_in_the_place_of_a_file_of_a_cache_is_one_sentence(tmp_path, root, name):
    folder = filled(tmp_path, root)
    (folder / JOURNAL).write_text("{}\n")  # so all is written anew
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    with pytest.raises(UserError, match="no plain file"):
        open_cache(root, NAMES, 8, cache_dir=tmp_path / "cache")


def test_planes_that_take_no_room_account_for_no_journal(tmp_path, root):
    folder = filled(tmp_path, root)
    for name in (PLANES, JOURNAL):
        with (folder / name).open("r+b") as file:
            file.truncate(2**40)  # without a byte on the disk
    cache, _ = open_cache(root, NAMES, 8, cache_dir=tmp_path / "cache")
    assert len(cache.index) == len(NAMES)
    assert (folder / JOURNAL).stat().st_size < 2**20


def deep() -> str:
    return "[" * 100_000 + "]" * 100_000


ODD = {
    "a short thumbnail": {"thumbnail": "AAAA"},
    "a long thumbnail": {"thumbnail": "A" * 5_000},
    "no code": {"thumbnail": "!" * 3072},
    "half no code": {"thumbnail": "A!" * 1536},
    "no text": {"thumbnail": 5},
    "letters": {"thumbnail": "ä" * 3072},
    "a plane of truth": {"plane": True},
    "a plane below 0": {"plane": -1},
    "a plane far away": {"plane": 10**30},
    "half a plane": {"plane": 0.5},
    "no plane": {"plane": None},
    "channels of truth": {"channels": True},
    "two channels": {"channels": 2},
    "a checksum of text": {"checksum": "1"},
    "a checksum nan": {"checksum": float("nan")},
    "identity of text": {"identity": "abcd"},
    "identity none": {"identity": None},
    "identity nested": {"identity": [[1], [2], [3], [4]]},
    "more": {"more": 1},
    "a path none": {"path": None},
    "a content none": {"content": None},
}


def recalculated(record: dict) -> dict:
    """Give a record a right checksum, as whoever writes it could."""
    import zlib

    small = record.get("thumbnail")
    planes = np.fromfile(next(Path("cache").glob(f"*/{PLANES}")), dtype=np.uint8)
    own = planes[:64].tobytes()
    if isinstance(small, str) and record.get("checksum") == "right":
        record["checksum"] = zlib.crc32(small.encode(errors="replace"), zlib.crc32(own))
    return record


@pytest.mark.parametrize("checksum", ["kept", "right"])
@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_an_odd_line_of_the_journal_counts_for_nothing(tmp_path, root, monkeypatch, change, checksum):
    monkeypatch.chdir(tmp_path)
    folder = filled(tmp_path, root)
    sound, _ = open_cache(root, NAMES, 8, cache_dir=tmp_path / "cache")
    lines = (folder / JOURNAL).read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if '"plane": 0,' in line)
    record = json.loads(lines[number])
    record = {**record, **({"checksum": "right"} if checksum == "right" else {}), **change}
    lines[number] = json.dumps(recalculated(record))
    (folder / JOURNAL).write_text("\n".join(lines) + "\n")
    again, unreadable = open_cache(root, NAMES, 8, cache_dir=tmp_path / "cache")
    assert not unreadable
    np.testing.assert_array_equal(again.gather(np.arange(4)), sound.gather(np.arange(4)))
    np.testing.assert_array_equal(again.thumbnails, sound.thumbnails)


@pytest.mark.parametrize("line", [deep(), "1" * 10**6, "{", "[]", "null", '"a"', '{"path": 1}', "\ud800", "NaN"])
def test_a_line_that_is_no_entry_counts_for_nothing(tmp_path, root, line):
    folder = filled(tmp_path, root)
    journal = folder / JOURNAL
    header, *lines = journal.read_text().splitlines()
    for content in ([header, line, *lines], [line], [line, *lines]):
        journal.write_text("\n".join(content) + "\n", errors="surrogatepass")
        cache, unreadable = open_cache(root, NAMES, 8, cache_dir=tmp_path / "cache")
        assert len(cache.index) == len(NAMES)
        assert not unreadable


def test_a_journal_longer_than_its_planes_account_for_is_not_read(tmp_path, root):
    folder = filled(tmp_path, root)
    with (folder / JOURNAL).open("r+b") as journal:
        journal.truncate(2**40)  # without a byte on the disk
    cache, _ = open_cache(root, NAMES, 8, cache_dir=tmp_path / "cache")
    assert len(cache.index) == len(NAMES)
    assert (folder / JOURNAL).stat().st_size < 2**20


# Locks, files that are written whole, drawn radiographs


@pytest.mark.parametrize("kind", ["link", "hard link"])
def test_a_lock_cuts_no_other_file(tmp_path, victim, kind):
    link(kind, tmp_path / "lock", victim)
    with pytest.raises(UserError, match="is a link"), locked(tmp_path / "lock"):
        pass
    with pytest.raises(UserError, match="is a link"):
        hold(tmp_path, "lock")
    assert victim.read_text() == MINE


@pytest.mark.parametrize("kind", ["link", "hard link"])
def test_what_is_written_whole_goes_into_no_other_file(tmp_path, victim, kind):
    link(kind, tmp_path / f"x.{os.getpid()}.part", victim)
    with whole(tmp_path / "x") as out:
        out.write("new")
    assert (tmp_path / "x").read_text() == "new"
    assert victim.read_text() == MINE


@pytest.mark.parametrize("name", ["phantoms", "phantoms/set"])
def test_phantoms_are_drawn_into_no_linked_folder_of_the_cache(tmp_path, monkeypatch, name):
    monkeypatch.setattr(phantoms, "default_cache_dir", lambda: tmp_path / "cache")
    data = phantoms.Phantoms()
    data.default_root = data.root = tmp_path / "cache" / "phantoms" / "set"
    (tmp_path / "mine").mkdir()
    place = tmp_path / "cache" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="is a link"):
        data.list_images(data.root, None, "data.root")
    assert not list((tmp_path / "mine").iterdir())


def test_plain_files_are_opened(tmp_path):
    with open_plain(tmp_path / "x", "xb") as out:
        out.write(b"1")
    with open_plain(tmp_path / "x", "a", encoding="utf-8") as out:
        out.write("2")
    with open_plain(tmp_path / "x", "r+b") as file:
        assert file.read() == b"12"
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "y", "rb")
    assert make_plain_folders(tmp_path, "a", "b").is_dir()
    refuse_link(tmp_path / "a")
    refuse_link(tmp_path / "nowhere")


# Copies of a store


@pytest.fixture
def store(tmp_path) -> str:
    """A store in a folder, as a URL."""
    paint(tmp_path / "store" / "xrays", ("A", "B"), 2)
    return (tmp_path / "store" / "xrays").as_uri()


def copied(tmp_path: Path, store: str) -> Path:
    """Fetch a store; return the folder of its copy."""
    mirror.mirror_folder(store, tmp_path / "cache", "data.root")
    return next((tmp_path / "cache" / "mirrors").iterdir())


@pytest.mark.parametrize("kind", ["link", "hard link"])
@pytest.mark.parametrize("name", [mirror.JOURNAL, mirror.LOCK])
def test_a_link_in_a_copy_is_not_followed(tmp_path, store, victim, kind, name):
    link(kind, copied(tmp_path, store) / name, victim)
    with pytest.raises(UserError, match="is a link"):
        copied(tmp_path, store)
    assert victim.read_text() == MINE


@pytest.mark.parametrize("name", ["mirrors", "", "files", "files/xrays", "files/xrays/A"])
def test_a_linked_folder_in_a_copy_is_not_followed(tmp_path, store, victim, name):
    place = copied(tmp_path, store)
    folder = tmp_path / "cache" / "mirrors" if name == "mirrors" else place / name
    folder.rename(tmp_path / "moved")
    folder.symlink_to(victim.parent)
    with pytest.raises(UserError, match="is a link"):
        copied(tmp_path, store)
    assert [path.name for path in victim.parent.iterdir()] == [victim.name]
    assert victim.read_text() == MINE


@pytest.mark.parametrize("kind", ["link", "hard link"])
def test_a_link_in_the_place_of_a_copied_image_is_fetched_again(tmp_path, store, victim, kind):
    image = copied(tmp_path, store) / "files" / "xrays" / "A" / "A (1).png"
    sound = image.read_bytes()
    link(kind, image, victim)
    copied(tmp_path, store)
    assert image.read_bytes() == sound
    assert victim.read_text() == MINE


def test_odd_lines_in_the_journal_of_a_copy_count_for_nothing(tmp_path, store):
    journal = copied(tmp_path, store) / mirror.JOURNAL
    odd = [deep(), "1" * 10**6, "[]", '{"path": [], "size": 1, "version": "x"}', '{"path": "x", "size": true}']
    with journal.open("a") as lines:
        lines.write("\n".join(odd) + "\n")
    copied(tmp_path, store)
    assert len(journal.read_text().splitlines()) == 4


# Archives


HARMFUL = [
    "A/x:evil",
    "x.png:Zone.Identifier",
    "nul",
    "A/NUL.png",
    "con",
    "aux.txt",
    "a/COM1",
    "lpt9.tar.gz",
    "com¹",
    "conout$",
    "A/nul .png",
    "a.",
    "a ",
    "A./x",
    "A /x",
    "...",
    "a\nb",
    "a\x1b[2Jb",
    "a\x7f",
    "x\u202egnp.exe",
    "a\u2028b",
    ".git/config",
    "A/.GIT/hooks/post-checkout",
    "git~1/config",
    ".g\u200cit/config",
    "a" * 256,
    "ä" * 200,
    "/".join("a" * 200 for _ in range(6)),
    "/".join("a" * 40),
    "C:x",
    "../x",
    "/x",
    "a\\b",
]


@pytest.mark.parametrize("name", HARMFUL, ids=range(len(HARMFUL)))
@pytest.mark.parametrize("packed", [True, False], ids=["zip", "tar"])
def test_names_that_harm_on_any_system_are_refused(tmp_path, name, packed):
    archive = archive_of(tmp_path, [name], packed=packed)
    with pytest.raises(UserError, match="t is not unpacked") as refused:
        unpack(archive, tmp_path / "to")
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "to").exists()


CLASHES = [
    ["A/x.png", "a/y.png"],
    ["A/x.png", "A/X.png"],
    ["x", "x/y"],
    ["x/y", "x"],
    ["X", "x/y"],
    ["a.png", "a.png"],
    [unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")],
    ["É.png", unicodedata.normalize("NFD", "é.png")],
    ["straße.png", "STRASSE.png"],
    ["\u017f.png", "s.png"],
    ["a\u200bb.png", "ab.png"],
    ["a\u00adb.png", "ab.png"],
    ["I.png", "\u0131.png"],
]


@pytest.mark.parametrize("names", CLASHES, ids=range(len(CLASHES)))
@pytest.mark.parametrize("packed", [True, False], ids=["zip", "tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_a_disk_takes_for_one_are_refused(tmp_path, names, packed):
    archive = archive_of(tmp_path, names, packed=packed)
    with pytest.raises(UserError, match="twice"):
        unpack(archive, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def record(kind: bytes, content: bytes) -> bytes:
    """Return a head of a TAR file that tells of the next one."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.GNU_FORMAT) + content.ljust(512, b"\0")


def zipped(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, b"1")
    return content.getvalue()


CENTRAL = b"PK\x01\x02\x14\x03\x14\0\0\0\0\0"  # begins what a ZIP file says of a member at its end
DAMAGED = {
    "heads upon heads": record(tarfile.XHDTYPE, b"11 a=bcdef\n") * 3_000,
    "heads upon heads for all": record(tarfile.XGLTYPE, b"11 a=bcdef\n") * 3_000,
    "names upon names": record(tarfile.GNUTYPE_LONGNAME, b"a\0") * 3_000,
    "a record of any length": record(tarfile.XHDTYPE, b"9" * 20 + b" a=b\n"),
    "holes without a map": record(tarfile.XHDTYPE, b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n")
    + tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT),
    "a name of no letters": zipped("é.png").replace("é".encode(), b"\xff\xfe"),
    "a way of packing that is none": zipped("x.png").replace(CENTRAL, CENTRAL[:-2] + b"\x63\0"),
    "no name": record(b"0", b"")[:512].replace(b"x", b"\0", 1),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_an_archive_that_its_library_stumbles_over_is_one_sentence(tmp_path, content):
    (tmp_path / "x").write_bytes(content if content.startswith(b"PK") else content + bytes(1024))
    with pytest.raises(UserError) as refused:
        unpack(tmp_path / "x", tmp_path / "to")
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("place", ["a pipe", "a folder", "a device"])
def test_what_is_no_file_is_no_archive(tmp_path, place):
    file = tmp_path / "x"
    make = {"a pipe": lambda: os.mkfifo(file), "a folder": file.mkdir, "a device": lambda: file.symlink_to(os.devnull)}
    make[place]()
    with pytest.raises(UserError, match="is no file"):
        unpack(file, tmp_path / "to")


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "tar"])
def test_a_path_1500_folders_deep_is_one_sentence(tmp_path, packed):
    archive = archive_of(tmp_path, ["a/" * 1500 + "x"], packed=packed)
    with pytest.raises(UserError, match="folders deep") as refused:
        unpack(archive, tmp_path / "to")
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "tar"])
def test_names_of_data_sets_are_unpacked(tmp_path, packed):
    names = [
        "COVID-19 Radiography Database/NORMAL/NORMAL (1).png",
        "COVID-19 Radiography Database/Viral Pneumonia/images/Viral Pneumonia-1.png",
        "Пневмония/é.png",
        "console/null.png",
        ".hidden",
        ".gitignore",
        "~x",
        "a.b..c",
        " leading",
    ]
    unpack(archive_of(tmp_path, names, packed=packed), tmp_path / "to")
    assert all((tmp_path / "to" / name).is_file() for name in names)
    assert clash_of(names) is None
    assert not any(map(harm_of, names))


@pytest.mark.parametrize("name", ["A/nul.png", "A/x:evil", "A/a\x1b.png"])
def test_a_store_gives_no_harmful_name(tmp_path, name):
    paint(tmp_path / "store" / "xrays", ("A",), 1)
    (tmp_path / "store" / "xrays" / name).write_bytes(b"x")
    with pytest.raises(UserError, match="nothing was fetched"):
        copied(tmp_path, (tmp_path / "store" / "xrays").as_uri())


def test_a_store_gives_no_names_that_a_disk_takes_for_one(tmp_path):
    paint(tmp_path / "store" / "xrays", ("A",), 1)
    (tmp_path / "store" / "xrays" / "A" / "a (1).png").write_bytes(b"x")
    with pytest.raises(UserError, match="one name for many disks"):
        copied(tmp_path, (tmp_path / "store" / "xrays").as_uri())


def archive_of(tmp_path: Path, names: list[str], *, packed: bool) -> Path:
    """Write an archive that holds a byte under each name."""
    file = tmp_path / ("x.zip" if packed else "x.tar")
    if packed:
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, b"1")
        return file
    with tarfile.open(file, "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"1"))
    return file
