"""Joins data, model and trainer: the one place where they meet."""

import faulthandler
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from jsonargparse import Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from covidnet.args import TRAINING, CommandLine, exit_with, expand, program
from covidnet.checkpoints import find_checkpoint, read_recipe, recipe_layer, refuse_changes, run_directory
from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError
from covidnet.faults import explain
from covidnet.memory import keep_freed_memory
from covidnet.models.classifier import Classifier
from covidnet.parser import CommandParser, check_config
from covidnet.record import AppendingCSVLogger, RunRecord
from covidnet.trainer import Trainer

ENDING = {"trainer": ("max_epochs",), "early_stopping": ("patience", "min_delta")}  # what tells when training ends
TERMINATED = 128 + 15  # the exit code after SIGTERM, as shells count it
SKIPPED = {"model", "datamodule", "dataloaders", "train_dataloaders", "val_dataloaders"}


class CommandLineInterface(LightningCLI):
    """LightningCLI over a sorted command line: defaults, groups and a checkpoint's recipe lie below what was typed."""

    model: Classifier
    datamodule: RadiographyDataModule
    trainer: Trainer

    def __init__(self, command_line: CommandLine) -> None:
        self.command_line = command_line
        self.resumed: Path | None = None  # the run directory that training goes on in
        self.claimed: Path | None = None  # the run directory that was made for this run
        self.name = command_line.groups["model"]  # of the run's folder
        command_parser = {
            "default_config_files": [str(path) for path in command_line.layers],
            "usage": f"{program()} {command_line.command} [group=name ...] [key=value ...]",
        }
        try:
            super().__init__(
                Classifier,
                RadiographyDataModule,
                trainer_class=Trainer,
                subclass_mode_model=True,
                subclass_mode_data=True,
                seed_everything_default=28,
                parser_class=CommandParser,
                parser_kwargs={"allow_abbrev": False, command_line.command: {"allow_abbrev": False, **command_parser}},
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
            )
        except Exception as error:
            mistake = explain(_user_error(error) or error, self._batch_size(), self._how_to_go_on())
            if mistake is None:
                raise
            raise mistake from error
        finally:
            if self.claimed and not any(self.claimed.iterdir()):
                self.claimed.rmdir()  # a run that failed before it wrote anything leaves nothing

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
        parser.add_argument("--tensorboard", type=bool, default=False, help="Write TensorBoard files too.")
        if self.command_line.command == "run":
            parser.add_argument("--report", type=bool, default=True, help="Write report.html and model_card.md.")
            parser.add_argument("--shortcuts", type=bool, default=False, help="Do the lungs test: train twice more.")
        parser.link_arguments("data.init_args.image_size", "model.init_args.image_size")
        parser.link_arguments("data.num_classes", "model.init_args.num_classes", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what was typed, over the recipe of a checkpoint where one is given."""
        for file in self.command_line.configs:
            check_config(Path(file))
        self.config = parser.parse_args(self.command_line.argv)
        command, *typed = self.command_line.argv
        config = self.config[command]
        if config.get("ckpt_path"):
            checkpoint = find_checkpoint(config.ckpt_path, runs_folder(config), self.name)
            recipe = read_recipe(checkpoint)
            layer = recipe_layer(recipe, checkpoint, self.command_line)
            self.config = parser.parse_args([command, f"--config={json.dumps(layer)}", *typed])
            self.config[command].ckpt_path = str(checkpoint)
            refuse_changes(self.config[command].as_dict(), recipe, self.command_line)
            self.name = recipe["name"]
            if command in TRAINING:
                self.resumed = run_directory(checkpoint)
        elif command not in TRAINING:
            raise UserError(
                f"{self.command_line.command} needs the checkpoint to use: ckpt_path=FILE, or ckpt_path=last. "
                "Without one it would measure random weights."
            )
        self._check_processes()
        self._check_monitors()

    def _batch_size(self) -> int | None:
        """Return ``data.batch_size``, where the command line has been read that far."""
        config = getattr(self, "config", {}).get(self.command_line.command)
        size = config.get("data.init_args.batch_size") if config else None
        return size if isinstance(size, int) else None

    def _how_to_go_on(self) -> str:
        """Return what ends the message of a fault that a training may outlive."""
        trains = self.command_line.command in TRAINING
        return " Then the same command with ckpt_path=auto goes on from the last whole epoch." if trains else ""

    def _parse_ckpt_path(self) -> None:
        """Leave out Lightning's own restoring of the model's configuration, which overrides what was typed."""

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the trainer with our run directory, whatever loggers the user adds to it."""
        config = self.config_init[self.command_line.command]
        given = config.trainer.get("logger")
        others: list[Logger] = given if isinstance(given, list) else [given] if isinstance(given, Logger) else []
        logger = self._logger(runs_folder(config))
        loggers: list[Logger] = [logger, *others]
        if config.tensorboard:
            loggers.append(TensorBoardLogger(logger.save_dir, name=logger.name, version=logger.version))
        self.trainer_defaults = {"callbacks": [RunRecord(self._recipe())]}
        try:
            precision = config.trainer.get("precision") or default_precision(config.trainer.accelerator)
            trainer = super().instantiate_trainer(logger=loggers, precision=precision, **kwargs)
        except (MisconfigurationException, ValueError) as error:
            raise UserError(f"The trainer's keys do not go together, or not with this machine: {error}") from error
        if config.get("shortcuts") and trainer.world_size > 1:  # the others would wait for rank 0 for ever
            raise UserError(
                f"shortcuts=true trains in one process, but this run takes {trainer.world_size}. Leave it out, and do "
                "the lungs test when the run is done: covidnet shortcuts RUN."
            )
        return trainer

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Leave out Lightning's own table of a test: ours says more."""
        arguments = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "test" and "verbose" not in self.command_line.typed_keys():
            arguments["verbose"] = False
        return arguments

    def after_run(self) -> None:
        """Do the lungs test where it was asked for, and write the report and the model card."""
        config, folder = self.config_init["run"], self.trainer.run_directory
        if self.trainer.fast_dev_run or not self.trainer.is_global_zero:  # type: ignore[attr-defined]
            return
        if config.shortcuts:
            from covidnet.shortcuts import test_lungs  # it runs command lines itself

            test_lungs(folder)
        if config.report:
            from covidnet.report.card import write_card  # plots take a second to import
            from covidnet.report.page import write_report

            print(write_report(folder))
            print(write_card(folder))

    def after_test(self) -> None:
        """Write and print what the test found."""
        checkpoint = Path(self.config_init[self.command_line.command].ckpt_path)
        self.trainer.report_test(self.model, self.datamodule, checkpoint)

    def _logger(self, root: Path) -> AppendingCSVLogger:
        if self.resumed:
            self.save_config_kwargs = {"overwrite": True}
            name, version = self.resumed.parent.name, self.resumed.name
            number = version.removeprefix("version_")
            return AppendingCSVLogger(self.resumed.parent.parent, name, int(number) if number.isdecimal() else version)
        logger = AppendingCSVLogger(root, self.name)
        if getattr(rank_zero_only, "rank", 0) == 0:
            self.claimed = _claim(logger)
        return logger

    def _recipe(self) -> dict[str, Any]:
        """Return the model and data sections and where training ends, as plain types, for the checkpoints."""
        self._dump_config()
        config = self.config_dump
        training = {section: {key: config[section][key] for key in keys} for section, keys in ENDING.items()}
        return {"name": self.name, "model": config["model"], "data": config["data"], "training": training}

    def _check_processes(self) -> None:
        """Refuse copies that torchrun started and the trainer would not join: each would train alone."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        config = self.config[self.command_line.command].trainer
        if world > 1 and (config.strategy == "auto" or (str(config.devices) == "1" and config.num_nodes == 1)):
            raise UserError(
                f"{world} processes were started (WORLD_SIZE={world}), but trainer.devices={config.devices} and "
                f"trainer.num_nodes={config.num_nodes} ask for one. Add trainer=ddp, trainer.devices=<processes a "
                "machine> and trainer.num_nodes=<machines>, or start it without torchrun."
            )

    def _check_monitors(self) -> None:
        config = self.config[self.command_line.command]
        for key in ("early_stopping", "checkpoint"):
            if "accuracy" in str(config[key].monitor) and config[key].mode == "min":
                raise UserError(f"{key}.monitor={config[key].monitor} is better when higher: add {key}.mode=max.")


def main(args: Sequence[str] | None = None) -> CommandLineInterface:
    """Run a command line in this process, ``sys.argv`` by default; return what it built.

    Raises:
        SystemExit: With code 2 for a user's mistake, after one message on stderr.
    """
    try:
        command_line = expand(sys.argv[1:] if args is None else args, os.environ)
    except UserError as error:
        exit_with(error)
    return run_command_line(command_line)


def run_command_line(command_line: CommandLine) -> CommandLineInterface:
    """Run a sorted command line; what is known to go wrong ends in one message and its own exit code."""
    faulthandler.enable()  # a disk that goes while its files are mapped ends a process without a word
    _quieten()
    keep_freed_memory()
    interface = CommandLineInterface
    if command_line.command == "repeat":
        from covidnet.repeat import Repetition  # which stands above this module

        interface = Repetition
    elif command_line.command == "loso":
        from covidnet.loso import LeaveSourcesOut  # so does this

        interface = LeaveSourcesOut
    try:
        return interface(command_line)
    except ValueError as error:
        mistake = _user_error(error)
        if mistake is None:
            raise
        exit_with(mistake)
    except SIGTERMException:  # a SystemExit without a code, which would look like success
        print(
            "Terminated. What is finished is kept; ckpt_path=last goes on from the last whole epoch.", file=sys.stderr
        )
        sys.exit(TERMINATED)
    except KeyboardInterrupt:  # before Lightning took over: while images were drawn or decoded
        print("Interrupted. What is finished is kept.", file=sys.stderr)
        sys.exit(130)


def default_precision(accelerator: str) -> str:
    """Return mixed bfloat16 for a GPU that computes in it, else float32."""
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"


def runs_folder(config: Namespace) -> Path:
    """Return the folder that holds one folder of runs a model."""
    return Path(config.trainer.get("default_root_dir") or "runs")


def _quieten() -> None:
    """Drop what the user can do nothing about: an advertisement, and Lightning's warnings of what we mean to do."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_is_no_advertisement)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", module="pytorch_lightning.*")
    # As meant: a test has a run directory of its own, and a resumed run goes on in one that holds checkpoints.
    warnings.filterwarnings("ignore", message="The dirpath has changed")
    warnings.filterwarnings("ignore", message=".*exists and is not empty")


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return "litlogger" not in record.getMessage()


def _claim(logger: AppendingCSVLogger) -> Path:
    """Make the run's directory now, so that a run started at the same moment takes the next number."""
    while True:
        folder = Path(logger.log_dir)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            logger._version = int(folder.name.rpartition("_")[2]) + 1
        else:
            return folder


def _user_error(error: BaseException | None) -> UserError | None:
    """Return the user's mistake behind ``error``; jsonargparse wraps what a constructor raises."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error
