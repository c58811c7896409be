"""Private names of other libraries: all that are overridden or set are known here, and exist where we look for them.

A parent's renamed method would be overridden in vain, and a renamed attribute set in vain, both without a word.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
import pytorch_lightning as pl
from jsonargparse.typehints import ActionTypeHint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger
from torch import nn

import covidnet
from covidnet.training.lightning import OneCommandLine, SignalConnector, keep_whole

OVERRIDDEN = {  # class -> what it overrides that is private to a parent of another library
    "covidnet.files.archive._Head": {"_proc_member"},
    "covidnet.models.network.Network": {"_apply"},
    "covidnet.training.lightning.OneCommandLine": {
        "_parse_ckpt_path",
        "_prepare_subcommand_kwargs",
        "_run_subcommand",
        "_set_seed",
    },
    "covidnet.training.lightning.SignalConnector": {"_sigterm_notifier_fn"},
    "covidnet.training.lightning._WholeWriter": {"_check_log_dir_exists"},
}


def own_classes() -> Iterator[type]:
    """Yield each class of the package, from the module that defines it."""
    for found in pkgutil.walk_packages(covidnet.__path__, "covidnet."):
        if not found.name.endswith("__main__"):
            members = inspect.getmembers(importlib.import_module(found.name), inspect.isclass)
            yield from (kind for _, kind in members if kind.__module__ == found.name)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_")  # the latter are the language's and of enums


def overridden(kind: type) -> set[str]:
    """Return the private methods of a class that a parent of another library has too."""
    others = [parent for parent in kind.__mro__ if not parent.__module__.startswith("covidnet.")]
    methods = {name for name, value in vars(kind).items() if is_private(name) and callable(value)}
    return {name for name in methods if any(name in vars(parent) for parent in others)}


def test_each_overridden_private_name_is_declared_and_exists_in_a_parent():
    found = {f"{kind.__module__}.{kind.__qualname__}": overridden(kind) for kind in own_classes()}
    assert {name: methods for name, methods in found.items() if methods} == OVERRIDDEN


def test_what_a_trainer_is_given_and_asked_for_is_there():
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    connector = trainer._signal_connector
    assert type(connector) is SignalConnector.__mro__[1]
    assert connector._original_handlers == {}
    keep_whole(trainer)
    assert type(trainer._signal_connector) is SignalConnector


@pytest.mark.parametrize("name", ["_subcommand_parsers", "_dump_config"])
def test_what_the_command_line_asks_its_parent_for_is_there(name):
    source = inspect.getsource(OneCommandLine)
    assert f"self.{name}" in source
    assert name in inspect.getsource(LightningCLI)


def test_what_is_asked_of_other_objects_is_there(tmp_path):
    assert CSVLogger(tmp_path)._experiment is None
    parser = LightningArgumentParser()
    parser.add_argument("--numbers", type=list[int])
    hints = [action for action in parser._actions if isinstance(action, ActionTypeHint)]
    assert [action._typehint for action in hints] == [list[int]]
    assert nn.Linear(1, 1).state_dict()._metadata[""]  # where a checkpoint's names are mended
