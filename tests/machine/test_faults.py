"""What the user sees when something breaks, and that nothing is lost. docs/faults.md is the table of these tests."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from forked import run_forked
from helpers import LAST, QUICK, ROOT, RUN, slow
from made_run import write_run
from pytorch_lightning import Callback
from torch.utils.data._utils import signal_handling

import covidnet.data.module as data_module
from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.data.images import Stream
from covidnet.errors import MachineError
from covidnet.files.whole import write_whole
from covidnet.machine import parallel
from covidnet.machine.faults import explain
from covidnet.models.classifier import Classifier


@pytest.fixture
def args(xray_root) -> list[str]:
    return ["fit", f"data.root={xray_root}", "data.test_per_class=3", "data.image_size=12", "data.batch_size=8", *QUICK]


def told(args: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """Return the one message that a command ends with, without a traceback and with this exit code."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(args)
    message = capsys.readouterr().err
    assert ended.value.code == code, message
    assert "Traceback" not in message
    assert message.count("error: ") == 1
    return " ".join(message.split())


@slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=["disk full", "quota", "broken disk"])
def test_a_disk_that_fills_up_or_breaks_in_training_leaves_the_last_whole_epoch(number, args, capsys, monkeypatch):
    main([*args, "trainer.max_epochs=2"])
    before = LAST.read_bytes()

    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))  # as a write raises it: without a name

    with monkeypatch.context() as full:
        full.setattr("covidnet.files.whole.os.fsync", refuse)
        message = told([*args, "trainer.max_epochs=3", "ckpt_path=last"], capsys, code=4)
    assert re.search(rf"version_0/\S+\.(csv|ckpt) cannot be (written|read or written): {os.strerror(number)}", message)
    assert "ckpt_path=auto goes on from the last whole epoch" in message
    assert LAST.read_bytes() == before
    assert not list(Path("runs").rglob("*.part"))
    main([*args, "trainer.max_epochs=3", "ckpt_path=auto"])


@slow
def test_a_checkpoint_larger_than_the_system_allows_leaves_none_half_written(args):
    """A real limit on the size of files, in a process of its own."""
    done = run_forked(*args, "trainer.max_epochs=1", limit=(resource.RLIMIT_FSIZE, 1_000_000))
    assert done.returncode == 4, done.stderr
    assert re.search(r"checkpoints/\w+\.ckpt cannot be written", done.stderr)
    assert "Traceback" not in done.stderr
    assert not list((RUN / "checkpoints").glob("*"))


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_may_not_be_written_names_the_key(number, args, capsys, monkeypatch):
    make = Path.mkdir

    def refuse(self: Path, *arguments, **options) -> None:
        if "runs" in self.parts:
            raise OSError(number, os.strerror(number), str(self))
        make(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    message = told(args, capsys)
    assert os.strerror(number) in message
    assert "trainer.default_root_dir" in message
    assert "ckpt_path=auto" not in message  # nothing was trained


class Vanishing(Callback):
    """Remove the folder of images in the middle of the second epoch."""

    def __init__(self, root: str) -> None:
        self.root = root

    def on_train_batch_end(self, trainer, *_):
        if trainer.current_epoch == 1 and Path(self.root).exists():
            shutil.rmtree(self.root)


def vanishing(root: Path) -> str:
    return f'trainer.callbacks=[{{"class_path": "test_faults.Vanishing", "init_args": {{"root": "{root}"}}}}]'


def test_images_that_vanish_in_mid_run_are_not_missed_where_they_are_decoded(args, xray_root):
    cli = main([*args, "trainer.max_epochs=3", vanishing(xray_root)])
    assert not xray_root.exists()
    assert cli.trainer.current_epoch == 3


def test_images_that_vanish_in_mid_run_are_named_where_they_are_streamed(args, xray_root, capsys):
    streamed = ["data.cache=false", "data.num_workers=0", "trainer.max_epochs=3"]
    message = told([*args, *streamed, vanishing(xray_root)], capsys)
    assert "could be read when the run began, but now" in message
    assert LAST.is_file()  # of the first epoch


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "split.csv").mkdir()
    with pytest.raises(IsADirectoryError) as error:
        write_whole(tmp_path / "split.csv", b"path,label,split")
    assert str(explain(error.value)).startswith(f"{tmp_path / 'split.csv'} is a folder")


def test_a_link_that_leads_nowhere_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "cache").symlink_to("nothing")
    with pytest.raises(FileExistsError) as error:
        (tmp_path / "cache").mkdir(parents=True, exist_ok=True)
    assert str(explain(error.value)).startswith(f"{tmp_path / 'cache'} is there already, as a file or a link")


def test_a_changed_image_is_decoded_anew_and_the_split_stays(args, xray_root):
    main([*args, "trainer.max_epochs=1"])
    first, second = sorted((xray_root / "NORMAL").iterdir())[:2]
    first.write_bytes(second.read_bytes())
    main([*args, "trainer.max_epochs=1", "data.duplicates=false"])
    splits = [(RUN.with_name(f"version_{number}") / "split.csv").read_bytes() for number in (0, 1)]
    assert splits[0] == splits[1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"data: {batch_size: 3", "line 1"),
        (b"\tdata: 3", "line 1"),
        (b"\xff\xfe\x00\x01", "is no text"),
        (b"- 1\n- 2\n", "holds a list"),
        (b"", "is empty"),
        (b"data: !!python/object/apply:os.system [true]", "could not determine a constructor"),
    ],
    ids=["cut", "tab", "binary", "list", "empty", "tag"],
)
def test_a_corrupt_configuration_is_told_with_its_place(content, expected, args, capsys):
    Path("own.yaml").write_bytes(content)
    message = told([*args, "--config", "own.yaml"], capsys)
    assert "--config=own.yaml" in message
    assert expected in message


@pytest.mark.filterwarnings("ignore:.*take no part")
@pytest.mark.parametrize(
    "content",
    [b"\x00\x01\x02", b"path,label\na,b\n", b"path,label,split\nnowhere.png,NORMAL,train\n", b"path,label,split\n"],
    ids=["binary", "columns", "images", "empty"],
)
def test_a_corrupt_split_names_the_key(content, args, capsys):
    Path("split.csv").write_bytes(content)
    assert "data.split_file" in told([*args, "data.split_file=split.csv"], capsys)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.csv", b"\xff\x00"),
        ("metrics.csv", b"epoch,step,train_loss\nfirst,1,low\n"),
        ("split.csv", b"\xff\x00"),
        ("config.yaml", b"\xff\x00"),
        ("results.json", b'{"best": 3}'),
        ("results.json", b"[]"),
        ("predictions.csv", b"\xff\x00"),
    ],
)
def test_a_corrupt_file_of_a_run_is_named_by_the_report(name, content, tmp_path, capfd):
    made_run = write_run(tmp_path)
    (made_run / name).write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        tools(["report", str(made_run)])
    message = capfd.readouterr().err
    assert ended.value.code == 2
    assert str(made_run / name) in message
    assert "\\x" not in message
    assert "Traceback" not in message


def test_a_corrupt_count_of_tests_is_told_before_the_test(args, capsys):
    main([*args, "trainer.max_epochs=1"])
    (RUN / "test_evaluations.csv").write_bytes(b"\xff\x00")
    message = told(["test", f"ckpt_path={LAST}", *QUICK], capsys)
    assert "test_evaluations.csv" in message
    assert not RUN.with_name("version_1").exists() or not list(RUN.with_name("version_1").glob("results.json"))


def test_a_corrupt_checkpoint_names_the_key(args, capsys):
    Path("broken.ckpt").write_bytes(b"PK\x03\x04 not a checkpoint")
    assert "ckpt_path=broken.ckpt cannot be read as a checkpoint" in told([*args, "ckpt_path=broken.ckpt"], capsys)


def test_a_training_that_diverges_ends_and_keeps_what_was_before(args, capsys, monkeypatch):
    main([*args, "trainer.max_epochs=1"])
    before = LAST.read_bytes()
    loss = Classifier.loss_and_logits

    def diverge(self, *batch):
        value, logits = loss(self, *batch)
        return value * float("nan"), logits * float("nan")

    monkeypatch.setattr(Classifier, "loss_and_logits", diverge)
    message = told([*args, "trainer.max_epochs=9", "ckpt_path=last"], capsys)
    assert "The training has diverged in epoch 2" in message
    assert "model.learning_rate" in message
    assert "best.ckpt" in message
    assert LAST.read_bytes() == before


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "The GPU's memory is full"),
        (MemoryError(), "This machine's memory is full"),
    ],
    ids=["GPU", "CPU"],
)
def test_out_of_memory_tells_the_batch_size_to_try(error, what, args, capsys, monkeypatch):
    def fail(*_) -> None:
        raise error

    monkeypatch.setattr(Classifier, "training_step", fail)
    message = told(args, capsys, code=4)
    assert what in message
    assert "data.batch_size=4 (now 8)" in message


def test_a_batch_of_one_image_that_is_too_few_names_the_batch_size():
    layer = torch.nn.BatchNorm2d(2)
    layer(torch.rand(2, 2, 1, 1))
    with pytest.raises(ValueError, match="more than 1 value") as raised:
        layer(torch.rand(1, 2, 1, 1))
    told = explain(raised.value, batch_size=8)
    assert told is not None
    assert "data.batch_size (now 8)" in str(told)


@slow
def test_a_clock_that_jumps_loses_nothing_and_the_newest_run_is_the_newest(args, monkeypatch):
    main([*args, "trainer.max_epochs=1"])
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() - 86_400)
    main([*args, "trainer.max_epochs=2"])
    newest = RUN.with_name("version_1")
    for path in (newest / "checkpoints").iterdir():
        os.utime(path, (0, 0))  # written in 1970
    main([*args, "trainer.max_epochs=3", "ckpt_path=last"])
    assert torch.load(newest / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 2


@slow
def test_a_worker_that_stalls_is_given_up(args, capsys, monkeypatch):
    monkeypatch.setattr(data_module, "STALLED", 2)
    monkeypatch.setattr(Stream, "__call__", lambda *_: time.sleep(60))
    began = time.monotonic()
    message = told([*args, "data.cache=false", "data.num_workers=1"], capsys, code=4)
    assert time.monotonic() - began < 30
    assert "No batch came from the processes that load them for 2 seconds" in message


@slow
@pytest.mark.parametrize("before", ["nothing", "a training"])
def test_a_worker_that_the_system_kills_is_told(before, args, capsys, monkeypatch):
    # torch sets its handler once a process; the end of a training by Lightning alone in another test has taken it away.
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    if before == "a training":
        main([*args, "data.cache=false", "data.num_workers=1"])
    monkeypatch.setattr(Stream, "__call__", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    message = told([*args, "data.cache=false", "data.num_workers=1"], capsys, code=4)
    assert "A process that loads batches ended" in message
    assert "fewer data.num_workers" in message


@slow
def test_a_process_that_decodes_and_stalls_is_given_up(monkeypatch):
    monkeypatch.setattr(parallel, "STALLED", 2)
    began = time.monotonic()
    with pytest.raises(MachineError, match="has not answered for 2 seconds"):
        list(parallel.parallel_map(time.sleep, [60, 60], processes=2))
    assert time.monotonic() - began < 30


MAPS = """
import time
from covidnet.machine.parallel import parallel_map
for _ in parallel_map(time.sleep, [0, 60, 60], processes=2):
    print("reads", flush=True)
"""


def test_processes_that_decode_end_with_a_killed_parent():
    with subprocess.Popen([sys.executable, "-c", MAPS], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"reads\n"
        parent.kill()
        assert parent.communicate(timeout=30) == (b"", None)  # its output ends when nobody is left who holds it


def test_a_folder_that_cannot_be_listed_is_told(args, capsys, xray_root, monkeypatch):
    listed = os.scandir

    def refuse(path="."):
        if Path(os.fspath(path)).name == "NORMAL":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    message = told(args, capsys)
    assert str(xray_root / "NORMAL") in message
    assert "cannot be listed" in message


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000], ids=["name", "path"])
def test_a_name_that_is_too_long_is_told_in_short(name, args, capsys):
    message = told([*args, f"data.root={name}"], capsys)
    assert "data.root" in message
    assert len(message) < 1000


def test_names_of_any_bytes_are_trained_on_and_found_again(args, xray_root):
    odd = os.fsencode(xray_root / "NORMAL") + b"/\xff\xfe\n.png"
    shutil.copy(next((xray_root / "NORMAL").iterdir()), odd)
    main([*args, "trainer.max_epochs=1", "data.duplicates=false"])
    main([*args, "trainer.max_epochs=2", "ckpt_path=last"])
    assert b"\xff" in (RUN / "split.csv").read_bytes() or b"\xed" in (RUN / "split.csv").read_bytes()


@pytest.mark.parametrize("kind", ["pipe", "loop", "broken link"])
def test_what_is_no_file_is_told_and_never_waited_for(kind, args, xray_root, capsys):
    odd = xray_root / "NORMAL" / "odd.png"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to(odd if kind == "loop" else "nowhere.png")
    message = told(args, capsys)
    assert "NORMAL/odd.png" in message
    assert "data.on_error=skip" in message


@pytest.mark.parametrize("images", [0, 1, 2])
def test_a_class_of_so_few_images_is_told(images, args, xray_root, capsys):
    for path in sorted((xray_root / "NORMAL").iterdir())[images:]:
        path.unlink()
    if images == 0:
        with pytest.warns(UserWarning, match="NORMAL holds no images and is no class"):
            assert main([*args, "trainer.max_epochs=1"]).datamodule.classes == ["COVID-19", "Viral Pneumonia"]
        return
    message = told(args, capsys)
    assert re.search(rf"NORMAL'\] have too few images.*'NORMAL': {images}", message)
    assert "data.test_per_class" in message


def test_one_class_alone_is_told(args, xray_root, capsys):
    for name in ("NORMAL", "Viral Pneumonia"):
        shutil.rmtree(xray_root / name)
    assert "COVID-19" in told(args, capsys)


def test_each_test_in_the_table_of_faults_is_there():
    named = re.findall(r"`((?:\w+/)*test_\w+\.py)::(test_\w+)`", (ROOT / "docs" / "faults.md").read_text("utf-8"))
    assert len(named) > 20
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / "tests" / file).read_text()]
    assert missing == []
