"""Facts about `covidnet download`: the hub's own library against a hub of this machine, and what is done by hand."""

import http.server
import json
import shutil
import threading
import zipfile
from collections import namedtuple
from functools import partial

import pytest
from helpers import paint

from covidnet.commands.main import main
from covidnet.data import download as module
from covidnet.data.download import HANDLE, download
from covidnet.errors import UserError
from covidnet.files.folders import KEPT_FREE

kagglehub = pytest.importorskip("kagglehub", reason="the extra 'download' is not installed")

INNER = "COVID-19_Radiography_Dataset"
NEWEST = 5


class Hub(http.server.BaseHTTPRequestHandler):
    """What kagglehub asks of the hub: the data set's description, and its archive in parts."""

    def __init__(self, state, *args):
        self.state = state
        super().__init__(*args)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.asked.append((self.path.rpartition("/")[2], asked))
        if self.state.status != 200:
            self._send(self.state.status, b'{"message": "no"}', "application/json")
        elif self.path.endswith("GetDataset"):
            described = {"currentVersionNumber": NEWEST, "totalBytes": self.state.total_bytes}
            self._send(200, json.dumps(described).encode(), "application/json")
        else:
            self.send_response(302)
            self.send_header("Location", f"{self.state.url}/archive.zip")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def do_GET(self):
        begins = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")
        self.state.ranges.append(int(begins))
        self._send(206 if int(begins) else 200, self.state.archive[int(begins) :], "application/zip")

    def _send(self, status, content, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.state.breaks_after])

    def log_message(self, *_):
        pass


class State:
    """The hub that Hub shows, and what it was asked."""

    def __init__(self, archive):
        self.archive, self.total_bytes, self.status, self.breaks_after = archive, 1000, 200, None
        self.asked, self.ranges, self.url = [], [], ""


def pack(file, folder, prefix=""):
    with zipfile.ZipFile(file, "w") as packed:
        for path in sorted(folder.rglob("*.png")):
            packed.write(path, f"{prefix}{path.relative_to(folder).as_posix()}")
    return file


@pytest.fixture
def archive(tmp_path):
    """The database as a ZIP in the later release's layout, two images a class."""
    painted = paint(tmp_path / "painted", ("COVID", "Normal", "Viral Pneumonia"), per_class=2)
    for folder in painted.iterdir():
        shutil.move(folder, tmp_path / "moved")
        shutil.move(tmp_path / "moved", folder / "images")
    return pack(tmp_path / "given.zip", painted, f"{INNER}/")


@pytest.fixture
def hub(archive, monkeypatch, tmp_path):
    state = State(archive.read_bytes())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, state))
    state.url = f"http://127.0.0.1:{server.server_port}"
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kagglehub.config.DEFAULT_KAGGLE_CREDENTIALS_FOLDER", str(tmp_path / "no credentials"))
    monkeypatch.setattr("kagglesdk.kaggle_http_client.get_endpoint", lambda _: state.url)
    monkeypatch.setattr("kagglesdk.kaggle_http_client.get_access_token_from_env", lambda: (None, None), raising=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def free(monkeypatch, size):
    usage = namedtuple("Usage", "free")(KEPT_FREE + size)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_the_newest_version_becomes_the_folder_that_training_reads(hub, tmp_path):
    target = tmp_path / "data" / "db"
    assert download(target) == target
    assert sorted(path.name for path in target.iterdir()) == ["COVID", "Normal", "Viral Pneumonia"]
    assert len(list(target.rglob("*.png"))) == 6
    assert [path.name for path in target.parent.iterdir()] == ["db"]  # the archive is gone
    (first, described), (second, wanted) = hub.asked
    assert (first, second) == ("GetDataset", "DownloadDataset")
    assert f"{described['ownerSlug']}/{described['datasetSlug']}" == HANDLE
    assert wanted["datasetVersionNumber"] == NEWEST


def test_a_chosen_version_is_asked_for(hub, tmp_path):
    download(tmp_path / "db", version=2)
    assert hub.asked[1][1]["datasetVersionNumber"] == 2


def test_a_download_that_broke_off_goes_on_where_it_was(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kagglehub.clients.CHUNK_SIZE", 100)  # a begun chunk is lost
    hub.breaks_after = 700
    with pytest.raises(UserError, match="connection broke"):
        download(tmp_path / "db")
    part = tmp_path / f"db.v{NEWEST}.archive"
    assert part.read_bytes() == hub.archive[:700]
    assert f"kept in {part}" in capsys.readouterr().err
    hub.breaks_after = None
    download(tmp_path / "db")
    assert hub.ranges[-1] == 700
    assert len(list((tmp_path / "db").rglob("*.png"))) == 6
    assert not part.exists()


def test_ctrl_c_keeps_what_was_downloaded(hub, tmp_path, monkeypatch, capsys):
    def interrupted(response, file, handle):
        with open(file, "wb") as part:  # noqa: PTH123  # as the library does
            part.write(response.raw.read(99))
        raise KeyboardInterrupt

    monkeypatch.setattr("kagglehub.clients.download_file", interrupted)
    assert main(["download", "--to", str(tmp_path / "db")]) == 130
    assert (tmp_path / f"db.v{NEWEST}.archive").stat().st_size == 99
    assert "the same command goes on there" in capsys.readouterr().err


def test_a_file_that_is_no_part_of_the_archive_is_replaced(hub, tmp_path):
    (tmp_path / f"db.v{NEWEST}.archive").write_bytes(bytes(len(hub.archive) + 1))
    download(tmp_path / "db")
    assert hub.ranges == [0]


@pytest.mark.parametrize("total", [10**12, 0], ids=["told by the hub", "not told"])
def test_too_little_disk_is_told_before_the_download(hub, tmp_path, monkeypatch, total):
    hub.total_bytes = total
    free(monkeypatch, 10**6 if total else len(hub.archive))
    with pytest.raises(UserError, match=rf"download and unpack {HANDLE}/versions/{NEWEST} takes .* to spare"):
        download(tmp_path / "db")
    assert not list(tmp_path.glob("db*"))


@pytest.mark.parametrize(
    ("status", "says"),
    [(403, "Create New Token"), (404, f"no version 9 of {HANDLE}"), (500, "answered with an error")],
)
def test_a_refusal_of_the_hub_says_what_to_do(hub, tmp_path, capsys, status, says):
    hub.status = status
    with pytest.raises(SystemExit) as exit_:
        main(["download", "--version", "9", "--to", str(tmp_path / "db")])
    assert exit_.value.code == 2
    told = capsys.readouterr().err
    assert says in told
    assert f"1. Open {module.PAGE}/versions/9" in told


def test_without_a_network_the_steps_by_hand_are_told(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kagglesdk.kaggle_http_client.get_endpoint", lambda _: "http://127.0.0.1:1")
    with pytest.raises(SystemExit) as exit_:
        main(["download", "--to", str(tmp_path / "a db")])
    assert exit_.value.code == 2
    told = capsys.readouterr().err
    assert "cannot be reached" in told
    assert f"covidnet download --archive FILE.zip --to '{tmp_path / 'a db'}'   (" in told
    assert f"covidnet run 'data.root={tmp_path / 'a db'}'\n" in told


def test_credentials_that_cannot_be_read_are_told(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("kagglehub.config.DEFAULT_KAGGLE_CREDENTIALS_FOLDER", str(tmp_path))
    (tmp_path / "kaggle.json").write_text("{")
    with pytest.raises(UserError, match=r"kaggle\.json.*By hand"):
        download(tmp_path / "db")


def test_without_the_library_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"covidnet\[download\].*\n.*By hand"):
        download(tmp_path / "db")


def test_a_folder_in_use_is_left_as_it_is(hub, xray_root):
    with pytest.raises(UserError, match="is there already"):
        download(xray_root)
    assert not hub.asked


def test_an_archive_downloaded_by_hand_is_unpacked_audited_and_kept(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("covidnet.evidence.audit.RELEASES", {"the small release": (2, 2, 2)})
    target = tmp_path / "data" / "db"
    assert main(["download", "--archive", str(archive), "--to", str(target)]) == 0
    assert archive.is_file()
    assert (target / "metadata.csv").is_file()
    told = capsys.readouterr().out
    assert "Verdict: " in told
    assert f"Here is the small release: {target}" in told
    assert f"Train: covidnet run data.root={target}\n" in told


def test_by_default_the_data_lies_where_training_looks(archive, capsys):
    assert main(["download", "--archive", str(archive)]) == 0
    told = capsys.readouterr().out
    assert "data/COVID-19 Radiography Database" in told
    assert "Train: covidnet run\n" in told


def test_what_lies_beside_the_class_folders_root_is_not_lost(archive, tmp_path):
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("README.txt", "how it was made")
    root = download(tmp_path / "db", archive=archive)
    assert root == tmp_path / "db" / INNER
    assert (tmp_path / "db" / "README.txt").is_file()


def test_an_archive_of_something_else_leaves_nothing(tmp_path):
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as packed:
        packed.writestr("a/table.csv", "1")
    with pytest.raises(UserError, match="no folder of radiographs by class"):
        download(tmp_path / "db", archive=other)
    assert list(tmp_path.iterdir()) == [other]


def test_a_hostile_archive_of_the_hub_is_not_unpacked(hub, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
        packed.writestr("../out.png", "1")
    hub.archive = (tmp_path / "bad.zip").read_bytes()
    with pytest.raises(UserError, match="outside"):
        download(tmp_path / "inner" / "db")
    assert not list(tmp_path.rglob("out.png"))


@pytest.mark.parametrize("options", [["--version", "0"], ["--version", "2", "--archive", "x.zip"]])
def test_a_version_that_means_nothing_is_refused(options, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["download", *options])
    assert exit_.value.code == 2
    assert "--version" in capsys.readouterr().err
