"""What a command imports: nothing heavy to say that a word is wrong, nothing that trains where nothing is trained."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from helpers import RUN, TRAIN, slow, unpack_run

TRAINING = ["pytorch_lightning", "lightning_fabric", "torchmetrics", "jsonargparse"]
HEAVY = ["torch", "numpy", "scipy", "sklearn", "pandas", "rich", "PIL", *TRAINING]
LISTED = """
import json, sys
from pathlib import Path

def write(file, code, forbidden):
    Path(file).write_text(json.dumps([code, [name for name in forbidden if name in sys.modules]]))

def code_of(call):
    try:
        return call()
    except SystemExit as ended:
        return ended.code
"""
ALONE = (
    LISTED
    + """
file, forbidden, *words = sys.argv[1:]
from covidnet.commands.main import main
write(file, code_of(lambda: main(words)), forbidden.split())
"""
)
TRAIN_PY = (
    LISTED
    + """
import runpy
file, forbidden, script, *words = sys.argv[1:]
sys.argv = [script, *words]
write(file, code_of(lambda: runpy.run_path(script, run_name="__main__") and 0), forbidden.split())
"""
)
# torch takes seconds to import: once for all commands, each of which then goes on in a process of its own.
EACH = (
    LISTED
    + """
import os, traceback
import torch, covidnet
from covidnet.commands.main import main

def load(run, image):
    return len(covidnet.load(run).predict([image])) - 1

forbidden = sys.argv[1].split()
for name, words in json.load(sys.stdin).items():
    process = os.fork()
    if not process:
        code = None
        try:
            code = code_of(lambda: load(*words[1:]) if words[0] == "load" else main(words))
        except BaseException:
            traceback.print_exc()
        finally:
            write(name + ".imports", code, forbidden)
            os._exit(0)
    os.waitpid(process, 0)
"""
)
TRAINED = str(RUN)
IMAGE = "xrays/NORMAL/NORMAL (1).png"
# What only reads a trained model, or no model at all, and the words that make it do its work.
COMMANDS = {
    "audit": ["audit", "xrays", "--out=table.csv"],
    "card": ["card", TRAINED],
    "compare": ["compare", TRAINED, str(RUN.with_name("version_1"))],
    "evaluate": ["evaluate", TRAINED, "xrays", "--device=cpu"],
    "export": ["export", TRAINED],
    "load": ["load", TRAINED, IMAGE],
    "predict": ["predict", TRAINED, "--device=cpu"],
    "predict-files": ["predict", TRAINED, IMAGE, "--device=cpu"],
    "publish": ["publish", TRAINED, "--to=user/name", "--folder=published"],
    "report": ["report", TRAINED],
    "threshold": ["threshold", TRAINED, "--class=NORMAL", "--sensitivity=0.9", "--device=cpu"],
}


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A finished run that was trained elsewhere; its folder is the working directory."""
    monkeypatch.chdir(unpack_run(tmp_path))
    return RUN


def alone(code: str, forbidden: list[str], *words: str) -> list[object]:
    """Run a command in a fresh process; return its exit code and which of the forbidden modules it imported."""
    subprocess.run(
        [sys.executable, "-c", code, "imports.json", " ".join(forbidden), *words], capture_output=True, check=True
    )
    return json.loads(Path("imports.json").read_text())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "--help"),
        (0, "predict --help"),
        (2, ""),
        (2, "predicts"),
        (2, "predict"),
        (2, "run modle=convnet"),
        (2, "run model=nothing"),
        (2, "audit nowhere"),
        (2, "card nowhere"),
        (2, "compare nowhere nowhere"),
        (2, "evaluate nowhere nowhere"),
        (2, "export nowhere"),
        (2, "predict nowhere"),
        (2, "publish nowhere --to=user/name"),
        (2, "report nowhere"),
        (2, "send nowhere"),
        (2, "serve nowhere"),
        (2, "shortcuts nowhere"),
        (2, "threshold nowhere --undo"),
    ],
)
def test_help_and_mistakes_import_nothing_heavy(code, words):
    assert alone(ALONE, HEAVY, *words.split()) == [code, []]


@pytest.mark.parametrize(
    ("code", "words"), [(0, "--help"), (2, "modle=convnet"), (2, "fits"), (2, "data.root=nowhere"), (2, "run seeds=3")]
)
def test_train_py_answers_help_and_typos_before_anything_heavy(code, words):
    assert alone(TRAIN_PY, HEAVY, str(TRAIN), *words.split()) == [code, []]


@slow
def test_what_trains_nothing_imports_nothing_that_trains(run):
    shutil.copytree(run, run.with_name("version_1"))
    done = subprocess.run(
        [sys.executable, "-c", EACH, " ".join(TRAINING)], input=json.dumps(COMMANDS), capture_output=True, text=True
    )
    found = {name: json.loads(Path(f"{name}.imports").read_text()) for name in COMMANDS}
    assert found == {name: [0, []] for name in COMMANDS}, done.stderr


def test_serving_imports_nothing_that_trains(run):
    words = ["serve", str(run), "--port=0", "--device=cpu"]
    server = subprocess.Popen(
        [sys.executable, "-c", ALONE, "imports.json", " ".join(TRAINING), *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with server:
        assert server.stdout
        address = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        with urllib.request.urlopen(f"{address}/predict", Path(IMAGE).read_bytes()) as answer:
            assert json.load(answer)["predicted"] == "Viral Pneumonia"
        server.send_signal(signal.SIGTERM)
        server.communicate()
    assert json.loads(Path("imports.json").read_text()) == [0, []]
