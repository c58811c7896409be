"""Facts about `covidnet publish`: what is shown is what is sent, and it names no image and no place of this machine."""

import io
import json
import sys
from pathlib import Path
from unittest.mock import create_autospec

import huggingface_hub
import pytest
import torch
import yaml
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RepositoryNotFoundError
from made_run import write_run

from covidnet.commands.main import main
from covidnet.errors import UserError
from covidnet.files.places import places_in, without_places
from covidnet.report.publish import publish
from covidnet.runs.checkpoint import Checkpoint

NAME = "jane/xray-net"
SENT = ["README.md", "results.json", "config.yaml", "checkpoints/best.ckpt"]
# The library's own client: httpx, by the name that this release of it uses.
ROOT_ERROR = next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
CLIENT = sys.modules[ROOT_ERROR.__module__.partition(".")[0]]


def response(status):
    return CLIENT.Response(status, request=CLIENT.Request("GET", "https://example.org"))


@pytest.fixture
def run_folder(tmp_path):
    """A run with what must not go out: a patient's name in its lists, places in its recipe, pictures in its report."""
    folder = write_run(tmp_path)
    (folder / "report.html").write_text("Jane Doe")
    (folder / "external.json").write_text("{}")
    for name in ("split.csv", "predictions.csv"):
        (folder / name).write_text((folder / name).read_text().replace("NORMAL/NORMAL", "NORMAL/Jane Doe"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model"]["init_args"]["weights"] = str(tmp_path / "w.pth")
    config["trainer"] = {"default_root_dir": str(tmp_path / "runs")}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    checkpoint = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["callbacks"] = {"ModelCheckpoint": {"best_k_models": {str(folder / "best.ckpt"): torch.ones(1)}}}
    checkpoint["optimizer_states"] = [{"state": torch.ones(9)}]
    known = {"looks": torch.ones(7, 257), "network": torch.ones(2, 256)}
    checkpoint["covidnet"]["novelty"] = {"side": 16, **known, "limits": [1.0, 1.0]}
    torch.save(checkpoint, folder / "checkpoints" / "best.ckpt")
    return folder


@pytest.fixture
def hub(monkeypatch):
    """A hub whose calls take what the installed library's take; ``sent`` holds what it was given."""
    api = create_autospec(huggingface_hub.HfApi, instance=True)
    api.whoami.return_value = {"name": "jane"}
    api.model_info.side_effect = RepositoryNotFoundError("none", response=response(404))
    api.sent = {}

    def commit(repo_id, operations, *, commit_message):
        api.sent = {one.path_in_repo: Path(one.path_or_fileobj).read_bytes() for one in operations}

    api.create_commit.side_effect = commit
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: api)
    return api


def answer(monkeypatch, text):
    terminal = io.StringIO(f"{text}\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)


def test_what_is_sent_was_shown_before(run_folder, hub, monkeypatch, capsys):
    answer(monkeypatch, "y")
    assert main(["publish", str(run_folder), "--to", NAME]) == 0
    shown = capsys.readouterr().out
    assert f"{NAME} (new, public: anybody can read it), as jane" in shown
    assert all(name in shown for name in SENT)
    assert "grey patterns of 16 x 16 pixels of 7 training images" in shown
    assert list(hub.sent) == SENT
    hub.create_repo.assert_called_once_with(NAME, private=False, exist_ok=True)
    assert hub.sent["README.md"].startswith(b"---\n")


@pytest.mark.parametrize("text", ["", "n", "what?"])
def test_nothing_is_sent_without_a_yes(run_folder, hub, monkeypatch, capsys, text):
    answer(monkeypatch, text)
    publish(run_folder, NAME)
    assert "Nothing was sent." in capsys.readouterr().out
    hub.create_repo.assert_not_called()
    hub.create_commit.assert_not_called()


def test_without_a_terminal_it_refuses_unless_yes_is_given(run_folder, hub, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(SystemExit) as exit_:
        main(["publish", str(run_folder), "--to", NAME])
    assert exit_.value.code == 2
    assert "--yes" in capsys.readouterr().err
    assert not hub.mock_calls
    assert main(["publish", str(run_folder), "--to", NAME, "--yes", "--private"]) == 0
    assert "new, private" in capsys.readouterr().out
    hub.create_repo.assert_called_once_with(NAME, private=True, exist_ok=True)


def test_no_image_no_name_of_one_and_no_place_goes_out(run_folder, hub, tmp_path, capsys):
    (run_folder / "export").mkdir()
    for name in ("model.onnx", "model.pt2", "example.png", "notes.json"):
        (run_folder / "export" / name).write_bytes(b"net")
    (run_folder / "export" / "link.onnx").symlink_to(run_folder / "split.csv")
    publish(run_folder, NAME, yes=True)
    assert list(hub.sent) == [*SENT, "export/model.onnx", "export/model.pt2"]
    for content in hub.sent.values():
        assert b"Jane Doe" not in content
        assert str(tmp_path).encode() not in content
    assert "WARNING" not in capsys.readouterr().out
    config = yaml.safe_load(hub.sent["config.yaml"])
    assert config["data"]["init_args"]["root"] == "xrays"
    assert config["model"]["init_args"]["weights"] == "w.pth"
    assert json.loads(hub.sent["results.json"]) == json.loads((run_folder / "results.json").read_text())


def test_the_model_that_is_sent_is_the_model_of_the_run(run_folder, hub, tmp_path):
    publish(run_folder, NAME, yes=True)
    sent = tmp_path / "sent.ckpt"
    sent.write_bytes(hub.sent["checkpoints/best.ckpt"])
    content = torch.load(sent, weights_only=True)
    assert not {"callbacks", "optimizer_states"} & set(content)
    assert content["covidnet"]["data"]["init_args"]["root"] == "xrays"
    images = torch.rand(2, 3, 12, 12)
    own = Checkpoint(run_folder / "checkpoints" / "best.ckpt").model()
    torch.testing.assert_close(Checkpoint(sent).model()(images), own(images), rtol=0, atol=0)


def test_an_export_that_names_this_machine_is_told(run_folder, hub, capsys):
    (run_folder / "export").mkdir()
    (run_folder / "export" / "model.pt2").write_bytes(b"at " + str(run_folder.parent).encode() + b"/model.py")
    publish(run_folder, NAME, yes=True)
    assert f"WARNING: export/model.pt2 names {run_folder.parent}" in capsys.readouterr().out


def test_a_licence_stands_in_the_card_that_is_sent(run_folder, hub):
    publish(run_folder, NAME, license="cc-by-4.0", yes=True)
    assert b"\nlicense: cc-by-4.0\n" in hub.sent["README.md"]
    assert b"as stated by whoever published them" in hub.sent["README.md"]


def test_a_public_repository_is_not_taken_for_a_private_one(run_folder, hub, capsys):
    hub.model_info.side_effect = None
    hub.model_info.return_value.private = False
    with pytest.raises(UserError, match="there and public"):
        publish(run_folder, NAME, private=True, yes=True)
    hub.create_commit.assert_not_called()
    publish(run_folder, NAME, yes=True)
    assert "(there, public)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (LocalTokenNotFoundError("no token"), "no token is here"),
        (HfHubHTTPError("Forbidden", response=response(403)), "settings/tokens"),
        (HfHubHTTPError("Oops", response=response(500)), "same command again later"),
        (CLIENT.ConnectError("no route"), "cannot be reached"),
    ],
    ids=["no token", "refused", "broken", "no network"],
)
def test_without_a_hub_the_steps_by_hand_are_told(run_folder, hub, capsys, error, says):
    hub.whoami.side_effect = error
    with pytest.raises(SystemExit) as exit_:
        main(["publish", str(run_folder), "--to", NAME, "--yes"])
    assert exit_.value.code == 2
    told = capsys.readouterr().err
    assert says in told
    assert f"covidnet publish {run_folder} --to {NAME} --folder FOLDER" in told


def test_files_to_send_by_hand_are_written_and_nothing_is_sent(run_folder, hub, tmp_path, capsys):
    folder = tmp_path / "by hand"
    assert main(["publish", str(run_folder), "--to", NAME, "--folder", str(folder)]) == 0
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == sorted(SENT)
    assert "nothing is sent" in capsys.readouterr().out
    assert not hub.mock_calls
    with pytest.raises(UserError, match="new or an empty folder"):
        publish(run_folder, NAME, folder=folder)


@pytest.mark.parametrize("name", ["xray-net", "a/b/c", "jane/", "/xray", "jane/x y", "../x", "https://hub/jane/x"])
def test_a_name_that_is_none_is_refused(run_folder, hub, name):
    with pytest.raises(UserError, match="USER/NAME"):
        publish(run_folder, name, yes=True)


def test_a_run_without_its_best_model_is_refused(run_folder, hub):
    (run_folder / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(UserError, match=r"lacks checkpoints/best\.ckpt"):
        publish(run_folder, NAME, yes=True)
    hub.create_repo.assert_not_called()


def test_places_become_names_and_all_else_stays(tmp_path):
    kept = {"a": 1, "b": None, "c": [True, 0.5, "mild"], "class_path": "covidnet.data", "notice": "Half / half."}
    assert without_places(kept) == kept
    roots = {"data.roots": {"a": "jane/xrays", "b": "/home/jane/more"}, "roots": {"root": "x/y"}}
    assert without_places(roots) == {"data.roots": {"a": "xrays", "b": "more"}, "roots": {"root": "y"}}
    given = {"root": "../jane/xrays", "x": ["/home/jane/y.csv", "C:\\jane\\z"], "/home/jane/k": "~/w", "cache_dir": "/"}
    assert without_places(given) == {"root": "xrays", "x": ["y.csv", "z"], "k": "w", "cache_dir": "folder"}
    assert without_places({"table": "nih/labels.csv"}) == {"table": "labels.csv"}
    assert without_places({"backbone": "local-dir:~/jane/net"}) == {"backbone": "local-dir:net"}


def test_a_place_is_found_wherever_it_lies_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("covidnet.files.places.BLOCK", 8)
    (tmp_path / "file").write_bytes(b"0123456" + str(tmp_path).encode() + b"789")
    assert places_in(tmp_path / "file", [tmp_path, tmp_path / "other"]) == [tmp_path]
