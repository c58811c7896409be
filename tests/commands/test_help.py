"""Facts about the help of what trains: it is read out of the source, and is that of the classes as they are."""

import inspect
import sys

import pytest

from covidnet.commands.help import command_help
from covidnet.commands.keys import GIVEN, keys_of
from covidnet.data.phantom_module import PhantomDataModule
from covidnet.data.radiographs import Radiographs
from covidnet.models.classifier import Classifier
from covidnet.models.convnet import ConvNet
from covidnet.models.encoded import Encoded
from covidnet.models.inception import InceptionV3
from covidnet.models.probe import Probe
from covidnet.training.args import COMMANDS, OWN, as_called, expand, program

NOT_ONES_OWN = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


@pytest.mark.parametrize(
    ("owner", "above"),
    [
        (PhantomDataModule, [Radiographs]),
        (ConvNet, [Classifier]),
        (InceptionV3, [Encoded, Classifier]),
        (Probe, [Encoded, Classifier]),
    ],
)
def test_the_keys_of_a_class_are_the_arguments_that_it_takes(owner, above):
    taken = {name: one for kind in (owner, *above) for name, one in inspect.signature(kind).parameters.items()}
    names = {name for name, one in taken.items() if name not in GIVEN and one.kind not in NOT_ONES_OWN}
    assert set(keys_of(f"{owner.__module__}.{owner.__name__}")) == names


def test_a_key_has_its_default_its_values_and_its_meaning():
    keys = keys_of("covidnet.data.phantom_module.PhantomDataModule")
    assert keys["augment"][::2] == ("none", "none | mild | strong")
    assert (keys["classes"].default, keys["classes"].kind) == ("null", "list[str] | null")
    assert keys["shortcut"].text.startswith("Probability that a marker")
    assert keys_of("elsewhere.Model") == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_keys_of_a_command_and_the_defaults_of_the_chosen_groups(command):
    text = command_help(expand([command, "model=inception", "recipe=robust", "--help"]))
    assert all(f"  {name}=" in text for name in COMMANDS[command].keys)
    for given in ("data.batch_size=15", "model.dropout=0.1", "model.backbone=", "trainer.max_epochs=60"):
        assert f"  {given}" in text
    assert "model.image_size" not in text  # another key sets it


def test_each_key_of_a_command_is_told_once():
    assert {key for command in COMMANDS.values() for key in command.keys} == {key.rpartition(".")[2] for key in OWN}


@pytest.mark.parametrize(
    ("words", "asked"),
    [("run", ""), ("run -h", "keys"), ("help=all", "all"), ("--help=all --help", "all"), ("-h help=all", "all")],
)
def test_help_is_of_our_keys_or_of_all(words, asked):
    line = expand(words.split())
    assert line.help == asked
    assert ("--help" in line.argv) == bool(asked)


@pytest.mark.parametrize(
    ("python", "script", "name", "training"),
    [
        ("python3", "train.py", "python3 train.py", "python3 train.py seed_everything=1"),
        (
            "python",
            "../a clone/train.py",
            "python '../a clone/train.py'",
            "python '../a clone/train.py' seed_everything=1",
        ),
        (
            "v/bin/python",
            "covidnet/__main__.py",
            "v/bin/python -m covidnet",
            "v/bin/python -m covidnet run seed_everything=1",
        ),
        ("/usr/bin/python", "/usr/bin/covidnet", "covidnet", "covidnet run seed_everything=1"),
        ("python.exe", "covidnet.exe", "covidnet", "covidnet run seed_everything=1"),
    ],
    ids=["script", "elsewhere", "module", "command", "windows"],
)
def test_commands_name_the_program_as_it_was_typed(python, script, name, training, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script])
    monkeypatch.setattr(sys, "orig_argv", [python, script])
    assert program() == name
    assert command_help(expand(["fit"])).startswith(f"usage: {name} fit ")
    assert expand(["seed_everything=1"] if "train.py" in script else ["run", "seed_everything=1"]).again() == training
    assert as_called("covidnet card RUN") == "covidnet card RUN"
    monkeypatch.setenv("PATH", "")
    assert as_called("covidnet card RUN") == f"{name} card RUN"
