"""What a command imports: nothing heavy to say that a word is wrong, nothing that trains where nothing is trained."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from helpers import RUN, slow, unpack_run

TRAINING = ["pytorch_lightning", "lightning_fabric", "torchmetrics", "jsonargparse"]
HEAVY = ["torch", "numpy", "scipy", "sklearn", "pandas", "rich", "PIL", *TRAINING]
LISTED = """
import json, os, sys, traceback
from resource import RUSAGE_SELF, getrusage
from pathlib import Path

def code_of(call):
    try:
        return call()
    except SystemExit as ended:
        return ended.code

def apart(name, call, forbidden):
    # In a process of its own: exit code, forbidden modules that it imported, and processor seconds.
    process = os.fork()
    if not process:
        code = None
        try:
            code = code_of(call)
        except BaseException:
            traceback.print_exc()
        finally:
            used = getrusage(RUSAGE_SELF)
            found = [one for one in forbidden if one in sys.modules]
            Path(name + ".imports").write_text(json.dumps([code, found, used.ru_utime + used.ru_stime]))
            os._exit(0)
    os.waitpid(process, 0)
"""
ALONE = (
    LISTED
    + """
from covidnet.commands.main import main
forbidden = sys.argv[1].split()
for name, words in json.load(sys.stdin).items():
    train = words[:1] == ["train.py"]
    sys.argv = ["train.py" if train else "covidnet", *words[train:]]
    apart(name, lambda: main(default="run" if train else None), forbidden)
"""
)
# What takes seconds to import, and nothing that trains: once for all commands, each of which then goes on alone.
EACH = (
    LISTED
    + """
import captum.attr, matplotlib.pyplot, scipy.signal, scipy.stats, sklearn.linear_model, timm, torch, covidnet
from covidnet.commands.main import main

def load(run, image):
    return len(covidnet.load(run).predict([image])) - 1

def export(*words):  # which takes long
    import covidnet.inference.export

forbidden = sys.argv[1].split()
own = {"load": load, "export": export}
for name, words in json.load(sys.stdin).items():
    apart(name, lambda: own[words[0]](*words[1:]) or 0 if words[0] in own else main(words), forbidden)
"""
)
TRAINED = str(RUN)
IMAGE = "xrays/NORMAL/NORMAL (1).png"
# What only reads a trained model, or no model at all, and the words that make it do its work.
COMMANDS = {
    "audit": ["audit", "xrays", "--out=table.csv"],
    "compare": ["compare", TRAINED, str(RUN.with_name("version_1"))],
    "evaluate": ["evaluate", TRAINED, "xrays", "--device=cpu"],
    "export": ["export", TRAINED],
    "load": ["load", TRAINED, IMAGE],
    "predict": ["predict", TRAINED, "--device=cpu"],
    "predict-files": ["predict", TRAINED, IMAGE, "--device=cpu"],
    "publish": ["publish", TRAINED, "--to=user/name", "--folder=published"],
    "labels": ["labels", TRAINED],
    "report": ["report", TRAINED],
    "threshold": ["threshold", TRAINED, "--class=NORMAL", "--sensitivity=0.9", "--device=cpu"],
}


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A finished run that was trained elsewhere; its folder is the working directory."""
    monkeypatch.chdir(unpack_run(tmp_path))
    return RUN


def each(program: str, forbidden: list[str], commands: Mapping[str, list[str]]) -> dict[str, list[Any]]:
    """Run commands, each in a process of its own; return exit code, forbidden modules that it imported and seconds."""
    asked = [sys.executable, "-c", program, " ".join(forbidden)]
    done = subprocess.run(asked, input=json.dumps(commands), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: json.loads(Path(f"{name}.imports").read_text()) for name in commands}


HELP = ["--help", "predict --help", "train.py --help", "run --help", "train.py search -h data=phantom", "fit --help"]
WRONG = [
    "",
    "predicts",
    "predict",
    "run modle=convnet",
    "run model=nothing",
    "train.py modle=convnet",
    "train.py fits",
    "train.py run seeds=3",
]
NOT_THERE = [
    "audit nowhere",
    "audit . data.table=nowhere.csv",
    "audit . --metadata nowhere.csv",
    "audit . --json nowhere/found.json",
    "cache clean",
    "cache ls nowhere",
    "card nowhere",
    "compare nowhere nowhere",
    "download --archive nowhere.zip",
    "evaluate nowhere nowhere",
    "evaluate {file} nowhere",
    "evaluate {file} . --metadata nowhere.csv",
    "export nowhere",
    "export {file} --check nowhere",
    "labels nowhere",
    "lungs nowhere --out masks",
    "predict nowhere",
    "predict {file} nowhere.png",
    "predict {file} {file} --out nowhere/found.csv",
    "publish nowhere --to=user/name",
    "rebalance nowhere",
    "report nowhere",
    "runs nowhere",
    "send nowhere",
    "serve nowhere",
    "shortcuts nowhere",
    "table nowhere",
    "threshold nowhere --undo",
    "train.py",
    "train.py data=nih",
    "train.py data.root=nowhere",
    'train.py data.roots={{"a":"nowhere"}}',
    "train.py data=phantom data.test_root=nowhere",
    "train.py data=phantom data.metadata=nowhere.csv",
    "train.py data=phantom data.split_file=nowhere.csv",
    "train.py data.root=. data.table=[nowhere.csv]",
    'train.py data.root=. data.split_lists={{"train":"nowhere.txt"}}',
    "train.py data=phantom ckpt_path=nowhere.ckpt",
    "train.py test ckpt_path=last",
    "train.py data=phantom model=inception model.weights=nowhere.pth",
    "train.py data=phantom --config=nowhere.yaml",
    "train.py search data=phantom space=nowhere.yaml",
]


def test_help_and_mistakes_are_told_within_a_second_and_import_nothing_heavy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file.png").touch()
    expected = {**dict.fromkeys(HELP, 0), **dict.fromkeys([*WRONG, *NOT_THERE], 2)}
    words = [line.format(file="file.png").split() for line in expected]
    found = each(ALONE, HEAVY, {str(number): one for number, one in enumerate(words)})
    told = dict(zip(expected, found.values(), strict=True))
    assert {line: one[:2] for line, one in told.items()} == {line: [code, []] for line, code in expected.items()}
    assert {line: seconds for line, (_, _, seconds) in told.items() if seconds > 1} == {}


@slow
def test_what_trains_nothing_imports_nothing_that_trains(run):
    shutil.copytree(run, run.with_name("version_1"))
    found = each(EACH, TRAINING, COMMANDS)
    assert {name: one[:2] for name, one in found.items()} == {name: [0, []] for name in COMMANDS}


def test_a_word_is_said_before_libraries_are_loaded(run):
    asked = [sys.executable, "-X", "importtime", "-m", "covidnet", "predict", str(run), IMAGE, "--device=cpu"]
    with subprocess.Popen(asked, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        lines = list(takewhile(lambda line: line != "covidnet: loading PyTorch ...\n", process.stderr))
        assert process.stderr.readline()  # it goes on
        process.kill()
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "covidnet.commands.predict" in imported
    assert not imported & set(HEAVY)


@slow
def test_serving_imports_nothing_that_trains(run):
    words = ["-m", "covidnet", "serve", str(run), "--port=0", "--device=cpu"]
    server = subprocess.Popen(
        [sys.executable, "-X", "importtime", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with server, ThreadPoolExecutor() as pool:
        told = pool.submit(server.stderr.read)
        address = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        with urllib.request.urlopen(f"{address}/predict", Path(IMAGE).read_bytes()) as answer:
            assert json.load(answer)["predicted"] == "Viral Pneumonia"
        server.send_signal(signal.SIGTERM)
        imported = {line.rpartition("|")[2].strip() for line in told.result().splitlines()}
    assert server.returncode == 0
    assert "torch" in imported
    assert not imported & set(TRAINING)
