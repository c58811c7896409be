"""A stranger's configuration runs nothing, writes nowhere else and connects to nobody, whatever it names."""

import http.server
import importlib
import inspect
import json
import os
import pkgutil
import threading
import typing
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import pytorch_lightning as pl
import torch
import torchmetrics
import yaml
from helpers import QUICK, mistake, slow
from jsonargparse import ArgumentParser, set_parsing_settings
from made_run import write_run
from pytorch_lightning.callbacks import LambdaCallback

from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.data.radiographs import Radiographs
from covidnet.files.plain import hints_of
from covidnet.models.classifier import Classifier
from covidnet.runs.listed import FORMS, LISTED, OTHER_METRICS, OWN, REFUSED, REFUSED_ARGUMENTS, SECTIONS
from covidnet.runs.trust import resolve_name

FIT = ["fit", "data=phantom", *QUICK]
LOGGERS, LOGS = "pytorch_lightning.loggers", ("CSVLogger", "TensorBoardLogger")
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
    "a folder that is written, by another name for a place": {
        "callbacks": [{"class_path": f"{CALLBACKS}.ModelCheckpoint", "init_args": {"dirpath": "simplecache::s3:b"}}]
    },
    "the class by the name of a module of ours": {
        "callbacks": [
            {
                "class_path": "covidnet.models.parts.capture.pl.callbacks.ModelCheckpoint",
                "init_args": {"dirpath": "/elsewhere"},
            }
        ]
    },
    "the log of another run": {
        "logger": {
            "class_path": "CSVLogger",
            "init_args": {"save_dir": "runs", "name": "convnet", "version": "version_0"},
        }
    },
    "a name that leads elsewhere": {
        "logger": {"class_path": "TensorBoardLogger", "init_args": {"save_dir": "logs", "name": "/elsewhere"}}
    },
    "a hidden folder": {"logger": {"class_path": "CSVLogger", "init_args": {"save_dir": ".git/hooks"}}},
    "runs that are sent away": {"default_root_dir": "s3://bucket/runs"},
    "a profiler that listens, by its word": {"profiler": "xla"},
    "a strategy with a configuration of its own, by its word": {"strategy": "deepspeed_stage_3"},
    "an accelerator as a class": {"accelerator": {"class_path": "pytorch_lightning.accelerators.CPUAccelerator"}},
    "an optimizer as a callback": {"callbacks": [{"class_path": "torch.optim.Adam", "init_args": {"lr": 1.0}}]},
    "what torch makes of functions": {"callbacks": [{"class_path": "torch.optim.lr_scheduler.LambdaLR"}]},
    "a metric of other metrics": {"callbacks": [{"class_path": "torchmetrics.metric.CompositionalMetric"}]},
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
    told = (str(file), "is not accepted", "A file may", "Does not validate")
    assert any(part in message for part in told)
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


@pytest.mark.parametrize("filename", ["{epoch:999999999d}", "a/b", "..\\x", "{epoch.__class__}", "file:///x"])
def test_the_name_of_a_checkpoint_is_a_plain_one(filename, tmp_path, capsys):
    file = written(tmp_path, {"checkpoint": {"filename": filename}})
    assert "may only give a plain name" in mistake([*FIT, f"--config={file}"], capsys)


def test_a_link_leads_no_log_elsewhere(tmp_path, capsys, monkeypatch):
    Path("logs").symlink_to(tmp_path.parent)
    logger = {"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}}
    file = written(tmp_path, {"trainer": {"logger": logger}})
    assert "may only give a folder below" in mistake([*FIT, f"--config={file}"], capsys)


@pytest.mark.parametrize("room", ["model", "data"])
def test_a_method_of_ours_is_no_class(room, tmp_path, capsys):
    kind = {"model": "models.convnet.ConvNet", "data": "data.module.RadiographyDataModule"}[room]
    given = {"checkpoint_path": "evil.ckpt", "weights_only": False}
    section = {"class_path": f"covidnet.{kind}.load_from_checkpoint", "init_args": given}
    assert "A file may name" in mistake([*FIT, f"--config={written(tmp_path, {room: section})}"], capsys)


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server's address, and what it was asked for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "13")
            self.end_headers()
            self.wfile.write(b"max_epochs: 3")

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/x.yaml", paths
    server.shutdown()
    server.server_close()


def test_no_value_in_a_file_is_fetched(asked, tmp_path, capsys):
    url, paths = asked
    set_parsing_settings(config_read_mode_fsspec_enabled=True)  # as Lightning has it
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(pl.callbacks.ModelSummary, "one", sub_configs=True)
    with suppress(Exception):
        parser.parse_args([f"--one={url}"])
    assert paths  # the parser does ask
    paths.clear()
    for section in ({"trainer": url}, {"model": url}, {"trainer": {"callbacks": url}}, {"config": url}):
        mistake([*FIT, f"--config={written(tmp_path, section)}"], capsys)
    assert not paths


def test_a_file_within_a_file_ends_and_is_no_bomb(tmp_path, capsys):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    (tmp_path / "middle.yaml").write_text("callbacks: bomb.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    for inner in ("bomb.yaml", "middle.yaml"):
        file = written(tmp_path, {"trainer": inner})
        assert "stands for more than" in mistake([*FIT, f"--config={file}"], capsys)
    file = written(tmp_path, {"model": "pipe.yaml"})
    assert "is no file of keys and values" in mistake([*FIT, f"--config={file}"], capsys)


@pytest.fixture
def small(xray_root) -> list[str]:
    """Images that are there; those of FIT would be drawn first."""
    return [f"data.root={xray_root}", "data.test_per_class=3", "data.image_size=12"]


@slow
def test_a_file_may_stand_for_the_keys_of_a_section(small, tmp_path, capsys):
    (tmp_path / "inner.yaml").write_text("{fast_dev_run: true}")
    file = written(tmp_path, {"trainer": "inner.yaml"})
    assert main(["fit", *QUICK, *small, f"--config={file}"]).trainer.fast_dev_run
    (tmp_path / "inner.yaml").write_text("{default_root_dir: 's3://bucket/runs'}")
    assert "a place of this machine" in mistake([*FIT, f"--config={file}"], capsys)


@slow
def test_what_is_typed_goes_before_a_place_in_a_file(small, tmp_path, capsys):
    file = written(tmp_path, {"trainer": {"default_root_dir": "s3://bucket/runs"}, "ckpt_path": "s3://bucket/x.ckpt"})
    assert "a place of this machine" in mistake([*FIT, f"--config={file}"], capsys)
    typed = ["trainer.default_root_dir=runs", "ckpt_path=null", "trainer.fast_dev_run=true"]
    main(["fit", *QUICK, *small, f"--config={file}", *typed])


@slow
def test_what_is_listed_goes_on_from_a_file(small, tmp_path):
    callbacks = [
        {"class_path": f"{CALLBACKS}.LearningRateMonitor", "init_args": {"logging_interval": "epoch"}},
        {
            "class_path": f"{CALLBACKS}.ModelCheckpoint",
            "init_args": {"filename": "{epoch:02d}-{train_loss:.2f}", "monitor": "train_loss"},
        },
        {"class_path": f"{CALLBACKS}.TQDMProgressBar", "init_args": {"refresh_rate": 0}},
    ]
    logger = [{"class_path": f"{LOGGERS}.{name}", "init_args": {"save_dir": "logs"}} for name in LOGS]
    file = written(tmp_path, {"trainer": {"callbacks": callbacks, "logger": logger, "profiler": "simple"}})
    trained = main(["fit", f"--config={file}", *small, "trainer.max_epochs=1", "trainer=cpu"])
    kinds = {type(callback).__name__ for callback in trained.trainer.callbacks}
    assert {"LearningRateMonitor", "ModelCheckpoint", "TQDMProgressBar"} <= kinds
    again = Path(trained.trainer.run_directory, "config.yaml")
    main(["fit", f"--config={again}", "trainer.max_epochs=1"])  # what a run leaves can be given again


@slow
def test_what_is_typed_is_the_users_own_word(small, tmp_path, capsys):
    typed = json.dumps([{"class_path": f"{CALLBACKS}.LambdaCallback", "init_args": {}}])
    made = main(["fit", *QUICK, *small, f"trainer.callbacks={typed}", "trainer.fast_dev_run=true"])
    assert any(isinstance(callback, LambdaCallback) for callback in made.trainer.callbacks)
    # A name that was typed opens no door for another one in a file.
    file = written(tmp_path, {"trainer": {"profiler": {"class_path": "pytorch_lightning.profilers.XLAProfiler"}}})
    assert "A file may" in mistake([*FIT, f"--config={file}", f"trainer.callbacks={typed}"], capsys)


def classes_of(module) -> dict[str, type]:
    found = inspect.getmembers(module, inspect.isclass)
    return {f"{module.__name__}.{name}": kind for name, kind in found if not name.startswith("_")}


PACKAGES = [pl.callbacks, pl.loggers, pl.profilers, pl.strategies, torch.optim, torch.optim.lr_scheduler, torchmetrics]
TRAINER = SECTIONS["trainer"]
PARTS = {"accelerator", "strategy", "logger", "callbacks", "profiler"}  # of the trainer: their classes are listed


@pytest.mark.parametrize("module", PACKAGES, ids=lambda module: module.__name__)
def test_each_class_that_a_package_has_is_listed_or_refused(module):
    known = {*LISTED, *REFUSED, *(f"torchmetrics.{name}" for name in OTHER_METRICS)}
    package = module.__name__.partition(".")[0]  # what it takes from others is none of its own
    found = {path for path, kind in classes_of(module).items() if kind.__module__.partition(".")[0] == package}
    imported = {f"torch.optim.lr_scheduler.{name}" for name in ("Optimizer", "Tensor")}
    assert found - imported - known == set()


def admits_a_function(hint: object) -> bool:
    """Tell whether a type admits a function, a class or an object with parts of its own, at any depth."""
    if hint in (Callable, Any, type, object) or get_origin(hint) in (Callable, type):
        return True
    if inspect.isclass(hint) and hint.__module__.partition(".")[0] in ("pytorch_lightning", "lightning_fabric"):
        return True
    return any(admits_a_function(part) for part in get_args(hint) if part is not Ellipsis and not is_literal(hint))


def is_literal(hint: object) -> bool:
    return get_origin(hint) is Literal


def arguments_of(kind: type) -> tuple[set[str], dict[str, object]]:
    """Return the names of what a class takes, and their types."""
    maker = kind.__new__ if kind.__module__.startswith("torchmetrics") else kind.__init__
    return set(inspect.signature(maker).parameters) - {"self", "cls", "args"}, get_type_hints(
        maker,
        localns={**vars(typing), "Callable": Callable},  # torch imports some for type checkers alone
    )


@pytest.mark.parametrize("path", LISTED)
def test_each_argument_is_listed_or_refused_and_takes_no_function(path):
    names, hints = arguments_of(resolve_name(path))
    allowed = set(LISTED[path])
    assert allowed <= names
    unknown = {name for name in names - allowed - set(REFUSED_ARGUMENTS) if not name.endswith("_kwargs")}
    assert unknown == set()
    parts = PARTS if path == TRAINER else set()
    assert [name for name in allowed - parts if admits_a_function(hints.get(name))] == []
    written_to = {name for name in names if any(word in name for word in ("dir", "path", "file", "uri", "url"))}
    assert written_to & allowed <= {*FORMS, "profiler"}


@pytest.mark.parametrize("room", OWN)
def test_no_model_and_no_data_of_ours_takes_a_function(room):
    found = [info.name for info in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}.")]
    kinds = [kind for name in found for kind in vars(importlib.import_module(name)).values() if inspect.isclass(kind)]
    ours = {kind for kind in kinds if issubclass(kind, Classifier | Radiographs) and kind.__module__.startswith(room)}
    assert ours
    for kind in ours:
        assert not [name for name, hint in hints_of(kind).items() if admits_a_function(hint)], kind
