"""Data, model and trainer, built from a sorted command line and run: the one place where they meet."""

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from filelock import FileLock
from jsonargparse import Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError, user_error
from covidnet.files.store import is_url
from covidnet.files.whole import remove_unfinished
from covidnet.machine.faults import explain
from covidnet.machine.telling import is_first
from covidnet.models.budget import Budget
from covidnet.models.classifier import Classifier
from covidnet.runs.checkpoint import Checkpoint
from covidnet.runs.claim import hold, next_folder
from covidnet.runs.files import LAST, LOCK, counted_tests
from covidnet.runs.find import run_directory
from covidnet.runs.remote import RunStore, local_runs, run_store, store_to_go_on
from covidnet.runs.trust import limit_names, refuse_bomb_in, refuse_unlisted
from covidnet.training.args import OWN, TRAINING, CommandLine, program
from covidnet.training.blame import blame
from covidnet.training.checks import (
    check_files,
    check_given,
    check_lungs_test,
    check_network,
    check_processes,
    check_sections,
    odd_checkpoint,
)
from covidnet.training.joining import Joining
from covidnet.training.lightning import OneCommandLine, WholeCSVLogger, keep_whole, last_checkpoint, put_first
from covidnet.training.loggers import Introduced
from covidnet.training.parser import CommandParser, add_own_keys, check_config, is_inline, read_once, reason_of
from covidnet.training.precision import where_and_how
from covidnet.training.promises import check_callbacks, check_promises
from covidnet.training.record import RunRecord
from covidnet.training.resume import ENDING, checkpoint_of, recipe_layer, refuse_changes
from covidnet.training.screen import choose_screen
from covidnet.training.trainer import Trainer
from covidnet.training.write_back import WriteBack, send_rest

AfterRun = Callable[["CommandLineInterface", Path], None]  # what is done, and its directory
WRONG_VALUES = (MisconfigurationException, ValueError, TypeError, ArithmeticError, ImportError)  # of constructors
SKIPPED = {"model", "datamodule", "dataloaders", "train_dataloaders", "val_dataloaders"}


class CommandLineInterface(OneCommandLine):
    """LightningCLI over a sorted command line: defaults, groups and a checkpoint's recipe lie below what was typed.

    Args:
        line: What was typed, sorted.
        afterwards: Is called with this interface and the run's directory when ``run``, or ``test`` of its model, is
            done; on the first process alone.
    """

    model: Classifier
    datamodule: RadiographyDataModule
    trainer: Trainer
    alone: ClassVar[bool] = True  # False of one of several runs, which are told in a line each
    title = ""  # of such a run, while it lasts

    def __init__(self, line: CommandLine, afterwards: AfterRun | None = None) -> None:
        self.command_line = replace(line, configs=[read_once(config) for config in line.configs])
        read = zip(line.configs, self.command_line.configs, strict=True)
        self.files = {name: config for name, config in read if not is_inline(name)}
        self.afterwards = afterwards
        self.budget: Budget | None = None  # of the network, by the checkpoint that is begun with
        self.resumed: Path | None = None  # the run directory that training goes on in
        self.claimed: Path | None = None  # the run directory that was made for this run
        self.lock: FileLock | None = None  # of the run directory
        self.record: RunRecord | None = None  # what its checkpoints hold besides
        self.name = line.groups["model"]  # of the run's folder
        self.runs: RunStore | None = None  # the object store that the run is sent to
        for file in self.command_line.configs:
            check_config(Path(file))
        command_parser = {
            "default_config_files": [str(path) for path in line.layers],
            "usage": f"{program()} {line.command} [group=name ...] [key=value ...]",
        }
        try:
            super().__init__(
                Classifier,
                RadiographyDataModule,
                trainer_class=Trainer,
                subclass_mode_model=True,
                subclass_mode_data=True,
                seed_everything_default=OWN["seed_everything"].default,
                parser_class=CommandParser,
                parser_kwargs={"allow_abbrev": False, line.command: {"allow_abbrev": False, **command_parser}},
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
            )
            if "trainer" in self.__dict__ and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
                ckpt_path = None if self.resumed else self.config_init[line.command].get("ckpt_path")
                send_rest(self.trainer, self.runs, ckpt_path)
        except Exception as error:
            mistake = explain(user_error(error) or error, _batch_size(self), self.how_to_go_on())
            if self.record and self.record.restoring:
                mistake = mistake or odd_checkpoint(self.config_init[line.command].get("ckpt_path"), error)
            mistake = mistake or blame(error, self.how_to_go_on())
            if mistake is None:
                raise
            raise mistake from error
        finally:
            self._let_go()

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Build a parser that knows what was typed, for its messages."""
        parser = super().init_parser(**kwargs)
        assert isinstance(parser, CommandParser)
        parser.typed = self.command_line.typed_keys()
        return parser

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # static in Lightning; a parser costs time
        """Return the one command that was asked for."""
        return {self.command_line.command: SKIPPED}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks and TensorBoard, and link what two classes need."""
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        add_own_keys(parser, self.command_line.command)
        parser.link_arguments("data.init_args.image_size", "model.init_args.image_size")
        parser.link_arguments("data.num_classes", "model.init_args.num_classes", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what was typed, over the recipe of a checkpoint where one is given."""
        over = [option.removeprefix("--").partition("=")[0] for option in self.command_line.settings]
        check_files(parser, self.command_line.command, self.files, over)
        limit_names(self.command_line.typed_keys().values())  # from here on, what was typed may be named too
        self.config = parser.parse_args(self.command_line.argv)
        command, *typed = self.command_line.argv
        config = self.config[command]
        check_sections(config)
        self.runs = run_store(config.trainer.get("default_root_dir"))
        checkpoint = self._checkpoint(config)
        if checkpoint:
            opened = Checkpoint(checkpoint)
            self.budget, recipe = opened.budget, opened.recipe
            layer = recipe_layer(recipe, checkpoint, self.command_line)
            refuse_unlisted(layer, f"ckpt_path={checkpoint}")
            told = json.dumps(layer)
            refuse_bomb_in(told, f"The recipe in ckpt_path={checkpoint}")
            self.config = parser.parse_args([command, f"--config={told}", *typed])
            self.config[command].ckpt_path = str(checkpoint)
            refuse_changes(self.config[command].as_dict(), opened, self.command_line)
            self.name = recipe["name"]
            if command in TRAINING:
                self.resumed = run_directory(checkpoint)
                self.runs = store_to_go_on(self.resumed, self.runs)
        elif command not in TRAINING:
            raise UserError(
                f"{self.command_line.command} needs the checkpoint to use: ckpt_path=FILE, or ckpt_path=last. "
                "Without one it would measure random weights."
            )
        check_given(self.config[command])
        check_processes(self.config[command].trainer)
        check_promises(self.config[command])

    def instantiate_classes(self) -> None:
        """Build data, model and trainer; what their constructors refuse is the user's to mend."""
        try:
            # A stranger's checkpoint of few weights must not have a network built of many.
            with self.budget or nullcontext():
                super().instantiate_classes()
        except WRONG_VALUES as error:
            raise user_error(error) or UserError(f"A key has a value that cannot be: {reason_of(error)}") from error
        check_network(self.model, self.datamodule.image_size)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the trainer with our run directory, whatever loggers the user adds to it."""
        config = self.config_init[self.command_line.command]
        given = config.trainer.get("logger")
        others: list[Logger] = given if isinstance(given, list) else [given] if isinstance(given, Logger) else []
        logger = self.run_logger(runs_folder(config))
        loggers: list[Logger] = [logger, *others]
        if config.tensorboard:
            loggers.append(TensorBoardLogger(logger.save_dir, logger.name, logger.version, default_hp_metric=False))
        write_back = [WriteBack(self.runs)] if self.runs else []  # before an epoch is seeded
        recipe = self._recipe()
        self.record = RunRecord(recipe, logger)
        introduced = Introduced({**recipe, "seed_everything": config.seed_everything})
        screen, bars = choose_screen(config, self.command_line, self.title, alone=self.alone)
        own = [*write_back, self.record, introduced, screen, Joining(), last_checkpoint()]
        self.trainer_defaults = {"callbacks": own}
        keepers = [config.early_stopping, config.checkpoint, own[-1]]
        check_callbacks(config.trainer.get("callbacks"), keepers)
        self.record.keepers = keepers
        self.datamodule.headed = screen.head
        if is_url(config.trainer.get("default_root_dir")):
            kwargs["default_root_dir"] = str(runs_folder(config))  # Lightning would look into the store by itself
        try:
            trainer = super().instantiate_trainer(logger=loggers, **where_and_how(config.trainer), **bars, **kwargs)
        except WRONG_VALUES as error:
            raise UserError(f"The trainer's keys do not go together, or not with this machine: {error}") from error
        assert isinstance(trainer, Trainer)
        trainer.shown = ("table" if config.get("table") else "line") if self.alone else ""
        put_first(trainer, keepers)
        keep_whole(trainer)
        check_lungs_test(config.get("shortcuts", False), trainer.world_size)
        return trainer

    def given(self, command: str) -> dict[str, Any]:
        """Leave out Lightning's own table of a validation or test: ours says more."""
        arguments = super().given(command)
        arguments["weights_only"] = True  # whatever a configuration asks for: no checkpoint runs code
        if command in ("validate", "test") and "verbose" not in self.command_line.typed_keys():
            arguments["verbose"] = False
        return arguments

    def before_run(self) -> None:
        """Find out before hours of training whether its test can be counted."""
        if self.resumed:
            counted_tests(self.resumed)

    def after_run(self) -> None:
        """Do what follows a run."""
        folder = self.trainer.run_directory  # asked for by all processes
        done = not self.trainer.fast_dev_run and self.trainer.is_global_zero  # type: ignore[attr-defined]
        self._free_pixels()  # what follows may train too
        if self.afterwards and done:
            self.afterwards(self, folder)

    def before_test(self) -> None:
        """Find out before the test whether it can be counted."""
        if run := run_directory(Path(self.config_init[self.command_line.command].ckpt_path)):
            counted_tests(run)

    def after_test(self) -> None:
        """Write and print what the test found."""
        checkpoint = Path(self.config_init[self.command_line.command].ckpt_path)
        self.trainer.report_test(self.model, self.datamodule, checkpoint)
        if self.afterwards and (run := run_directory(checkpoint)) and self.trainer.is_global_zero:
            self.afterwards(self, run)

    def how_to_go_on(self) -> str:
        """Return what ends the message of a fault that a training may outlive."""
        run = self.resumed or self.claimed
        kept = run and (run / "checkpoints" / LAST).is_file()
        return " Then the same command with ckpt_path=auto goes on from the last whole epoch." if kept else ""

    def run_logger(self, root: Path) -> WholeCSVLogger:
        """Return what writes metrics.csv, into the run directory that is gone on in, or a new one below ``root``."""
        first = is_first()
        if self.resumed:
            self.save_config_kwargs = {"overwrite": True}
            if first:
                self._hold(self.resumed)
            name, version = self.resumed.parent.name, self.resumed.name
            number = version.removeprefix("version_")
            return WholeCSVLogger(self.resumed.parent.parent, name, int(number) if number.isdecimal() else version)
        if not first:  # the first process tells where
            return WholeCSVLogger(root, self.name)
        lowest = self.runs.claim(self.name) if self.runs else 0
        self.claimed = next_folder(root / self.name, "version_", lowest)
        self._hold(self.claimed)
        return WholeCSVLogger(root, self.name, int(self.claimed.name.removeprefix("version_")))

    def _checkpoint(self, config: Namespace) -> Path | None:
        """Return the checkpoint to begin with, if there is one."""
        given, command = config.get("ckpt_path"), self.command_line.command
        found = checkpoint_of(given, command, self.name, self.runs, runs_folder(config)) if given else None
        config.ckpt_path = found  # none of auto, where no run is to go on with
        return found

    def _recipe(self) -> dict[str, Any]:
        """Return the model and data sections and where training ends, as plain types, for the checkpoints."""
        config = self.plain_config()
        training = {section: {key: config[section][key] for key in keys} for section, keys in ENDING.items()}
        return {"name": self.name, "model": config["model"], "data": config["data"], "training": training}

    def _hold(self, run: Path) -> None:
        """Lock the run directory while this process lives: two that write there would destroy each other's work."""
        lock = hold(run, LOCK)
        if lock is None:
            raise UserError(
                f"Another process is training in {run}. Wait for it or stop it; or train anew, without ckpt_path."
            )
        self.lock = lock
        remove_unfinished(run)

    def _free_pixels(self) -> None:
        """Take the images off a GPU; whatever asks for them again puts them there again."""
        if "datamodule" in self.__dict__:
            self.datamodule.resident = None
            torch.cuda.empty_cache()

    def _let_go(self) -> None:
        """Release the run directory and the pixels; a run that failed before it wrote anything leaves nothing."""
        self._free_pixels()
        if self.lock:
            self.lock.release()
        if self.claimed and self.claimed.is_dir() and {path.name for path in self.claimed.iterdir()} <= {LOCK}:
            shutil.rmtree(self.claimed)
            if self.runs:
                self.runs.release(self.claimed)


def _batch_size(interface: CommandLineInterface) -> int | None:
    """Return ``data.batch_size``, where the command line has been read that far."""
    config = getattr(interface, "config", {}).get(interface.command_line.command)
    size = config.get("data.init_args.batch_size") if config else None
    return size if isinstance(size, int) else None


def runs_folder(config: Namespace) -> Path:
    """Return the folder that holds one folder of runs a model."""
    given = config.trainer.get("default_root_dir") or "runs"
    return local_runs(given) if is_url(given) else Path(given)
