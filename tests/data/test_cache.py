"""Facts about the cache: its pixels are always those of the files, whatever happened to either; it decodes no more."""

import errno
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import paint, slow
from PIL import Image

import covidnet.data.cache as module
from covidnet.data import decoding
from covidnet.data.cache import JOURNAL, PLANES, open_cache
from covidnet.data.decoding import check_images
from covidnet.errors import UserError
from covidnet.imaging.decode import THUMBNAIL, decode, open_radiograph, thumbnail

SIZE = 6
PLANE = SIZE * SIZE
MANY = 70  # more than the cache decodes without worker processes


class Xrays:
    """A folder of radiographs, its cache, and the names of the files that were decoded."""

    def __init__(self, root, cache_dir, decoded):
        self.root, self.cache_dir, self.decoded = root, cache_dir, decoded

    @property
    def paths(self):
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*.*"))

    @property
    def folder(self):
        return next(self.cache_dir.iterdir())

    def open(self, paths=None, size=SIZE, **options):
        """Return the cache, the reasons, and which files this call decoded."""
        del self.decoded[:]
        cache, unreadable = open_cache(self.root, paths or self.paths, size, cache_dir=self.cache_dir, **options)
        return cache, unreadable, sorted(self.decoded)

    def expected(self, path):
        return decode((self.root / path).read_bytes(), SIZE)

    def assert_right(self, cache, paths=None):
        paths = paths or self.paths
        assert len(cache.index) == len(paths)
        for number, path in enumerate(paths):
            pixels = cache.gather(np.array([number]))[0]
            np.testing.assert_array_equal(pixels, np.broadcast_to(self.expected(path), pixels.shape), err_msg=path)

    def repaint(self, path, level=250):
        Image.fromarray(np.full((9, 9), level, dtype=np.uint8)).save(self.root / path)


@pytest.fixture
def xrays(tmp_path, monkeypatch):
    decoded = []
    decode_file = decoding.decode_file

    def counted(root, path, *options):
        decoded.append(path)
        return decode_file(root, path, *options)

    monkeypatch.setattr(decoding, "decode_file", counted)
    return Xrays(paint(tmp_path / "xrays", per_class=4), tmp_path / "cache", decoded)


@pytest.fixture
def built(xrays):
    xrays.open()
    return xrays


def test_pixels_are_those_that_decoding_gives(xrays):
    cache, unreadable, decoded = xrays.open()
    xrays.assert_right(cache)
    assert (unreadable, decoded) == ({}, xrays.paths)


def test_images_follow_the_order_of_the_paths(xrays):
    paths = xrays.paths[::-1]
    xrays.assert_right(xrays.open(paths)[0], paths)


def test_a_batch_is_a_copy_that_may_be_written(built):
    cache, _, _ = built.open()
    batch = cache.gather(np.array([3, 0, 3]))
    assert batch.shape == (3, 1, SIZE, SIZE)
    batch[:] = 0
    built.assert_right(cache)


def test_the_second_opening_decodes_nothing(built):
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == []


def test_another_choice_of_images_decodes_nothing_and_loses_nothing(built):
    chosen = built.paths[5:]
    cache, _, decoded = built.open(chosen)
    built.assert_right(cache, chosen)
    assert decoded == built.open()[2] == []


@pytest.mark.parametrize("option", [{"size": 7}, {"interpolation": "nearest"}], ids=str)
def test_another_option_has_another_folder_and_keeps_the_first(built, option):
    assert built.open(**option)[2] == built.paths
    assert len(list(built.cache_dir.iterdir())) == 2
    assert built.open()[2] == built.open(**option)[2] == []


@pytest.mark.parametrize("another", [{"decoder": 99}, {"resizer": "Pillow 99"}, {"format": 99}], ids=str)
def test_another_version_of_the_code_reads_no_old_pixels(built, monkeypatch, another):
    original = module.Decoding
    monkeypatch.setattr(module, "Decoding", lambda *options, **more: original(*options, **more, **another))
    assert built.open()[2] == built.paths


def test_another_root_with_the_same_names_has_its_own_pixels(built, tmp_path):
    other = Xrays(paint(tmp_path / "other", per_class=4), built.cache_dir, built.decoded)
    other.repaint(other.paths[0])
    other.assert_right(other.open()[0])
    built.assert_right(built.open()[0])


def test_a_root_by_another_name_is_the_same_root(built, tmp_path):
    (tmp_path / "link").symlink_to(built.root)
    assert Xrays(tmp_path / "link", built.cache_dir, built.decoded).open(built.paths)[2] == []


def touch(xrays, path):
    os.utime(xrays.root / path, (1, 1))


def change(xrays, path):
    xrays.repaint(path)


def change_but_keep_size_and_time(xrays, path):
    file = xrays.root / path
    before, content = file.stat(), file.read_bytes()
    shutil.copy(xrays.root / xrays.paths[0], file)
    content = file.read_bytes()[: len(content)].ljust(len(content), b"\0")
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap(xrays, path):
    """Give a file the name, times and size of another: what an archive that is unpacked anew does."""
    file = xrays.root / path
    before = file.stat()
    file.rename(xrays.root / "old")
    Image.fromarray(np.full((9, 9), 9, dtype=np.uint8)).save(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    (xrays.root / "old").unlink()


@pytest.mark.parametrize("how", [touch, change, change_but_keep_size_and_time, swap])
def test_a_file_that_was_written_again_is_decoded_again_alone(built, how):
    how(built, built.paths[7])
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == [built.paths[7]]
    assert built.open()[2] == []


def test_a_removed_file_leaves_the_others_right(built):
    (built.root / built.paths[3]).unlink()
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == []


def test_an_added_file_is_decoded_alone(built):
    built.repaint("NORMAL/a new one.png")
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == ["NORMAL/a new one.png"]


def test_verify_finds_other_bytes_behind_the_same_identity(built, monkeypatch):
    kept = {path: module.file_identity(built.root / path) for path in built.paths}
    for place in (module, decoding):
        monkeypatch.setattr(place, "file_identity", lambda path: kept[path.relative_to(built.root).as_posix()])
    built.repaint(built.paths[7])
    assert built.open()[2] == []  # no cheap check can see it
    cache, _, decoded = built.open(verify=True)
    built.assert_right(cache)
    assert decoded == [built.paths[7]]
    assert built.open(verify=True)[2] == []


def flip(file, position):
    with file.open("r+b") as content:
        content.seek(position)
        byte = content.read(1)[0]
        content.seek(position)
        content.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("plane", [0, 5, 11])
def test_a_flipped_bit_in_a_plane_costs_that_image_alone(built, plane):
    flip(built.folder / PLANES, plane * PLANE + 3)
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == [built.paths[plane]]


@pytest.mark.parametrize("left", [0, 1, 5 * PLANE, 5 * PLANE + 7])
def test_planes_cut_short_cost_what_was_cut(built, left):
    os.truncate(built.folder / PLANES, left)
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == built.paths[left // PLANE :]
    assert built.open()[2] == []


@pytest.mark.parametrize("name", [PLANES, JOURNAL])
def test_a_cache_without_one_of_its_files_is_built_anew(built, name):
    (built.folder / name).unlink()
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == built.paths


@pytest.mark.parametrize("cut", [1, 30])
def test_half_a_last_line_costs_one_image(built, cut):
    journal = built.folder / JOURNAL
    os.truncate(journal, journal.stat().st_size - cut)
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == ([] if cut == 1 else [built.paths[-1]])  # without its newline a line is still whole
    assert built.open()[2] == []


FOREIGN = {
    "nothing": b"",
    "random bytes": bytes(range(256)) * 40,
    "no JSON": b"hello\nworld\n",
    "another JSON": b"[1, 2]\n3\n",
    "another root": json.dumps({"root": "/elsewhere", "size": SIZE}).encode() + b"\n",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_journal_starts_the_cache_anew(built, content):
    (built.folder / JOURNAL).write_bytes(content)
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == built.paths
    assert built.open()[2] == []


LINES = ["", "{", "null", "7", "[]", "{}", '{"path": "x"}', '"path"', "\x00\x00", "ÿ", "1e999"]


@pytest.mark.parametrize("line", LINES, ids=repr)
def test_a_line_of_garbage_costs_nothing(built, line):
    journal = built.folder / JOURNAL
    header, *lines = journal.read_text().splitlines()
    journal.write_text("\n".join([header, line, *lines[:6], line, *lines[6:], line]))
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"plane": -1},
        {"plane": 10**9},
        {"plane": 0.5},
        {"plane": None},
        {"channels": 0},
        {"channels": 3},
        {"channels": 2},
        {"channels": "1"},
        {"checksum": None},
        {"identity": []},
        {"identity": 5},
        {"path": 5},
        {"path": None},
        {"path": []},
        {"another": 1},
    ],
    ids=str,
)
def test_a_line_that_lies_costs_one_image(built, wrong):
    journal = built.folder / JOURNAL
    *lines, last = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines, json.dumps({**json.loads(last), **wrong})]) + "\n")
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == [built.paths[-1]]


def test_a_byte_of_garbage_in_the_journal_costs_one_image(built):
    journal = built.folder / JOURNAL
    journal.write_bytes(journal.read_bytes().replace(b"COVID-19 (2)", b"COVID-19\xff(2)"))
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == ["COVID-19/COVID-19 (2).png"]


def test_lines_that_name_each_others_planes_give_no_wrong_pixels(built):
    journal = built.folder / JOURNAL
    lines = [json.loads(line) for line in journal.read_text().splitlines() if line]
    lines[1]["plane"], lines[2]["plane"] = lines[2]["plane"], lines[1]["plane"]
    journal.write_text("\n".join(map(json.dumps, lines)) + "\n")
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == built.paths[:2]


def test_a_cache_of_mostly_stale_planes_is_made_small(built):
    for level in range(5):
        for path in built.paths:
            built.repaint(path, level)
        built.assert_right(built.open()[0])
    assert (built.folder / PLANES).stat().st_size <= 3 * len(built.paths) * PLANE
    assert built.open()[2] == []


def grow_stale(xrays):
    """Leave a cache that the next opening will compact: of eight images six are stale, four are not asked for."""
    for path in xrays.paths[:8]:
        xrays.repaint(path)
    return xrays.paths[:8]


def test_what_is_not_asked_for_outlives_a_compaction(built):
    assert built.open(grow_stale(built))[2] == built.paths[:8]
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == []


def test_damage_to_what_is_not_asked_for_is_not_sealed_by_a_compaction(built):
    flip(built.folder / PLANES, 9 * PLANE)
    built.open(grow_stale(built))
    cache, _, decoded = built.open()
    built.assert_right(cache)
    assert decoded == [built.paths[9]]


@pytest.mark.parametrize("lost", [PLANES, JOURNAL])
def test_a_compaction_that_died_between_its_two_files_gives_right_pixels(built, tmp_path, lost):
    old = (built.folder / lost).read_bytes()
    built.open(grow_stale(built))
    (built.folder / lost).write_bytes(old)
    built.assert_right(built.open()[0])
    assert built.open()[2] == []


def test_a_mapping_keeps_its_pixels_while_another_run_changes_the_cache(built):
    mapped, _, _ = built.open()
    everything = np.arange(len(built.paths))
    before = mapped.gather(everything)
    for path in built.paths:
        built.repaint(path)
    for _ in range(3):  # adds, compacts, adds
        built.open(grow_stale(built))
    built.assert_right(built.open()[0])
    np.testing.assert_array_equal(mapped.gather(everything), before)


def test_colour_and_grey_share_a_cache(xrays):
    colour = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(colour).save(xrays.root / xrays.paths[5])
    for expected in (xrays.paths, []):
        cache, _, decoded = xrays.open()
        assert decoded == expected
        assert cache.gather(np.array([4, 5])).shape == (2, 3, SIZE, SIZE)
        xrays.assert_right(cache)


def test_a_grey_image_that_becomes_coloured_and_back_is_right(built):
    grey = (built.root / built.paths[5]).read_bytes()
    Image.new("RGB", (9, 9), (9, 99, 199)).save(built.root / built.paths[5])
    built.assert_right(built.open()[0])
    (built.root / built.paths[5]).write_bytes(grey)
    cache, _, _ = built.open()
    built.assert_right(cache)
    assert cache.gather(np.array([5])).shape == (1, 1, SIZE, SIZE)


def spoil(xrays):
    """Make four of the twelve files unreadable, each its own way."""
    contents = [b"", b"<html>", (xrays.root / xrays.paths[0]).read_bytes()[:100]]
    for path, content in zip(xrays.paths, contents, strict=False):
        (xrays.root / path).write_bytes(content)
    paths, reasons = xrays.paths, ("empty", "web page", "damaged", "plain file")
    (xrays.root / paths[3]).unlink()
    (xrays.root / paths[3]).mkdir()
    return paths, dict(zip(paths, reasons, strict=False))


def test_unreadable_files_are_left_out_with_their_reasons(xrays):
    paths, reasons = spoil(xrays)
    cache, unreadable, _ = xrays.open(paths)
    assert list(unreadable) == list(reasons)
    assert all(reason in unreadable[path] for path, reason in reasons.items())
    xrays.assert_right(cache, paths[4:])


def test_checking_alone_finds_the_same_reasons_and_thumbnails(xrays):
    paths, _ = spoil(xrays)
    thumbnails, unreadable = check_images(xrays.root, paths, SIZE, "bilinear")
    cache, reasons, _ = xrays.open(paths)
    assert unreadable == reasons
    np.testing.assert_array_equal(thumbnails, cache.thumbnails)


def test_a_cache_of_any_size_holds_the_same_thumbnails_cold_and_warm(xrays):
    cold, warm, larger = (xrays.open(size=size)[0].thumbnails for size in (SIZE, SIZE, 3 * SIZE))
    files = [thumbnail(open_radiograph((xrays.root / path).read_bytes()).image) for path in xrays.paths]
    assert cold.shape == (len(xrays.paths), THUMBNAIL, THUMBNAIL)
    for thumbnails in (warm, larger, files):
        np.testing.assert_array_equal(thumbnails, cold)


def test_a_file_that_vanished_since_it_was_listed_is_unreadable(xrays):
    gone = "NORMAL/gone.png"
    cache, unreadable, _ = xrays.open([*xrays.paths, gone])
    assert list(unreadable) == [gone]
    xrays.assert_right(cache)


def test_a_mended_file_is_decoded_the_next_time(xrays):
    (xrays.root / xrays.paths[2]).write_bytes(b"")
    assert list(xrays.open()[1]) == [xrays.paths[2]]
    xrays.repaint(xrays.paths[2])
    cache, unreadable, decoded = xrays.open()
    assert (unreadable, decoded) == ({}, [xrays.paths[2]])
    xrays.assert_right(cache)


def test_a_folder_of_unreadable_files_alone_gives_an_empty_cache(xrays):
    (xrays.root / "only.png").write_bytes(b"")
    cache, unreadable, _ = xrays.open(["only.png"])
    assert (len(cache.index), list(unreadable)) == (0, ["only.png"])


def test_awkward_names_are_kept(xrays):
    names = ["NORMAL/a\nb.png", 'NORMAL/"ü\u2028.png', os.fsdecode(b"NORMAL/caf\xe9.png")]
    for name in names:
        shutil.copy(xrays.root / xrays.paths[0], xrays.root / name)
    xrays.assert_right(xrays.open(names)[0], names)
    assert xrays.open(names)[2] == []


def test_a_disk_too_small_names_the_key(xrays, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=11 * PLANE))
    with pytest.raises(UserError, match=rf"need at least {12 * PLANE} bytes .*data\.cache_dir=FOLDER"):
        xrays.open()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=12 * PLANE))
    xrays.assert_right(xrays.open()[0])


def test_a_disk_that_fills_up_names_the_key_and_keeps_what_is_finished(xrays, monkeypatch):
    append, done = module._append, []

    def fills_up(*parts):
        if len(done) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(1)
        return append(*parts)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_append", fills_up)
        with pytest.raises(UserError, match=r"No space left.*data\.cache_dir=FOLDER"):
            xrays.open()
    cache, _, decoded = xrays.open()
    xrays.assert_right(cache)
    assert decoded == xrays.paths[5:]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the root user may write everywhere")
def test_a_read_only_folder_names_the_key(xrays):
    xrays.cache_dir.mkdir(mode=0o555)
    with pytest.raises(UserError, match=r"cannot be written.*data\.cache_dir=FOLDER"):
        xrays.open()


def test_a_cache_folder_that_is_a_file_names_the_key(xrays):
    xrays.cache_dir.write_text("a file")
    with pytest.raises(UserError, match=r"data\.cache_dir"):
        xrays.open()


def test_the_users_cache_folder_is_the_default(xrays):
    open_cache(xrays.root, xrays.paths, SIZE)
    assert list(Path(os.environ["XDG_CACHE_HOME"]).glob(f"covidnet/*/{PLANES}"))


def script(xrays, code):
    """Return a program that has the images' names and then runs ``code``."""
    given = f"""
        import json, os, signal, sys
        from pathlib import Path
        import numpy as np
        import covidnet.data.cache as module
        from covidnet.data import decoding
        root, paths, cache_dir = Path({str(xrays.root)!r}), {xrays.paths!r}, Path({str(xrays.cache_dir)!r})
        """
    return textwrap.dedent(given) + textwrap.dedent(code)


def start(program):
    """Start a program that says when it is ready and waits for a line; return it then."""
    run = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "ready\n"
    return run


def finish(run):
    """Let a started program go on; return what it prints, from JSON."""
    answer, _ = run.communicate("go\n", timeout=60)
    assert run.returncode == 0
    return json.loads(answer)


@pytest.mark.parametrize(
    "victim", ["decoding.decode_file", "module.asdict"], ids=["while decoding", "between planes and line"]
)
def test_a_killed_build_goes_on_where_it_stopped(xrays, victim):
    paint(xrays.root / "more", per_class=12)  # 48 in all: three chunks
    code = f"""
        original, calls = {victim}, []
        def dies(*args):
            calls.append(args)
            if len(calls) == 40:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args)
        {victim} = dies
        module.open_cache(root, paths, {SIZE}, cache_dir=cache_dir)
        """
    done = subprocess.run([sys.executable, "-c", script(xrays, code)], check=False)
    assert done.returncode == -signal.SIGKILL
    kept = sum(line.startswith('{"path"') for line in (xrays.folder / JOURNAL).read_text().splitlines())
    assert 30 <= kept < 48
    cache, _, decoded = xrays.open()
    xrays.assert_right(cache)
    assert decoded == xrays.paths[kept:]


def test_two_builds_at_once_share_the_work(xrays):
    code = f"""
        original, decoded = decoding.decode_file, []
        def counted(root, path, *options):
            decoded.append(path)
            return original(root, path, *options)
        decoding.decode_file = counted
        print("ready", flush=True)
        sys.stdin.readline()
        cache, _ = module.open_cache(root, paths, {SIZE}, cache_dir=cache_dir)
        print(json.dumps([decoded, cache.gather(np.arange(len(paths))).tolist()]))
        """
    runs = [start(script(xrays, code)) for _ in range(2)]
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    (first, pixels), (second, same) = [finish(run) for run in runs]
    assert sorted(first + second) == xrays.paths
    assert pixels == same == [xrays.expected(path).tolist() for path in xrays.paths]


def test_a_run_that_reads_keeps_its_pixels_when_another_finds_the_journal_spoilt(built):
    code = f"""
        cache, _ = module.open_cache(root, paths, {SIZE}, cache_dir=cache_dir)
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(cache.gather(np.arange(len(paths))).tolist()))
        """
    reader = start(script(built, code))  # a process of its own: pages cut off under a mapping may kill it
    (built.folder / JOURNAL).write_bytes(b"")
    built.open(built.paths[:1])
    assert finish(reader) == [built.expected(path).tolist() for path in built.paths]


def test_many_images_are_decoded_by_worker_processes_in_order(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(decoding, "cores", lambda: 2)
    xrays = Xrays(paint(tmp_path / "xrays", per_class=MANY // 3 + 1), tmp_path / "cache", [])
    (xrays.root / xrays.paths[40]).write_bytes(b"")
    cache, unreadable, _ = xrays.open()
    assert list(unreadable) == [xrays.paths[40]]
    xrays.assert_right(cache, [path for path in xrays.paths if path not in unreadable])
    assert "decoding 72 images to 6x6" in capfd.readouterr().err


def dying_chunk(root, paths, size, interpolation, reading):
    """Decode; but in a worker process die over any chunk except the first."""
    if multiprocessing.parent_process() and paths[0] != "COVID-19/COVID-19 (1).png":
        time.sleep(0.3)  # lets the first chunk come back
        os._exit(1)
    return [decoding.decode_file(root, path, size, interpolation, reading) for path in paths]


@slow
def test_when_workers_die_their_work_is_done_here_and_no_more(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(decoding, "cores", lambda: 2)
    monkeypatch.setattr(decoding, "_decode_chunk", dying_chunk)
    xrays = Xrays(paint(tmp_path / "xrays", per_class=MANY // 3 + 1), tmp_path / "cache", [])
    xrays.assert_right(xrays.open()[0])
    assert "the work goes on in this one process" in capfd.readouterr().err
    assert (xrays.folder / PLANES).stat().st_size == len(xrays.paths) * PLANE


def test_a_script_without_a_main_guard_decodes_in_one_process(tmp_path):
    xrays = Xrays(paint(tmp_path / "xrays", per_class=MANY // 3 + 1), tmp_path / "cache", [])
    code = f"decoding.cores = lambda: 2\nmodule.open_cache(root, paths, {SIZE}, cache_dir=cache_dir)"
    (tmp_path / "program.py").write_text(script(xrays, code))
    command = [sys.executable, tmp_path / "program.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "the work goes on in this one process" in done.stderr
    cache, _, decoded = xrays.open()
    xrays.assert_right(cache)
    assert decoded == []


def test_a_cache_travels_to_a_worker_as_a_file_name(xrays):
    cache, _, _ = xrays.open()
    packed = pickle.dumps(cache)
    assert len(packed) < cache.planes.nbytes + 2000
    assert cache.planes.tobytes() not in packed
    np.testing.assert_array_equal(pickle.loads(packed).gather(np.arange(3)), cache.gather(np.arange(3)))
