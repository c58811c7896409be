"""Facts about the console script: it answers at once, tells mistakes with code 2, and writes what it found."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers import ROOT, mistake, paint
from made_run import write_run

from covidnet.__version__ import __version__
from covidnet.commands.main import main
from covidnet.commands.train import main as training


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys, covidnet.commands.main as t\ntry: t.main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    )
    printed = run("-c", code)
    assert "audit" in printed
    heavy = {"torch", "numpy", "scipy", "sklearn", "pandas", "rich", "PIL", "pytorch_lightning"}
    assert not heavy & set(printed.split())


def test_an_audit_is_printed_and_written(xray_root, tmp_path, capsys):
    assert main(["audit", str(xray_root), "--json", str(tmp_path / "audit.json")]) == 0
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["verdict"] == "FAIL"  # a finding, not an error
    assert found["table"] == str(xray_root / "metadata.csv")
    assert (xray_root / "metadata.csv").is_file()
    assert "Verdict: FAIL" in capsys.readouterr().out


def test_no_table_hides_the_one_that_was_not_read(xray_root, tmp_path, capsys):
    assert main(["audit", str(xray_root), "--metadata", "none"]) == 0
    assert not (xray_root / "metadata.csv").exists()
    assert "No table was written" in capsys.readouterr().out
    assert main(["audit", str(xray_root), "--metadata", "none", "--out", str(tmp_path / "t.csv")]) == 0
    assert (tmp_path / "t.csv").is_file()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["audit", "nowhere"], "data.root must be a folder"),
        (["audit", "{root}", "--classes", "NORMAL", "COVID"], "COVID"),
        (["audit", "{root}", "--metadata", "nowhere.csv"], "nowhere.csv does not exist"),
        (["audit", "{root}", "--out", "{file}"], "--force"),
        (["audit", "{root}", "--json", "{file}/a.json"], "--json FILE"),
    ],
    ids=["root", "classes", "metadata", "out", "json"],
)
def test_a_mistake_is_one_message_and_code_2(options, says, tmp_path, capsys):
    root, file = paint(tmp_path / "xrays", per_class=2), tmp_path / "file"
    file.touch()
    with pytest.raises(SystemExit) as exit_:
        main([option.format(root=root, file=file) for option in options])
    assert exit_.value.code == 2
    assert says in capsys.readouterr().err
    assert not file.read_text()


@pytest.mark.parametrize("arguments", [[], ["audits"], ["audit"]])
def test_a_wrong_command_is_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage: covidnet" in capsys.readouterr().err


def test_ctrl_c_is_code_130(xray_root, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("covidnet.evidence.audit.audit_images", interrupt)
    assert main(["audit", str(xray_root)]) == 130
    assert "Interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "replaced", "file"),
    [
        (["shortcuts", "{run}"], "covidnet.evidence.lungs_test.measure_lungs", "shortcuts.json"),
        (["evaluate", "{run}", "."], "covidnet.evidence.external.evaluate", "external.json"),
    ],
    ids=["shortcuts", "evaluate"],
)
def test_what_adds_to_what_is_known_writes_the_card_anew(command, replaced, file, tmp_path, monkeypatch):
    folder = write_run(tmp_path)
    (folder / "model_card.md").write_text("old")

    def finding(*_):
        found = {"verdict": "FAIL", "sentence": "This is new.", "overall": {"accuracy": 0.4}}
        (folder / file).write_text(json.dumps(found))
        return SimpleNamespace(report=found)

    monkeypatch.setattr(replaced, finding)
    monkeypatch.setattr("covidnet.evidence.external_table.print_report", lambda report: None)
    monkeypatch.setattr("covidnet.commands.evaluate._write", lambda *_: None)
    assert main([word.format(run=folder) for word in command]) == 0
    assert "This is new." in (folder / "model_card.md").read_text(encoding="utf-8")


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"covidnet {__version__}\n"


@pytest.mark.parametrize("command", ["report", "card", "shortcuts", "labels", "send"])
def test_a_run_that_is_not_there_is_told_as_that(command, tmp_path, capsys):
    assert "nowhere does not exist" in mistake(lambda: main([command, str(tmp_path / "nowhere")]), capsys)


@pytest.mark.parametrize(("key", "meant"), [("data.rot", "data.root"), ("data.sed", "data.seed")])
def test_a_misspelt_key_is_told_before_a_folder_that_it_may_have_named(key, meant, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where there is no data
    assert f"Did you mean '{meant}'?" in mistake(lambda: training(["run", f"{key}=1"]), capsys)


@pytest.mark.parametrize("command", [["train.py", "--help"], ["-m", "covidnet", "audit", "--help"]])
def test_a_reader_that_has_seen_enough_ends_it_without_a_word(command, tmp_path):
    asked = [sys.executable, *command]
    here = {"cwd": ROOT, "env": {**os.environ, "PYTHONUNBUFFERED": ""}}
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **here) as process:
        process.stdout.close()  # before anything is printed
        assert process.stderr.read() == b""
    assert process.returncode == 141
    assert subprocess.run(asked, capture_output=True, check=True, **here).stdout


def test_a_pipe_that_broke_elsewhere_keeps_its_traceback(monkeypatch):
    def broken(_):
        raise BrokenPipeError

    monkeypatch.setattr("covidnet.commands.main.train.run", broken)
    monkeypatch.setattr("covidnet.commands.main._nobody_reads", lambda: False)
    with pytest.raises(BrokenPipeError):
        main(["run"])
