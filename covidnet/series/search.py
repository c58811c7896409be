"""The command ``search``: trials of other keys, judged by their validation, until the best configuration is known."""

import copy
import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.trial import Trial
from pytorch_lightning.cli import LightningArgumentParser

from covidnet.__version__ import __version__
from covidnet.errors import DivergedError, UserError, require
from covidnet.files.reading import parse_yaml
from covidnet.machine.device import freed_afterwards
from covidnet.machine.telling import quiet
from covidnet.runs.claim import newest_of, next_folder, recorded_recipe
from covidnet.runs.files import write_results
from covidnet.runs.remote import refuse_store
from covidnet.series.base import refuse_processes
from covidnet.series.outcome import RECORD, Outcome, listed, told
from covidnet.series.space import Space, corners, default_space, plain_space, read_space, space_size
from covidnet.series.study import SharedStudy, without_password
from covidnet.series.trial import DIVERGED, MEMORY, SHARED, TRIALS, Judge, TrialRun, out_of_memory
from covidnet.training.args import COMMANDS, SHOWING, CommandLine, program
from covidnet.training.interface import AfterRun, CommandLineInterface, runs_folder
from covidnet.training.parser import SUBCLASS_SECTIONS, CommandParser, add_own
from covidnet.training.processes import started
from covidnet.training.run_line import INTERRUPTED

CLAIM = ".search.lock"  # is held while a directory is taken
OPTIONS = ("trials", "space", "storage", "name", "prune")
POLL = 1.0  # seconds between two looks at what other processes do


class Search(CommandLineInterface):
    """The command ``search``: each trial is a ``fit`` in ``runs/<model>/search_N/trial_K``.

    Trials are judged by the best ``checkpoint.monitor`` of their validations; the test split is not evaluated. The same
    command goes on in the same directory, also from several processes at once, until as many distinct trials are
    finished as were asked for: whole, or ended early because they did badly.
    """

    def __init__(self, line: CommandLine, afterwards: AfterRun | None = None) -> None:
        super().__init__(replace(line, command="fit"), afterwards)

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        """Build the parser of ``fit`` under our own name."""
        super().setup_parser(*args, **kwargs)
        parser = self.command_parser("fit")
        parser.usage = f"{program()} search [trials=N] [space={{key: range}}] [group=name ...] [key=value ...]"
        parser.description = f"{COMMANDS['search'].text[0].upper()}{COMMANDS['search'].text[1:]}."

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what is tried, how often and where the trials are noted."""
        super().add_arguments_to_parser(parser)
        add_own(parser, "trials", int)
        add_own(parser, "space", dict[str, Any] | str | None)
        add_own(parser, "storage", str | None)
        add_own(parser, "name", str | None)
        add_own(parser, "prune", bool)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what was typed and refuse what cannot be searched, before anything trains."""
        super().parse_arguments(parser, args)
        config = self.config["fit"]
        self.trials, self.monitor, self.mode = config.trials, str(config.checkpoint.monitor), config.checkpoint.mode
        require(self.trials > 0, "trials", self.trials, "1 or more")
        name = config.name
        require(
            not name or bool(re.fullmatch(r"[A-Za-z][\w.-]*", name)), "name", name, "a letter, then letters or digits"
        )
        seed = config.seed_everything
        require(
            isinstance(seed, int) and not isinstance(seed, bool), "seed_everything", seed, "a number: trials share it"
        )
        if config.get("ckpt_path"):
            raise UserError("search trains each trial from the beginning: leave ckpt_path out.")
        refuse_store(self.runs, "search")
        if config.trainer.fast_dev_run:
            raise UserError("search needs whole trainings: leave trainer.fast_dev_run out.")
        if not self.monitor.startswith("val_"):
            raise UserError(
                f"checkpoint.monitor={self.monitor}: search judges trials by their validation. Give checkpoint.monitor="
                "val_loss, or val_accuracy with checkpoint.mode=max."
            )
        devices = config.trainer.devices
        devices = len(devices) if isinstance(devices, list) else int(devices) if str(devices).isdecimal() else 1
        refuse_processes(max(started()[1], devices * config.trainer.num_nodes), TRIALS, SHARED)
        command_parser = self.command_parser("fit")
        assert isinstance(command_parser, CommandParser)
        self.storage = without_password(config.storage) if config.storage else None
        self.space = self._space(config.space, command_parser.hints())
        self.plain = self._plain_config()

    def instantiate_classes(self) -> None:
        """Leave data, model and trainer to each trial."""

    def seed(self) -> None:
        """Leave the seed to each trial."""

    def _space(self, given: Any, hints: Mapping[str, Any]) -> Space:
        typed = self.command_line.typed_keys()
        if given is None:
            return default_space(hints, list(typed))
        space = read_space(given, hints)
        fixed = [key for key in space if key in typed]
        if fixed:
            raise UserError(
                f"{fixed[0]}={typed[fixed[0]]} is fixed, but space={{...}} tries it too: leave one of them out."
            )
        size = space_size(space)
        if size is not None and size < self.trials:
            raise UserError(
                f"The space has {size} combinations, but trials={self.trials}: give trials={size} or fewer."
            )
        return space

    def _plain_config(self) -> dict[str, Any]:
        """Return the configuration that all trials share, as plain types."""
        dumped = self.parser.dump(self.config, skip_unset=False, format="yaml")
        config: dict[str, Any] = parse_yaml(dumped)["fit"]
        return {key: value for key, value in config.items() if key not in OPTIONS}

    def with_parameters(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the whole configuration of a trial."""
        config = copy.deepcopy(self.plain)
        for name, value in params.items():
            section, _, key = name.partition(".")
            part = config[section]
            (part["init_args"] if section in SUBCLASS_SECTIONS else part)[key] = value
        return config

    def recipe(self) -> dict[str, Any]:
        """Return, as plain types, what must be the same for a search to go on."""
        prune = self.config["fit"].prune
        own = {"space": plain_space(self.space), "prune": prune, "storage": self.storage}
        plain = {key: value for key, value in self.plain.items() if key not in SHOWING}
        return {"version": __version__, **plain, **own}

    def perform(self, command: str) -> None:
        self._check_corners()
        recipe = self.recipe()
        folder = self._claim(recipe)
        config = self.config["fit"]
        known = json.dumps({**recipe, "storage": None}, sort_keys=True)
        name = config.name or f"{self.name}-{hashlib.sha256(known.encode()).hexdigest()[:12]}"
        options = {"seed": config.seed_everything, "prune": config.prune}
        try:
            study = SharedStudy(folder, config.storage, name, self.space, self.mode, **options)
        except BaseException:
            _remove_empty(folder)
            raise
        outcome = Outcome(study, self.monitor, self.mode, self.name, self.with_parameters)
        try:
            with quiet():
                self._do_trials(study, outcome)
            importance = study.importance()
            outcome.write(recipe, importance)
            outcome.show(importance)
        finally:
            study.close()

    def _check_corners(self) -> None:
        """Build data and model with both ends of each range and each choice: a mistake shows before the first trial."""
        for params in corners(self.space):
            config = self.with_parameters(params)
            if "pretrained" in config["model"]["init_args"]:
                config["model"]["init_args"]["pretrained"] = False  # weights from elsewhere cannot be out of range
            parsed = self.parser.parse_args(["fit", f"--config={json.dumps(config)}"])
            self.parser.instantiate_classes(parsed)

    def _claim(self, recipe: Mapping[str, Any]) -> Path:
        """Return the directory of this search, made where there is none of its recipe, or of its name."""
        config = self.config["fit"]
        parent = runs_folder(config) / self.name
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / CLAIM):  # two processes that begin at the same moment must take the same
            if config.name:
                folder = parent / f"search_{config.name}"
                if folder.exists() and recorded_recipe(folder / RECORD) != recipe:
                    raise UserError(f"{folder} holds a search of another recipe. Give another name=, or that recipe.")
            else:
                same = newest_of(parent, "search_", RECORD, recipe)
                folder = same or next_folder(parent, "search_")
            folder.mkdir(exist_ok=True)
            if not (folder / RECORD).exists():
                write_results(folder / RECORD, {"recipe": recipe})
        return folder

    def _do_trials(self, study: SharedStudy, outcome: Outcome) -> None:
        """Do trials until all are finished, here or in other processes."""
        finished = len(study.finished())
        if finished:
            print(
                f"{min(finished, self.trials)} of {self.trials} trials are finished in {study.folder}; going on there."
            )
        waiting = False
        try:
            while True:
                trial = study.claim(self.trials)
                if trial is not None:
                    with freed_afterwards():
                        self._do(trial, study, outcome)
                elif len(study.finished()) >= self.trials:
                    break
                elif not waiting:
                    waiting = True
                    print(
                        f"Other processes do the rest ({study.under_way()}); waiting for them, to go on where one dies."
                    )
                if trial is None:
                    time.sleep(POLL)
        except BaseException as ended:  # a mistake, a crash, Ctrl-C: whatever it was, the user must know what is kept
            kept = f"{len(study.finished())} of {self.trials} trials are finished and kept in {study.folder}."
            again = replace(self.command_line, command="search").again()
            print(f"{kept} The same command goes on there:\n  {again}", file=sys.stderr)
            if isinstance(ended, SystemExit) and isinstance(ended.__context__, KeyboardInterrupt):
                sys.exit(INTERRUPTED)  # Lightning ends with 1
            raise

    def _do(self, trial: Trial, study: SharedStudy, outcome: Outcome) -> None:
        """Train one trial and keep what it has found."""
        folder = study.directory(trial.number)
        print(f"Trial {trial.number}: {listed(trial.params)}", flush=True)
        judge = Judge(trial, self.monitor, better=min if self.mode == "min" else max)
        line = CommandLine("fit", self.command_line.groups, self.command_line.typed_groups)
        line.configs.append(json.dumps(self.with_parameters(trial.params)))
        began = time.perf_counter()
        try:
            try:
                TrialRun(line, folder, judge)
            except DivergedError:
                judge.ended = DIVERGED
            except Exception as error:
                if not out_of_memory(error):
                    raise
                judge.ended = MEMORY
            if not judge.values and not judge.ended:
                raise UserError(f"{self.monitor} was not measured, so trials cannot be judged by it.")
        except BaseException:
            study.give_up(trial)
            raise
        facts: dict[str, Any] = {"epochs": judge.epochs, "seconds": time.perf_counter() - began}
        if judge.ended:
            facts["ended"] = judge.ended
        study.finish(trial, None if judge.ended else judge.best, facts)
        outcome.write(self.recipe())
        best = study.finished()[0]
        found = f"{self.monitor} {told(judge.best)} in {judge.epochs} epochs"
        ended = f", ended early: {judge.ended}" if judge.ended else ""
        print(f"Trial {trial.number}: {found}{ended}. Best so far: trial {best.number}.", flush=True)


def _remove_empty(folder: Path) -> None:
    """Remove the directory of a search that could not begin."""
    if not any(folder.glob("trial_*")):
        shutil.rmtree(folder)
