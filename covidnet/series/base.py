"""Several runs in one directory, one after the other: claimed, locked, resumed, told on Ctrl-C."""

import json
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytorch_lightning as pl
from filelock import FileLock

from covidnet.__version__ import __version__
from covidnet.errors import UserError
from covidnet.files.reading import LONGEST_YAML, keep_names, parse_yaml, read_text
from covidnet.machine.device import freed_afterwards
from covidnet.machine.telling import quiet
from covidnet.runs.claim import hold, newest_of, next_folder
from covidnet.runs.documents import read_json
from covidnet.runs.files import LAST, RESULTS, SEED, write_results
from covidnet.runs.members import record_of
from covidnet.runs.remote import refuse_store
from covidnet.runs.screen import Tally, found_told, screen
from covidnet.training.args import COMMANDS, NAMES, SHOWING, CommandLine, program
from covidnet.training.interface import AfterRun, CommandLineInterface, runs_folder
from covidnet.training.lightning import WholeCSVLogger
from covidnet.training.parser import is_inline
from covidnet.training.processes import started

ONE_RUN = (
    "Give trainer.devices=1 without trainer=ddp or torchrun; several processes are for the command run, one seed and "
    "one split at a time."
)


class Part(NamedTuple):
    """One run of a series: its number and, where each number has runs with several seeds, its seed."""

    number: int
    seed: int | None = None


class Kind(NamedTuple):
    """How a series and its runs are called: run K of ``repeat`` lies in ``runs/<model>/repeat_N/seed_K``."""

    command: str
    member: str

    @property
    def option(self) -> str:
        """The key that says which runs."""
        return f"{self.member}s"

    @property
    def record(self) -> str:
        """The file that tells of all runs."""
        return f"{self.command}.json"

    @property
    def lock(self) -> str:
        """The file that is locked while a series is under way, so that no other goes on in its directory."""
        return f"{self.command}.lock"

    def name(self, part: Part) -> str:
        """Return the name of a run's directory."""
        name = f"{self.member}_{part.number}"
        return name if part.seed is None else f"{name}_{SEED}{part.seed}"


class Series(CommandLineInterface, ABC):
    """A command that parses as ``run`` does, then runs several times, each in a directory of its own.

    It goes on in the newest directory of the same recipe where that lacks one of the runs, and begins a new one else. A
    run is finished when its results.json is there; an unfinished one goes on from its last whole epoch.
    """

    kind: ClassVar[Kind]
    numbers: list[int]  # that were asked for, known before the first run begins

    def __init__(self, line: CommandLine, afterwards: AfterRun | None = None) -> None:
        super().__init__(replace(line, command="run"), afterwards)

    @property
    def parts(self) -> list[Part]:
        """The runs that were asked for, in their order: one a number, if nothing else is said."""
        return [Part(number) for number in self.numbers]

    def prepare(self, folder: Path) -> None:  # most have nothing to write
        """Write what all runs of the series in ``folder`` share."""

    @abstractmethod
    def run_one(self, line: CommandLine, run: Path, part: Part) -> None:
        """Do one run of the series in the directory ``run``, which may hold an unfinished one."""

    def about(self, part: Part) -> str:
        """Return what the line of a run says of it besides."""
        return ""

    @abstractmethod
    def summary(self, folder: Path, runs: Sequence[Path]) -> dict[str, Any]:
        """Return what the record says of the finished runs."""

    @abstractmethod
    def show(self, summary: Mapping[str, Any], folder: Path) -> None:
        """Print the table of all runs."""

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        """Build the parser of ``run`` under our own name."""
        super().setup_parser(*args, **kwargs)
        command, option = self.kind.command, self.kind.option
        parser = self.command_parser("run")
        parser.usage = f"{program()} {command} [{option}=...] [group=name ...] [key=value ...]"
        parser.description = f"{COMMANDS[command].text[0].upper()}{COMMANDS[command].text[1:]}."

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Parse what was typed and refuse what is no series of whole runs in one process."""
        super().parse_arguments(parser, args)
        config = self.config["run"]
        command, member = self.kind
        if config.get("ckpt_path"):
            raise UserError(f"{command} trains each {member} from the beginning: leave ckpt_path out, or use run.")
        refuse_store(self.runs, command)
        if config.trainer.fast_dev_run:
            raise UserError(f"{command} needs whole runs: leave trainer.fast_dev_run out, or use run.")
        refuse_processes(started()[1], f"{command} trains")

    def instantiate_classes(self) -> None:
        """Leave data, model and trainer to each run."""

    def recipe(self) -> dict[str, Any]:
        """Return, as plain types, what must be the same for a series to go on."""
        own = (self.kind.option, *SHOWING)
        settings = {key: value for key, value in self.plain_config().items() if key not in own}
        return {"version": __version__, **settings}

    def how_to_go_on(self) -> str:
        return ""  # told for all runs together

    def seed(self) -> None:
        """Leave the seed to each run."""

    def perform(self, command: str) -> None:
        recipe = self.recipe()
        folder, lock = self._claim(recipe)
        try:
            self.prepare(folder)
            self._run_lacking(folder)
            summary = self.summary(folder, [self._run(folder, part) for part in self.parts])
            write_results(folder / self.kind.record, {**summary, "recipe": recipe})
            self.show(summary, folder)
            if self.afterwards and record_of(folder):
                self.afterwards(self, folder)
        finally:
            lock.release()
            if not any(folder.glob(f"{self.kind.member}_*")):
                shutil.rmtree(folder)  # a series that failed before it trained leaves nothing

    def _claim(self, recipe: Mapping[str, Any]) -> tuple[Path, FileLock]:
        """Return the directory to go on in, or a new one, and its lock, which is held."""
        parent, prefix = runs_folder(self.config["run"]) / self.name, f"{self.kind.command}_"
        same = newest_of(parent, prefix, self.kind.record, recipe)
        if same and (self._lacking(same) or self._untold(same)):
            lock = hold(same, self.kind.lock)
            if lock:  # else the same command is at work there now
                return same, lock
        folder = next_folder(parent, prefix)
        lock = hold(folder, self.kind.lock)
        assert lock is not None  # nobody else knows of it yet
        write_results(folder / self.kind.record, {self.kind.option: self.numbers, "recipe": recipe})
        return folder, lock

    def _run_lacking(self, folder: Path) -> None:
        """Do the runs that lack results, in this process, one after the other."""
        line = self.command_line
        line = replace(
            line,
            environment=self._of_run(line.environment),
            configs=[self._config_of_run(config) for config in line.configs],
            settings=self._of_run(line.settings),
        )
        lacking = self._lacking(folder)
        total = len(self.parts)
        things = f"{self.kind.member}s" if total == len(self.numbers) else "runs"
        tally = Tally(total, total - len(lacking))
        names = {part: self._told(part) for part in self.parts}
        if tally.done:
            print(f"{tally.done} of {total} {things} are finished in {folder}; going on there.")
        screen().print(f"{total} {things} in {folder}; the balanced accuracy of each:", markup=False)
        try:
            for part in lacking:
                run = self._run(folder, part)
                name = names[part].ljust(max(map(len, names.values())))
                last = run / "checkpoints" / LAST
                if last.is_file():
                    going_on = replace(line, settings=[*line.settings, f"--ckpt_path={last}"])
                else:
                    going_on = line
                    shutil.rmtree(run, ignore_errors=True)
                with freed_afterwards(), quiet() if tally.done else nullcontext():
                    self.run_one(going_on, run, part)
                found = found_told(read_json(run / RESULTS))
                screen().print(tally.finished(name, found, self.about(part)), markup=False)
        except BaseException:  # a mistake, a crash, Ctrl-C: whatever ended it, the user must know what is kept
            if tally.done:
                kept = f"{tally.done} of {total} {things} are finished and kept in {folder}."
                again = replace(self.command_line, command=self.kind.command).again()
                print(f"{kept} The same command goes on there:\n  {again}", file=sys.stderr)
            raise

    def _lacking(self, folder: Path) -> list[Part]:
        return [part for part in self.parts if not (self._run(folder, part) / RESULTS).is_file()]

    def _untold(self, folder: Path) -> bool:
        """Tell whether the record lacks a run, as where the command ended between the last run and its table."""
        told = read_json(folder / self.kind.record).get("runs", [])
        return not {self.kind.name(part) for part in self.parts} <= {*told}

    def _told(self, part: Part) -> str:
        """Return how the line of a run calls it."""
        seeded = "" if part.seed is None else f", seed {part.seed}"
        return f"{self.kind.member} {part.number}{seeded}"

    def _run(self, folder: Path, part: Part) -> Path:
        return folder / self.kind.name(part)

    def _of_run(self, options: Sequence[str]) -> list[str]:
        """Return the options without those that are keys of the series alone."""
        return [option for option in options if option.removeprefix("--").partition("=")[0] not in self._own_keys]

    def _config_of_run(self, config: str) -> str:
        """Return a ``--config``, which has been read before, without keys of the series alone."""
        text = config if is_inline(config) else read_text(Path(config), LONGEST_YAML)
        content = parse_yaml(keep_names(text, NAMES))
        kept = {key: value for key, value in content.items() if key not in self._own_keys}
        return config if kept == content else json.dumps(kept, default=str)

    @property
    def _own_keys(self) -> set[str]:
        return {*COMMANDS[self.kind.command].keys}.difference(COMMANDS["run"].keys)


class SeriesRun(CommandLineInterface):
    """``run`` in the directory ``run`` of a series; ``command`` is that of the series, for a message."""

    alone = False

    def __init__(self, line: CommandLine, afterwards: AfterRun | None, run: Path, command: str) -> None:
        self.folder, self.series = run, command
        self.title = run.name.replace("_", " ")
        super().__init__(line, afterwards)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        trainer = super().instantiate_trainer(**kwargs)
        refuse_processes(trainer.world_size, f"{self.series} trains")
        return trainer

    def how_to_go_on(self) -> str:
        return ""  # the series tells

    def run_logger(self, root: Path) -> WholeCSVLogger:
        if self.resumed:
            return super().run_logger(root)
        self.claimed = self.folder
        self.claimed.mkdir()
        return WholeCSVLogger(root, f"{self.name}/{self.folder.parent.name}", self.folder.name)


def refuse_processes(number: int, what: str, instead: str = ONE_RUN) -> None:
    """Refuse more than one process a training, before anything trains."""
    if number > 1:
        raise UserError(f"{what} in one process, but {number} were asked for. {instead}")
