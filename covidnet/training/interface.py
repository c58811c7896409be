"""Joins data, model and trainer: the one place where they meet."""

import faulthandler
import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from io import UnsupportedOperation
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch
from filelock import FileLock, Timeout
from jsonargparse import Namespace
from lightning_fabric.plugins.io import TorchCheckpointIO
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError, did_you_mean, exit_with
from covidnet.files.store import is_url
from covidnet.files.whole import remove_unfinished
from covidnet.machine.faults import explain
from covidnet.machine.memory import keep_freed_memory
from covidnet.models.classifier import METRICS, Classifier
from covidnet.runs.checkpoint import find_checkpoint, read_recipe, run_directory
from covidnet.runs.files import LAST, counted_tests
from covidnet.runs.remote import RunStore, bring_checkpoint, local_runs, run_store, store_of, store_to_go_on
from covidnet.runs.trust import limit_names
from covidnet.training.args import TRAINING, CommandLine, expand, program
from covidnet.training.lightning import SignalConnector, WholeCheckpoints, WholeCSVLogger, last_checkpoint
from covidnet.training.parser import CommandParser, check_config
from covidnet.training.processes import end_with_parent, lost_another, started, terminated
from covidnet.training.record import RunRecord
from covidnet.training.resume import ENDING, recipe_layer, refuse_changes
from covidnet.training.trainer import Trainer
from covidnet.training.write_back import WriteBack

INTERRUPTED, TERMINATED = 128 + 2, 128 + 15  # the exit codes after SIGINT and SIGTERM, as shells count them
LOCK = ".lock"  # is held in a run directory while a run writes there
WRONG_VALUES = (MisconfigurationException, ValueError, TypeError, ArithmeticError, ImportError)  # of constructors
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
        self.lock: FileLock | None = None  # of the run directory
        self.name = command_line.groups["model"]  # of the run's folder
        self.runs: RunStore | None = None  # the object store that the run is sent to
        limit_names(command_line.typed_keys().values())
        for file in command_line.configs:
            check_config(Path(file))
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
            self._send()
        except Exception as error:
            mistake = explain(_user_error(error) or error, self._batch_size(), self._how_to_go_on())
            if mistake is None:
                raise
            raise mistake from error
        finally:
            if self.lock:
                self.lock.release()
            if self.claimed and {path.name for path in self.claimed.iterdir()} <= {LOCK}:
                shutil.rmtree(self.claimed)  # a run that failed before it wrote anything leaves nothing
                if self.runs:
                    self.runs.release(self.claimed)

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
        self.config = parser.parse_args(self.command_line.argv)
        command, *typed = self.command_line.argv
        config = self.config[command]
        self._check_sections()
        self.runs = run_store(config.trainer.get("default_root_dir"))
        checkpoint = self._checkpoint(config)
        if checkpoint:
            recipe = read_recipe(checkpoint)
            layer = recipe_layer(recipe, checkpoint, self.command_line)
            self.config = parser.parse_args([command, f"--config={json.dumps(layer)}", *typed])
            self.config[command].ckpt_path = str(checkpoint)
            refuse_changes(self.config[command].as_dict(), recipe, self.command_line)
            self.name = recipe["name"]
            if command in TRAINING:
                self.resumed = run_directory(checkpoint)
                self.runs = store_to_go_on(self.resumed, self.runs)
        elif command not in TRAINING:
            raise UserError(
                f"{self.command_line.command} needs the checkpoint to use: ckpt_path=FILE, or ckpt_path=last. "
                "Without one it would measure random weights."
            )
        self._check_processes()
        self._check_monitors()

    def _checkpoint(self, config: Namespace) -> Path | None:
        """Return the checkpoint to begin with, if there is one."""
        given, command = config.get("ckpt_path"), self.command_line.command
        if not given:
            return None
        if given == "auto" and command not in TRAINING:
            raise UserError(f"ckpt_path=auto is for run and fit; {command} needs ckpt_path=FILE, or ckpt_path=last.")
        given = bring_checkpoint(given, self.name, self.runs)
        checkpoint = find_checkpoint(given, runs_folder(config), self.name)
        if checkpoint is None:
            config.ckpt_path = None  # auto, and no run to go on with
        return checkpoint

    def _batch_size(self) -> int | None:
        """Return ``data.batch_size``, where the command line has been read that far."""
        config = getattr(self, "config", {}).get(self.command_line.command)
        size = config.get("data.init_args.batch_size") if config else None
        return size if isinstance(size, int) else None

    def _how_to_go_on(self) -> str:
        """Return what ends the message of a fault that a training may outlive."""
        run = self.resumed or self.claimed
        kept = run and (run / "checkpoints" / LAST).is_file()
        return " Then the same command with ckpt_path=auto goes on from the last whole epoch." if kept else ""

    def _parse_ckpt_path(self) -> None:
        """Leave out Lightning's own restoring of the model's configuration, which overrides what was typed."""

    def instantiate_classes(self) -> None:
        """Build data, model and trainer; what their constructors refuse is the user's to mend."""
        try:
            super().instantiate_classes()
        except WRONG_VALUES as error:
            reason = str(_user_error(error) or error)
            raise UserError(reason if _user_error(error) else f"A key has a value that cannot be: {reason}") from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the trainer with our run directory, whatever loggers the user adds to it."""
        config = self.config_init[self.command_line.command]
        given = config.trainer.get("logger")
        others: list[Logger] = given if isinstance(given, list) else [given] if isinstance(given, Logger) else []
        logger = self._logger(runs_folder(config))
        loggers: list[Logger] = [logger, *others]
        if config.tensorboard:
            loggers.append(TensorBoardLogger(logger.save_dir, name=logger.name, version=logger.version))
        write_back = [WriteBack(self.runs)] if self.runs else []  # before an epoch is seeded
        self.trainer_defaults = {"callbacks": [*write_back, RunRecord(self._recipe(), logger), last_checkpoint()]}
        if is_url(config.trainer.get("default_root_dir")):
            kwargs["default_root_dir"] = str(runs_folder(config))  # Lightning would look into the store by itself
        try:
            precision = config.trainer.get("precision") or default_precision(config.trainer.accelerator)
            trainer = super().instantiate_trainer(logger=loggers, precision=precision, **kwargs)
        except WRONG_VALUES as error:
            raise UserError(f"The trainer's keys do not go together, or not with this machine: {error}") from error
        trainer._signal_connector = SignalConnector(trainer)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpoints()
        if config.get("shortcuts") and trainer.world_size > 1:  # the others would wait for rank 0 for ever
            raise UserError(
                f"shortcuts=true trains in one process, but this run takes {trainer.world_size}. Leave it out, and do "
                "the lungs test when the run is done: covidnet shortcuts RUN."
            )
        return trainer

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Leave out Lightning's own table of a test: ours says more."""
        arguments = super()._prepare_subcommand_kwargs(subcommand)
        arguments["weights_only"] = True  # whatever a configuration asks for: no checkpoint runs code
        if subcommand == "test" and "verbose" not in self.command_line.typed_keys():
            arguments["verbose"] = False
        return arguments

    def after_run(self) -> None:
        """Do the lungs test where it was asked for, and write the report and the model card."""
        config, folder = self.config_init["run"], self.trainer.run_directory
        if self.trainer.fast_dev_run or not self.trainer.is_global_zero:  # type: ignore[attr-defined]
            return
        if config.shortcuts:
            from covidnet.evidence.lungs_test import test_lungs  # it runs command lines itself

            test_lungs(folder)
        if config.report:
            from covidnet.report.card import write_card  # plots take a second to import
            from covidnet.report.page import write_report

            print(write_report(folder))
            print(write_card(folder))

    def before_run(self) -> None:
        """Find out before hours of training whether its test can be counted."""
        if self.resumed:
            counted_tests(self.resumed)

    def before_test(self) -> None:
        """Find out before the test whether it can be counted."""
        run = run_directory(Path(self.config_init[self.command_line.command].ckpt_path))
        if run:
            counted_tests(run)

    def after_test(self) -> None:
        """Write and print what the test found."""
        checkpoint = Path(self.config_init[self.command_line.command].ckpt_path)
        self.trainer.report_test(self.model, self.datamodule, checkpoint)

    def _send(self) -> None:
        """Send the rest of the run to its store, and a new count of tests to that of the tested run."""
        if "trainer" not in self.__dict__ or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        folder = self.trainer.run_directory  # asked for by all processes
        if not self.trainer.is_global_zero:
            return
        if self.runs:
            self.runs.send_at_end(folder)
        ckpt_path = self.config_init[self.command_line.command].get("ckpt_path")
        tested = run_directory(Path(ckpt_path)) if ckpt_path and not self.resumed else None
        home = store_of(tested) if tested else None
        if home and tested:
            home.send_at_end(tested)

    def _logger(self, root: Path) -> WholeCSVLogger:
        if self.resumed:
            self.save_config_kwargs = {"overwrite": True}
            self._hold(self.resumed)
            name, version = self.resumed.parent.name, self.resumed.name
            number = version.removeprefix("version_")
            return WholeCSVLogger(self.resumed.parent.parent, name, int(number) if number.isdecimal() else version)
        logger = WholeCSVLogger(root, self.name)
        if getattr(rank_zero_only, "rank", 0) == 0:
            if self.runs:
                logger._version = self.runs.claim(self.name)
            self.claimed = _claim(logger)
            self._hold(self.claimed)
        return logger

    def _hold(self, run: Path) -> None:
        """Lock the run directory while this process lives: two that write there would destroy each other's work."""
        if getattr(rank_zero_only, "rank", 0) != 0:
            return
        lock = FileLock(run / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"Another process is training in {run}. Wait for it or stop it; or train anew, without ckpt_path."
            ) from None
        self.lock = lock
        remove_unfinished(run)

    def _recipe(self) -> dict[str, Any]:
        """Return the model and data sections and where training ends, as plain types, for the checkpoints."""
        self._dump_config()
        config = self.config_dump
        training = {section: {key: config[section][key] for key in keys} for section, keys in ENDING.items()}
        return {"name": self.name, "model": config["model"], "data": config["data"], "training": training}

    def _check_sections(self) -> None:
        """Refuse a file that puts something else in the place of keys, which the parser lets through."""
        for section in ("trainer", "early_stopping", "checkpoint"):
            value = self.config[self.command_line.command][section]
            if not isinstance(value, Namespace):
                raise UserError(f"{section}={value!r} must be keys with values, such as {section}.KEY=VALUE.")

    def _check_processes(self) -> None:
        """Refuse copies that torchrun started and the trainer would not join: each would train alone."""
        name, world = started()
        config = self.config[self.command_line.command].trainer
        if world > 1 and (config.strategy == "auto" or (str(config.devices) == "1" and config.num_nodes == 1)):
            raise UserError(
                f"{world} processes were started ({name}={world}), but trainer.devices={config.devices} and "
                f"trainer.num_nodes={config.num_nodes} ask for one. Add trainer=ddp, trainer.devices=<processes a "
                "machine> and trainer.num_nodes=<machines>, or start it without torchrun or srun."
            )

    def _check_monitors(self) -> None:
        config = self.config[self.command_line.command]
        known = [f"{stage}_{metric}" for stage in ("val", "train") for metric in METRICS]
        own = str(config.model.get("class_path")).startswith("covidnet.")  # another may log more
        for key in ("early_stopping", "checkpoint"):
            monitor = config[key].monitor
            if own and monitor is not None and monitor not in known:
                raise UserError(
                    f"{key}.monitor={monitor} is not measured: give one of {', '.join(known)}."
                    f"{did_you_mean(str(monitor), known)}"
                )
            stage = str(monitor).partition("_")[0]
            if config.trainer.get(f"limit_{stage}_batches") == 0:
                raise UserError(
                    f"{key}.monitor={monitor} is not measured with trainer.limit_{stage}_batches=0: change one of them."
                )
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
    with suppress(UnsupportedOperation):  # of a stderr that is no file
        faulthandler.enable()  # a disk that goes while its files are mapped ends a process without a word
    _quieten()
    keep_freed_memory()
    end_with_parent()
    interface = CommandLineInterface
    if command_line.command == "repeat":
        from covidnet.series.repeat import Repetition  # which stands above this module

        interface = Repetition
    elif command_line.command == "loso":
        from covidnet.series.loso import LeaveSourcesOut  # so does this

        interface = LeaveSourcesOut
    elif command_line.command == "search":
        interface = _search()
    try:
        return interface(command_line)
    except MisconfigurationException as error:  # in the middle of training, too
        exit_with(f"The keys do not go together: {error}")
    except ValueError as error:
        mistake = _user_error(error)
        if mistake is None:
            raise
        exit_with(mistake)
    except SIGTERMException:  # a SystemExit without a code, which would look like success
        _end_terminated()
    except KeyboardInterrupt:  # before Lightning took over: while images were drawn or decoded
        print("Interrupted. What is finished is kept.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):  # Lightning has told of it, and ends with 1
            sys.exit(INTERRUPTED)
        raise
    except Exception as error:
        if terminated():  # another process was told first, and is gone
            _end_terminated()
        if lost_another(error):
            print(
                "error: another process of this training has ended; its own message, if it left one, says why. What "
                "is finished is kept; ckpt_path=auto goes on from the last whole epoch.",
                file=sys.stderr,
            )
            sys.exit(1)
        raise


def default_precision(accelerator: str) -> str:
    """Return mixed bfloat16 for a GPU that computes in it, else float32."""
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"


def runs_folder(config: Namespace) -> Path:
    """Return the folder that holds one folder of runs a model."""
    given = config.trainer.get("default_root_dir") or "runs"
    return local_runs(given) if is_url(given) else Path(given)


def _search() -> type[CommandLineInterface]:
    """Return the command search, which needs libraries that the others do not."""
    try:
        from covidnet.series.search import Search  # which stands above this module
    except ImportError as error:
        exit_with(
            f"What searches is not installed ({error}): pip install 'covidnet[search]', then the same command again."
        )
    return Search


def _quieten() -> None:
    """Drop what the user can do nothing about: an advertisement, and Lightning's warnings of what we mean to do."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_is_no_advertisement)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", module="pytorch_lightning.*")
    # As meant: a test has a run directory of its own, and a resumed run goes on in one that holds checkpoints.
    warnings.filterwarnings("ignore", message="The dirpath has changed")
    warnings.filterwarnings("ignore", message=".*exists and is not empty")


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return "litlogger" not in record.getMessage()


def _claim(logger: WholeCSVLogger) -> Path:
    """Make the run's directory now, so that a run started at the same moment takes the next number."""
    while True:
        folder = Path(logger.log_dir)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            logger._version = int(folder.name.rpartition("_")[2]) + 1
        else:
            return folder


def _end_terminated() -> NoReturn:
    print("Terminated. What is finished is kept; ckpt_path=auto goes on from the last whole epoch.", file=sys.stderr)
    sys.exit(TERMINATED)


def _user_error(error: BaseException | None) -> UserError | None:
    """Return the user's mistake behind ``error``; jsonargparse wraps what a constructor raises."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error
