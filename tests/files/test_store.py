"""Training from and to a local S3 server. Its data comes and goes through a proxy that can cut the connection."""

import json
import logging
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import Request, urlopen

import fsspec
import pytest
import yaml
from helpers import QUICK, end, mistake, paint, slow
from moto.server import ThreadedMotoServer
from pytorch_lightning import Callback
from s3fs import S3FileSystem

import covidnet.files.store as module
from bench.soak import differences, record
from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.files.mirror import mirror_file, mirror_folder
from covidnet.files.store import Store, Stored, check_url, is_url
from covidnet.runs.remote import RECORD, RunStore, local_runs

PER_CLASS = 6
SMALL = ["data.test_per_class=2", "data.image_size=12", "trainer.max_epochs=2"]
BESIDE = ["x rays Test", "metadata.csv"]
SECRET = "wJalrXUtnFEMI-a-secret"
RUN = Path("runs", "s3", "bucket", "runs", "convnet", "version_0")


class Proxy:
    """Pass connections on to a server; cut each one open when so many more bytes have gone one way."""

    def __init__(self, port: int) -> None:
        self.server = port
        self.left: dict[str, int | None] = {"up": None, "down": None}
        self.cuts = 0
        self.refuses = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, way: str, after: int) -> None:
        """Cut the connection once, after so many bytes "up" to the server or "down" from it."""
        self.left[way] = after

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:  # the test is over
                return
            if self.refuses:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.server))
            for one, other, way in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self._pass_on, args=(one, other, way), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, way: str) -> None:
        with suppress(OSError):  # one side has gone
            while content := one.recv(2**12):
                left = self.left[way]
                if left is not None and len(content) >= left:
                    self.left[way] = None
                    self.cuts += 1
                    other.sendall(content[: left // 2])
                    break
                if left is not None:
                    self.left[way] = left - len(content)
                other.sendall(content)
        for side in (one, other):
            with suppress(OSError):  # closed from the other way already
                side.shutdown(socket.SHUT_RDWR)
            side.close()


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """An S3 server in this process; its port."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(port=0, verbose=False)
    moto.start()
    yield moto.get_host_and_port()[1]
    moto.stop()


@pytest.fixture(scope="module")
def way(server) -> Iterator[Proxy]:
    """The way to the server, the same for all tests: each new connection to another port costs the library a second."""
    proxy = Proxy(server)
    S3FileSystem.clear_instance_cache()
    yield proxy
    proxy.listener.close()
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def proxy(way, monkeypatch) -> Iterator[Proxy]:
    """The way to the server, whole; the environment names it and holds the credentials."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{way.port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    monkeypatch.setattr(module, "WAIT", 0.01)
    yield way
    way.refuses, way.left, way.cuts = False, {"up": None, "down": None}, 0


@pytest.fixture
def bucket(proxy, server) -> Iterator[S3FileSystem]:
    """An empty bucket, as another program sees it."""
    files = fsspec.filesystem("s3", use_listings_cache=False)
    files.mkdir("bucket")
    yield files
    request = Request(f"http://127.0.0.1:{server}/moto-api/reset", method="POST")
    urlopen(request).close()


@pytest.fixture
def images(bucket, tmp_path) -> S3FileSystem:
    """The bucket with painted images below data/x rays."""
    bucket.put(f"{paint(tmp_path / 'painted', per_class=PER_CLASS)}/", "bucket/data/x rays/", recursive=True)
    return bucket


ARGS = ["data.root=s3://bucket/data/x rays", "trainer.default_root_dir=s3://bucket/runs", *SMALL, *QUICK]


def names(files: S3FileSystem, folder: str) -> set[str]:
    return {name.removeprefix(f"{folder}/") for name in files.find(folder)}


@contextmanager
def fresh_machine(monkeypatch, folder: Path) -> Iterator[None]:
    """Work in a new folder with an empty cache."""
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


@slow
def test_training_from_and_to_a_store_with_both_ways_cut_once(images, proxy, capsys):
    proxy.cut("down", 10_000)  # among the images
    main(["fit", *ARGS])
    assert proxy.cuts == 1
    proxy.cut("up", 1_000_000)  # inside a checkpoint
    main(["run", *ARGS])
    assert proxy.cuts == 2
    here = RUN.with_name("version_1")
    sent = names(images, "bucket/runs/convnet/version_1")
    assert sent - {"claimed"} == {
        "config.yaml",
        "metrics.csv",
        "split.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "predictions.csv",
        "val_predictions.csv",
        "results.json",
        "test_evaluations.csv",
    }
    for name in sent - {"claimed"}:
        assert images.cat_file(f"bucket/runs/convnet/version_1/{name}") == (here / name).read_bytes()


@slow
def test_a_fresh_machine_goes_on_in_the_store_and_ends_with_the_bits_of_an_uninterrupted_run(
    images, monkeypatch, tmp_path
):
    settings = [*SMALL, *QUICK, "trainer.max_epochs=3", "data.batch_size=4", "data.augment=strong"]
    main([f"data.root={tmp_path / 'painted'}", *settings])
    expected = record(Path("runs", "convnet", "version_0"))
    args = [*ARGS, *settings, "ckpt_path=auto"]
    with pytest.raises(SystemExit) as ended:
        main([*args, end(signal.SIGTERM, epoch=2)])
    assert ended.value.code == 128 + signal.SIGTERM
    with fresh_machine(monkeypatch, tmp_path / "fresh"):
        main(args)
        assert [path.name for path in RUN.parent.iterdir() if path.is_dir()] == ["version_0"]
        assert differences(expected, record(RUN)) == []
        assert images.cat_file("bucket/runs/convnet/version_0/metrics.csv") == (RUN / "metrics.csv").read_bytes()


@slow
def test_a_new_run_takes_a_number_that_is_free_in_the_store(images, monkeypatch, tmp_path):
    main(["fit", *ARGS])
    with fresh_machine(monkeypatch, tmp_path / "fresh"):
        main(["fit", *ARGS])
        assert [path.name for path in RUN.parent.iterdir()] == ["version_1"]
    assert RunStore("s3://bucket/runs").claim("convnet") == 2


def test_two_machines_never_take_one_number(bucket):
    runs = RunStore("s3://bucket/runs")
    with ThreadPoolExecutor(4) as machines:
        taken = list(machines.map(runs.claim, ["m"] * 8))
    assert sorted(taken) == list(range(8))


def test_a_run_that_fails_before_it_writes_leaves_nothing_in_the_store(images, capsys):
    assert "trainer" in mistake(["fit", *ARGS, "trainer.devices=0"], capsys)
    assert names(images, "bucket/runs") == set()


class StoreGoes(Callback):
    """Let the store go out of reach after the first epoch."""

    proxy: Proxy

    def on_train_epoch_end(self, trainer, *_):
        self.proxy.refuses = trainer.current_epoch >= 1


@slow
def test_a_store_out_of_reach_ends_no_training_and_the_rest_is_sent_later(images, proxy, capsys, monkeypatch):
    StoreGoes.proxy = proxy
    away = 'trainer.callbacks=[{"class_path": "test_store.StoreGoes"}]'
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    message = mistake(["run", *ARGS, "trainer.max_epochs=4", away], capsys)
    told = [line for line in message.splitlines() if "is sent later" in line]
    assert len(told) == 3  # after the epochs 2 and 3, and when training ended
    assert f"covidnet send {RUN}" in message.splitlines()[-1]
    assert json.loads((RUN / "results.json").read_text())["epochs"] == 4
    proxy.refuses = False
    assert "results.json" not in names(images, "bucket/runs/convnet/version_0")
    assert tools(["send", str(RUN)]) == 0
    assert images.cat_file("bucket/runs/convnet/version_0/results.json") == (RUN / "results.json").read_bytes()


@slow
def test_a_test_on_another_machine_counts_in_the_store(images, monkeypatch, tmp_path, xray_root):
    main(["run", *ARGS])
    expected = json.loads((RUN / "results.json").read_text())["best"]
    with fresh_machine(monkeypatch, tmp_path / "fresh"):
        main(["test", "ckpt_path=s3://bucket/runs/convnet/version_0/checkpoints/best.ckpt", *QUICK])
        assert json.loads(Path("runs/convnet/version_0/results.json").read_text())["test"] == expected
    table = images.cat_file("bucket/runs/convnet/version_0/test_evaluations.csv").decode()
    assert [line.split(",")[1] for line in table.split()] == ["what", "final", "best", "test"]


def test_nothing_secret_is_written_or_shown(images, capfd):
    main(["run", *ARGS])
    shown = "".join(capfd.readouterr())
    files = [path for path in Path().rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if SECRET.encode() in path.read_bytes() or b"AKIA" in path.read_bytes()]
    assert SECRET not in shown
    assert "AKIA" not in shown
    config = yaml.safe_load((RUN / "config.yaml").read_text())
    assert config["trainer"]["default_root_dir"] == "s3://bucket/runs"


@pytest.mark.parametrize("key", ["data.root", "data.table", "data.metadata", "ckpt_path", "trainer.default_root_dir"])
def test_a_url_with_a_password_ends_the_command_before_it_writes(key, proxy, capsys, xray_root):
    url = "s3://me:hunter2@bucket/x"
    message = mistake([f"data.root={xray_root}", f"{key}={url}", *SMALL, *QUICK], capsys)
    assert f"{key} is a URL with a password" in message
    assert "hunter2" not in message
    assert not Path("runs").exists() or not any(Path("runs", "convnet").iterdir())


@pytest.mark.parametrize("url", ["s3://me:hunter2@bucket/x", "s3://me:hun/ter2@bucket/x", "az://b/x?sig=hunter2"])
def test_a_url_with_a_secret_is_refused_and_not_repeated(url):
    with pytest.raises(UserError, match="is a URL with a password") as refused:
        check_url(url, "data.root")
    assert "ter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (["data.root=s3://bucket/nothing"], "data.root=s3://bucket/nothing: there is nothing of this name"),
        (["data.root=s3://nobucket/data"], "data.root=s3://nobucket: could not list"),
        (["data.root=s3://"], "data.root=s3:// names no bucket"),
        (["data.root=s3://bucket/../data"], "holds the name 'bucket/../data'"),
        (["data.root=http://bucket/data"], "data.root=http://bucket/data is in no store that is known here"),
        (["data.split_file=s3://bucket/split.csv"], "data.split_file=s3://bucket/split.csv: there is no file"),
        (["trainer.default_root_dir=s3://nobucket/runs"], "trainer.default_root_dir=s3://nobucket/runs: could not"),
        (["ckpt_path=last"], "ckpt_path=last: there is no runs/s3/bucket/runs/convnet"),
        (["ckpt_path=s3://bucket/runs/best.ckpt"], "ckpt_path=s3://bucket/runs/best.ckpt: there is no file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_url_names_the_key_to_change(wrong, expected, bucket, capsys, xray_root):
    root = f"data.root={xray_root}"
    assert expected in mistake(["fit", *ARGS, root, *wrong], capsys)
    assert names(bucket, "bucket/runs") == set()


def test_missing_credentials_are_told(bucket, capsys, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    S3FileSystem.clear_instance_cache()
    message = mistake(["fit", *ARGS], capsys)
    S3FileSystem.clear_instance_cache()
    assert "no usable credentials were found" in message
    assert "AWS_ACCESS_KEY_ID" in message


def test_a_missing_library_is_told_with_the_command_that_brings_it(monkeypatch):
    def lacking(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(module.fsspec, "filesystem", lacking)
    with pytest.raises(UserError, match=r'pip install "covidnet\[s3\]"'):
        Store("s3://bucket/data", "data.root")


@pytest.mark.parametrize("command", ["repeat", "search"])
def test_many_runs_are_refused(command, bucket, capsys):
    assert "Only run and fit" in mistake([command, *ARGS], capsys)


def test_a_local_run_does_not_go_on_in_a_store_in_silence(images, capsys):
    main(["fit", *[arg for arg in ARGS if "default_root_dir" not in arg]])
    last = "ckpt_path=runs/convnet/version_0/checkpoints/last.ckpt"
    assert "belongs to no store" in mistake(["fit", *ARGS, last], capsys)


class CountingStore(Store):
    """Note what is fetched."""

    fetched: list[str]

    def get(self, stored: Stored, target: Path) -> None:
        CountingStore.fetched.append(stored.path)
        super().get(stored, target)


@pytest.fixture
def fetched(monkeypatch) -> list[str]:
    """Paths of what was fetched from any store."""
    CountingStore.fetched = []
    monkeypatch.setattr("covidnet.files.mirror.Store", CountingStore)
    return CountingStore.fetched


def mirrored() -> set[str]:
    root = mirror_folder("s3://bucket/data/x rays", None, "data.root", BESIDE)
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_a_folder_is_mirrored_once_and_then_only_what_changes(images, fetched):
    there = names(images, "bucket/data/x rays")
    assert mirrored() == there
    assert len(fetched) == 3 * PER_CLASS
    assert mirrored() == there
    assert len(fetched) == 3 * PER_CLASS
    images.pipe_file("bucket/data/x rays/NORMAL/NORMAL (1).png", b"other bytes")
    images.rm_file("bucket/data/x rays/NORMAL/NORMAL (2).png")
    assert mirrored() == there - {"NORMAL/NORMAL (2).png"}
    assert fetched[3 * PER_CLASS :] == ["x rays/NORMAL/NORMAL (1).png"]


def test_what_lies_beside_a_folder_comes_with_it(images):
    images.pipe_file("bucket/data/metadata.csv", b"path,patient\n")
    images.pipe_file("bucket/data/x rays Test/NORMAL/1.png", b"one")
    images.pipe_file("bucket/data/x rays/NORMAL/masks/1.png", b"mask")
    images.pipe_file("bucket/data/other/NORMAL/1.png", b"not asked for")
    root = mirror_folder("s3://bucket/data/x rays/", None, "data.root", BESIDE)
    assert (root.parent / "metadata.csv").read_bytes() == b"path,patient\n"
    assert (root.parent / "x rays Test" / "NORMAL" / "1.png").read_bytes() == b"one"
    assert (root / "NORMAL" / "masks" / "1.png").read_bytes() == b"mask"
    assert not (root.parent / "other").exists()
    assert mirror_file("s3://bucket/data/metadata.csv", None, "data.metadata") == root.parent / "metadata.csv"
    images.rm_file("bucket/data/metadata.csv")
    mirrored()
    assert not (root.parent / "metadata.csv").exists()


def test_a_table_of_labels_comes_with_the_images_of_its_folder(images):
    rows = [f"{name} ({n}).png,{name}\n" for name in ("NORMAL", "COVID-19") for n in range(1, PER_CLASS + 1)]
    images.pipe_file("bucket/data/x rays/labels.csv", f"path,label\n{''.join(rows)}".encode())
    data = Radiographs(table="s3://bucket/data/x rays/labels.csv")
    assert data.folder.class_counts == {"COVID-19": PER_CLASS, "NORMAL": PER_CLASS}
    assert (data.roots[""] / "labels.csv").is_file()


def test_a_fetch_that_broke_off_goes_on_where_it_was(images, proxy, fetched, monkeypatch):
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    monkeypatch.setattr("covidnet.files.mirror.THREADS", 1)
    get = CountingStore.get

    def get_some(self, stored, target):
        proxy.refuses = len(fetched) >= 10
        get(self, stored, target)

    with monkeypatch.context() as patch:
        patch.setattr(CountingStore, "get", get_some)
        with pytest.raises(UserError, match="after 6 attempts"):
            mirrored()
    proxy.refuses = False
    fetched.clear()
    assert len(mirrored()) == 3 * PER_CLASS
    assert len(fetched) == 3 * PER_CLASS - 10


def test_a_damaged_copy_is_fetched_again_and_strange_files_go(images, fetched):
    mirrored()
    root = mirror_folder("s3://bucket/data/x rays", None, "data.root", BESIDE)
    (root / "NORMAL" / "NORMAL (3).png").write_bytes(b"")
    (root / "NORMAL" / ".0123.part").write_bytes(b"half")
    journal = root.parent.parent / "journal.jsonl"
    journal.write_text(journal.read_text()[:-20])
    assert len(mirrored()) == 3 * PER_CLASS
    assert len(fetched) == 3 * PER_CLASS + 2


def test_processes_that_ask_at_once_fetch_once(images, fetched):
    with ThreadPoolExecutor(3) as processes:
        assert len({*map(frozenset, processes.map(lambda _: mirrored(), range(3)))}) == 1
    assert len(fetched) == 3 * PER_CLASS


def test_what_does_not_fit_is_not_begun(images, fetched, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 2**28))
    with pytest.raises(UserError, match=r"data\.cache_dir=FOLDER"):
        mirrored()
    assert fetched == []


@pytest.mark.parametrize(
    "name", ["../escaped.png", "a//b.png", "./a.png", "a\\..\\b.png", "C:/a.png", "NORMAL/../../x"]
)
def test_names_that_lead_out_of_the_copy_are_refused(name, images, fetched, tmp_path):
    images.pipe_file(f"bucket/data/x rays/{name}", b"bytes")
    with pytest.raises(UserError, match="could lie outside"):
        mirrored()
    assert fetched == []


def test_a_file_and_a_folder_of_one_name_are_refused(images):
    images.pipe_file("bucket/data/x rays/NORMAL", b"bytes")
    with pytest.raises(UserError, match="names a file and a folder"):
        mirrored()


def a_run(folder: Path, epoch: int) -> Path:
    """Write what an epoch leaves."""
    for name in ("config.yaml", "split.csv", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} {epoch}")
        os.utime(folder / name, ns=(epoch, epoch))
    return folder


@slow
def test_at_whatever_moment_the_machine_dies_the_store_holds_a_run_that_goes_on(bucket, monkeypatch):
    class Died(BaseException):
        pass

    put = Store.put
    for dies in range(11):
        url = f"s3://bucket/runs{dies}"
        done = []

        def put_some(self, file, path, dies=dies, done=done):
            if len(done) == dies:
                raise Died
            done.append(path)
            return put(self, file, path)

        monkeypatch.setattr(Store, "put", put_some)
        with suppress(Died):
            for epoch in (1, 2):
                RunStore(url).send(a_run(local_runs(url) / "m" / "version_0", epoch))
        monkeypatch.setattr(Store, "put", put)
        there = {
            name: bucket.cat_file(f"bucket/runs{dies}/m/version_0/{name}").decode()
            for name in names(bucket, f"bucket/runs{dies}/m/version_0")
        }
        last = there.get("checkpoints/last.ckpt")
        if last is None:
            assert dies < 5
        else:
            epoch = int(last.split()[1])
            assert epoch == (2 if dies == 10 else 1)
            assert len(there) == 5
            assert all(int(content.split()[1]) >= epoch for content in there.values())


def test_what_this_machine_has_beyond_the_store_stays_and_what_another_sent_comes(bucket, monkeypatch, tmp_path):
    runs = RunStore("s3://bucket/runs")
    run = a_run(runs.folder / "m" / "version_0", 1)
    runs.send(run)
    a_run(run, 2)  # not sent
    runs.fetch_newest("m")
    assert (run / "checkpoints" / "last.ckpt").read_text().endswith("2")
    with fresh_machine(monkeypatch, tmp_path / "fresh"):
        runs.fetch_newest("m")
        assert (run / "checkpoints" / "last.ckpt").read_text().endswith("1")
        runs.send(a_run(run, 3))
    runs.fetch_newest("m")
    assert (run / "checkpoints" / "last.ckpt").read_text().endswith("3")


def test_only_what_changed_is_sent_and_what_is_gone_goes(bucket, monkeypatch):
    runs = RunStore("s3://bucket/runs")
    run = a_run(runs.folder / "m" / "version_0", 1)
    (run / "checkpoints" / "best.ckpt.123.part").write_text("half")
    (run / ".lock").touch()
    runs.send(run)
    sent = []
    put = Store.put
    monkeypatch.setattr(Store, "put", lambda *given: sent.append(given[2]) or put(*given))
    (run / "metrics.csv").write_text("more")
    (run / "split.csv").unlink()
    runs.send(run)
    assert sent == ["m/version_0/metrics.csv"]
    assert names(bucket, "bucket/runs/m/version_0") == {
        "config.yaml",
        "metrics.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }


def test_of_all_runs_the_newest_is_fetched(bucket, monkeypatch, tmp_path):
    runs = RunStore("s3://bucket/runs")
    for number in (10, 9, 2):
        runs.send(a_run(runs.folder / "m" / f"version_{number}", 1))
    bucket.pipe_file("bucket/runs/m/version_11/config.yaml", b"begun, without a checkpoint")
    bucket.pipe_file("bucket/runs/m/notes.txt", b"no run")
    with fresh_machine(monkeypatch, tmp_path / "fresh"):
        runs.fetch_newest("m")
        assert [path.name for path in (runs.folder / "m").iterdir() if path.is_dir()] == ["version_10"]
        assert runs.claim("m") == 12


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_other_stores_keep_runs_too(protocol, tmp_path):
    url = f"{protocol}://{tmp_path}/runs" if protocol == "file" else "memory://shelf/runs"
    runs = RunStore(url)
    assert [runs.claim("m"), runs.claim("m")] == [0, 1]
    run = a_run(runs.folder / "m" / "version_0", 1)
    runs.send(run)
    shutil.rmtree(run)
    runs.fetch_newest("m")
    assert (run / "checkpoints" / "last.ckpt").read_text().endswith("1")
    assert json.loads((run / RECORD).read_text())["name"] == "m/version_0"


def test_an_error_shows_no_secret(monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "abcdef123")
    error = OSError("http://me:pw@host/b?X-Amz-Signature=1234 said abcdef123\nmore")
    assert module.plain(error) == "http://host/b said *** (OSError)"


@pytest.mark.parametrize("text", ["runs", "/abs/runs", "C:\\runs", "a:b", "~/x", "", None])
def test_a_path_is_no_url(text):
    assert not is_url(text)


def test_known_urls_are_accepted():
    for url in ("s3://b/a b/c", "gs://b", "az://c/x", "abfss://c@account.dfs.core.windows.net/x", "memory://x/y"):
        assert is_url(url)
        check_url(url, "data.root")
