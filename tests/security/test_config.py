"""A stranger's configuration runs nothing, writes nowhere else and connects to nobody, whatever it names."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import pytorch_lightning as pl
import yaml
from helpers import QUICK, mistake
from made_run import write_run
from pytorch_lightning.callbacks import LambdaCallback

from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.runs.listed import LISTED, PLACES, REFUSED
from covidnet.runs.trust import resolve_name

FIT = ["fit", "data=phantom", *QUICK]
CALLBACKS = "pytorch_lightning.callbacks"


@pytest.fixture
def mark(tmp_path) -> Path:
    """The file that a program leaves where it runs."""
    return tmp_path / "it ran"


@pytest.fixture
def launch(tmp_path, mark) -> dict:
    """A callback that starts a program as the user, by arguments of plain types alone."""
    program = tmp_path / "program.py"
    program.write_text(f"open({str(mark)!r}, 'w').close()\n")
    launcher = {
        "class_path": "torch.distributed.launcher.api.elastic_launch",
        "init_args": {
            "config": {
                "class_path": "torch.distributed.launcher.api.LaunchConfig",
                "init_args": {"min_nodes": 1, "max_nodes": 1, "nproc_per_node": 1, "rdzv_backend": "static"},
            },
            "entrypoint": str(program),
        },
    }
    return {"class_path": f"{CALLBACKS}.LambdaCallback", "init_args": {"on_fit_start": launcher}}


def written(tmp_path: Path, config: object, name: str = "stranger.yaml") -> Path:
    file = tmp_path / name
    file.write_text(yaml.safe_dump(config))
    return file


def test_a_callback_that_starts_a_program_is_refused_from_a_file(launch, mark, tmp_path, capsys):
    assert callable(LambdaCallback(on_fit_start=print).on_fit_start)  # it is what runs a function, if one is given
    file = written(tmp_path, {"trainer": {"callbacks": [launch]}})
    message = mistake([*FIT, f"--config={file}"], capsys)
    assert "A file may name classes of covidnet" in message
    assert not mark.exists()


def test_a_run_directory_that_was_doctored_starts_nothing(launch, mark, tmp_path, capsys):
    run = write_run(tmp_path)
    config = yaml.safe_load((run / "config.yaml").read_text())
    written(run, {**config, "trainer": {"callbacks": [launch]}}, "config.yaml")
    assert "A file may name" in mistake(lambda: tools(["shortcuts", str(run)]), capsys)
    assert not mark.exists()


HOSTILE = {
    "the class by its own name": {"callbacks": [{"class_path": "LambdaCallback"}]},
    "the class as a text": {"callbacks": f"{CALLBACKS}.LambdaCallback"},
    "the class where it was defined": {"callbacks": [{"class_path": f"{CALLBACKS}.lambda_function.LambdaCallback"}]},
    "a function that unfreezes": {
        "callbacks": [
            {"class_path": f"{CALLBACKS}.BackboneFinetuning", "init_args": {"lambda_func": "torch.optim.Adam"}}
        ]
    },
    "a function that averages": {
        "callbacks": [
            {
                "class_path": f"{CALLBACKS}.StochasticWeightAveraging",
                "init_args": {"swa_lrs": 0.1, "avg_fn": f"{CALLBACKS}.ModelSummary"},
            }
        ]
    },
    "a function that prunes, by its name": {
        "callbacks": [{"class_path": f"{CALLBACKS}.ModelPruning", "init_args": {"pruning_fn": "l1_unstructured"}}]
    },
    "a callback that hands on what it is given": {
        "callbacks": [{"class_path": f"{CALLBACKS}.WeightAveraging", "dict_kwargs": {"avg_fn": "os.system"}}]
    },
    "averaging with more than is listed": {
        "callbacks": [{"class_path": f"{CALLBACKS}.EMAWeightAveraging", "dict_kwargs": {"multi_avg_fn": "os.system"}}]
    },
    "a file that is written elsewhere": {
        "callbacks": [{"class_path": f"{CALLBACKS}.ModelCheckpoint", "init_args": {"dirpath": "/elsewhere"}}]
    },
    "a file above": {
        "callbacks": [{"class_path": f"{CALLBACKS}.ModelCheckpoint", "init_args": {"filename": "../../x"}}]
    },
    "a log at home": {
        "logger": {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": "~/x"}}
    },
    "a log in a store": {
        "logger": [{"class_path": "pytorch_lightning.loggers.TensorBoardLogger", "init_args": {"save_dir": "s3://x/y"}}]
    },
    "a logger that connects": {"logger": {"class_path": "pytorch_lightning.loggers.WandbLogger"}},
    "a profile elsewhere": {
        "profiler": {"class_path": "pytorch_lightning.profilers.SimpleProfiler", "init_args": {"dirpath": "/x"}}
    },
    "a profiler with a schedule": {
        "profiler": {
            "class_path": "pytorch_lightning.profilers.PyTorchProfiler",
            "dict_kwargs": {"schedule": "os.system"},
        }
    },
    "a profiler that listens": {"profiler": {"class_path": "pytorch_lightning.profilers.XLAProfiler"}},
    "a strategy with a hook": {
        "strategy": {
            "class_path": "pytorch_lightning.strategies.DDPStrategy",
            "init_args": {"ddp_comm_hook": "torch.optim.Adam"},
        }
    },
    "a strategy's surroundings": {
        "strategy": {
            "class_path": "pytorch_lightning.strategies.DDPStrategy",
            "init_args": {
                "cluster_environment": {"class_path": "lightning_fabric.plugins.environments.LightningEnvironment"}
            },
        }
    },
    "a part of Lightning": {"plugins": {"class_path": "lightning_fabric.plugins.io.TorchCheckpointIO"}},
    "an upload": {"model_registry": "user/model"},
    "the system": {"callbacks": [{"class_path": "torch.os.system"}]},
    "a network of torch": {"callbacks": [{"class_path": "torch.nn.Linear"}]},
    "a callback of our own insides": {"callbacks": [{"class_path": "covidnet.training.record.RunRecord"}]},
    "the parser itself": {"callbacks": [{"class_path": "jsonargparse.ArgumentParser"}]},
}


@pytest.mark.parametrize("trainer", HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_listed_is_refused_from_a_file(trainer, tmp_path, capsys):
    file = written(tmp_path, {"trainer": trainer})
    message = mistake([*FIT, f"--config={file}", "trainer.fast_dev_run=true"], capsys)
    assert str(file) in message or "is not accepted" in message or "A file may" in message
    assert not Path("runs").exists()


@pytest.mark.parametrize("section", ["model", "data", "early_stopping", "checkpoint"])
def test_sections_name_no_other_class_and_no_place_elsewhere(section, tmp_path, capsys):
    config = {
        "model": {"class_path": "torch.nn.Linear", "init_args": {"in_features": 1, "out_features": 1}},
        "data": {"class_path": "pytorch_lightning.LightningDataModule"},
        "early_stopping": {"class_path": f"{CALLBACKS}.LambdaCallback"},
        "checkpoint": {"dirpath": "/elsewhere"},
    }[section]
    assert mistake([*FIT, f"--config={written(tmp_path, {section: config})}"], capsys)


def test_a_search_connects_to_no_storage_that_a_file_names(tmp_path, capsys):
    file = written(tmp_path, {"storage": "postgresql://user@elsewhere/x"})
    assert "sets storage" in mistake(["search", "data=phantom", f"--config={file}", *QUICK], capsys)


def test_what_is_listed_goes_on_from_a_file(xray_root, tmp_path):
    callbacks = [
        {"class_path": f"{CALLBACKS}.LearningRateMonitor", "init_args": {"logging_interval": "epoch"}},
        {"class_path": f"{CALLBACKS}.ModelCheckpoint", "init_args": {"dirpath": "more", "monitor": "train_loss"}},
        {"class_path": f"{CALLBACKS}.TQDMProgressBar", "init_args": {"refresh_rate": 0}},
    ]
    logger = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": "logs"}}
    file = written(tmp_path, {"trainer": {"callbacks": callbacks, "logger": logger, "profiler": "simple"}})
    small = [
        f"data.root={xray_root}",
        "data.test_per_class=3",
        "data.image_size=12",
        "trainer.max_epochs=1",
        "trainer=cpu",
    ]
    trained = main(["fit", f"--config={file}", *small, "trainer=cpu"])
    kinds = {type(callback).__name__ for callback in trained.trainer.callbacks}
    assert {"LearningRateMonitor", "ModelCheckpoint", "TQDMProgressBar"} <= kinds
    again = Path(trained.trainer.run_directory, "config.yaml")
    main(["fit", f"--config={again}", "trainer.max_epochs=1"])  # what a run leaves can be given again


def test_what_is_typed_is_the_users_own_word(tmp_path, capsys):
    typed = json.dumps([{"class_path": f"{CALLBACKS}.LambdaCallback", "init_args": {}}])
    made = main([*FIT, f"trainer.callbacks={typed}", "trainer.fast_dev_run=true"])
    assert any(isinstance(callback, LambdaCallback) for callback in made.trainer.callbacks)
    # A name that was typed opens no door for another one in a file.
    file = written(tmp_path, {"trainer": {"profiler": {"class_path": "pytorch_lightning.profilers.XLAProfiler"}}})
    assert "A file may" in mistake([*FIT, f"--config={file}", f"trainer.callbacks={typed}"], capsys)


def classes_of(module) -> dict[str, type]:
    found = inspect.getmembers(module, inspect.isclass)
    return {f"{module.__name__}.{name}": kind for name, kind in found if not name.startswith("_")}


@pytest.mark.parametrize("module", [pl.callbacks, pl.loggers, pl.profilers, pl.strategies], ids=lambda m: m.__name__)
def test_each_class_that_lightning_has_is_listed_or_refused(module):
    assert set(classes_of(module)) - set(LISTED) - set(REFUSED) == set()


def admits_a_function(hint: object) -> bool:
    """Tell whether a type admits a function, a class or an object with parts of its own, at any depth."""
    if hint is Callable or getattr(hint, "__origin__", None) in (Callable, type):
        return True
    if inspect.isclass(hint) and hint.__module__.partition(".")[0] in ("pytorch_lightning", "lightning_fabric"):
        return True
    return any(admits_a_function(part) for part in get_args(hint) if part is not Ellipsis)


@pytest.mark.parametrize("path", LISTED)
def test_each_argument_that_a_file_may_set_is_there_and_takes_no_function(path):
    kind = resolve_name(path)
    arguments = inspect.signature(kind).parameters
    assert set(LISTED[path]) <= set(arguments)
    hints = get_type_hints(kind.__init__)
    assert not [name for name in LISTED[path] if admits_a_function(hints.get(name))]
    written_to = [name for name in arguments if any(word in name for word in ("dir", "path", "file", "uri", "url"))]
    assert set(written_to) & set(LISTED[path]) <= set(PLACES)
