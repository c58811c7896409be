"""``key=value`` and ``group=name`` -> options of the Lightning command line. Imports nothing heavy."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from covidnet.errors import UserError, did_you_mean
from covidnet.files.reading import keep_names, parse_yaml, read_text


@dataclass(frozen=True)
class Command:
    """A command that trains or tests: what it does, and its own keys, which stand in no section."""

    text: str
    keys: tuple[str, ...]


class Own(NamedTuple):
    """A key of commands: its default, and what it means."""

    default: Any
    text: str


OWN = {
    "seed_everything": Own(28, "Seed of weights, order of batches and dropout; data.seed is the split's."),
    "tensorboard": Own(False, "Write TensorBoard files too."),
    "ckpt_path": Own(None, "Checkpoint to test, or to go on from: a file, last (of the newest run), or auto."),
    "weights_only": Own(None, "No code runs in a checkpoint, whatever stands here."),
    "report": Own(True, "Write report.html and model_card.md."),
    "shortcuts": Own(False, "Do the lungs test: train twice more."),
    "seeds": Own(5, "How many seeds, counted from 0, or which ones: [3,5,8]. data.seed, the split's, stays."),
    "k": Own(5, "How many folds, 2 or more."),
    "crossval.seeds": Own(
        1, "How many seeds each fold has, counted from 0, or which ones: [3,5]. data.seed, the folds', stays."
    ),
    "folds": Own(None, "Which folds, from 1: [1,3]; all where left out."),
    "together": Own(True, "Each fold leaves out one source of every class; false: one source alone."),
    "trials": Own(20, "How many trials there are to be, in total."),
    "space": Own(
        None, "Keys and their ranges, or a YAML file of them: {model.dropout: [0.0, 0.6], data.augment: {choices: ...}}"
    ),
    "storage": Own(
        None, "URL of a database that several machines share; a file in the search's directory where left out."
    ),
    "name": Own(None, "Name of the search: its directory is search_<name>, and so it is called in the storage."),
    "prune": Own(True, "End trials early that do worse than the median."),
    "progress": Own("epochs", "What is shown of a training: a line for each epoch, Lightning's bar, or nothing."),
    "table": Own(False, "Print the table of all scores too."),
    "verbose": Own(False, "Print Lightning's own table too."),
}
_ALL = ("seed_everything", "tensorboard", "ckpt_path", "weights_only", "progress")
_RUN = (*_ALL, "report", "shortcuts", "table")
COMMANDS = {
    "run": Command("train, then test the final and the best model (the default)", _RUN),
    "repeat": Command(
        "run with several seeds, then show mean, standard deviation and range of each metric", (*_RUN, "seeds")
    ),
    "crossval": Command(
        "test each image once, by a model that has not seen it, then show all scores together",
        (*_RUN, "k", "folds", "seeds"),
    ),
    "loso": Command(
        "run with sources left out (hospitals, databases), then show the scores at sources that the model has not seen",
        (*_RUN, "folds", "together"),
    ),
    "search": Command(
        "try other keys, in parallel if you like, and write the best configuration; the test split stays unseen",
        (*_ALL, "trials", "space", "storage", "name", "prune"),
    ),
    "fit": Command("train only", _ALL),
    "validate": Command("measure a checkpoint on the validation split (needs ckpt_path)", (*_ALL, "verbose")),
    "test": Command("measure a checkpoint on the test split (needs ckpt_path)", (*_ALL, "verbose", "table")),
}
TRAINING = ("run", "fit")  # the commands that need no checkpoint
PROGRESS = ("epochs", "bar", "none")  # what is shown of a training: a line an epoch, Lightning's bar, nothing
SHOWING = ("progress", "table")  # keys that change what is shown, and nothing else
GROUPS = {
    "model": "convnet",
    "data": "radiography",
    "recipe": "tutorial",
    "trainer": "auto",
}  # group -> default; later groups win
SECTIONS = ("trainer", "model", "data", "early_stopping", "checkpoint")
ENVIRONMENT_PREFIX = "COVIDNET_"
# Of the data: their values are names, whatever YAML takes them for.
NAMES = ("classes", "header", "columns", "labels", "subgroups")
VALUELESS = ("--print_config",)
Help = Literal["", "keys", "all"]
_HELP: dict[str, Help] = {"-h": "keys", "--help": "keys", "help=all": "all", "--help=all": "all"}
SCRIPT = "train.py"  # which runs ``run`` where no command is typed

_PACKAGE = Path(__file__).parents[1]
# A wheel carries the configs inside the package; a clone has them beside it.
CONFIGS = next(folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir())


@dataclass(frozen=True)
class CommandLine:
    """What the user asked for, sorted by precedence: ``layers`` < ``environment`` < ``configs`` < ``settings``."""

    command: str
    groups: dict[str, str]  # every group's choice, defaults included
    typed_groups: frozenset[str]  # the groups that the user named
    environment: list[str] = field(default_factory=list)  # options from COVIDNET_... variables
    configs: list[str] = field(default_factory=list)  # --config files
    settings: list[str] = field(default_factory=list)  # single keys, as "--a.b=c" or flags
    help: Help = ""  # what is asked for instead: our own keys, or Lightning's too

    @property
    def layers(self) -> list[Path]:
        """The YAML files of defaults, lowest precedence first: ``default.yaml``, then one a group."""
        return [CONFIGS / "default.yaml", *(CONFIGS / group / f"{name}.yaml" for group, name in self.groups.items())]

    @property
    def argv(self) -> list[str]:
        """Arguments for the Lightning command line, which must itself load ``layers`` as defaults."""
        configs = [f"--config={path}" for path in self.configs]
        return [self.command, *self.environment, *configs, *self.settings, *(["--help"] if self.help else [])]

    def typed_keys(self) -> dict[str, str]:
        """Return the single keys that the user set (environment included) with their values as text."""
        pairs = (option.removeprefix("--").partition("=") for option in [*self.environment, *self.settings])
        return {key: value for key, _, value in pairs}

    def again(self, ckpt_path: object = None) -> str:
        """Return the command that asks for all this once more, to be copied; from a checkpoint where one is given."""
        groups = [f"{group}={name}" for group, name in self.groups.items() if group in self.typed_groups]
        configs = [f"--config={path}" for path in self.configs]
        kept = (one for one in self.settings if not (ckpt_path and one.startswith("--ckpt_path=")))
        settings = [one.removeprefix("--") if "=" in one else one for one in kept]
        begun = [f"ckpt_path={ckpt_path}"] if ckpt_path else []
        return typed(self.command, [*groups, *configs, *settings, *begun])


def expand(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> CommandLine:
    """Sort the words of a command line and the ``COVIDNET_...`` variables of ``environ`` (none by default).

    Raises:
        UserError: For a wrong command, group name or stray word.
    """
    command: str | None = None
    typed: dict[str, str] = {}
    configs: list[str] = []
    settings: list[str] = []
    names: list[str] = []
    asked: Help = ""
    words = iter(argv)
    for word in words:
        if word in COMMANDS and command is None:
            command = word
        elif word in _HELP:
            asked = "all" if asked == "all" else _HELP[word]
        elif word in ("-c", "--config"):
            configs.append(_value_of(word, words))
        elif word.startswith("--config="):
            configs.append(word.partition("=")[2])
        elif word.startswith("-"):
            complete = "=" in word or word in VALUELESS or word.endswith(".help")
            option = word if complete else f"{word}={_value_of(word, words)}"
            name, _, value = option.removeprefix("--").partition("=")
            if name in group_names() and value in choices(name):
                typed[name] = value
            else:
                settings.append(_with_names(option))
        elif "=" in word:
            name, _, value = word.partition("=")
            if name in group_names():
                typed[name] = _choice(name, value)
            else:
                names.append(name)
                settings.append(_with_names(f"--{name}={value}"))
        else:
            raise UserError(
                f"'{word}' is neither a command ({', '.join(COMMANDS)}) nor a setting (key=value)."
                f"{did_you_mean(word, COMMANDS)}"
            )
    command = command or "run"
    for name in names:
        _check_key(name, command)
    groups = {group: typed.get(group, GROUPS.get(group, "")) for group in group_names()}
    return CommandLine(
        command=command,
        groups={group: name for group, name in groups.items() if name},
        typed_groups=frozenset(typed),
        environment=_environment(environ or {}, command),
        configs=configs,
        settings=settings,
        help=asked,
    )


def own_of(command: str, name: str) -> Own:
    """Return what a key is in a command: there it may mean something else than in others."""
    return OWN.get(f"{command}.{name}", OWN[name])


def program() -> str:
    """Return how this program was called, as one types it again where one stands."""
    script, python = Path(sys.argv[0]), shlex.quote(sys.orig_argv[0])
    if script.name == SCRIPT:
        return f"{python} {shlex.quote(sys.argv[0])}"
    return f"{python} -m covidnet" if script.parts[-2:] == ("covidnet", "__main__.py") else "covidnet"


def typed(command: str, words: Sequence[str]) -> str:
    """Return a command of this program with its words, to be copied."""
    left_out = command == "run" and Path(sys.argv[0]).name == SCRIPT
    return f"{program()} {shlex.join([*([] if left_out else [command]), *words])}".rstrip()


def as_called(command: str) -> str:
    """Return a command that begins with ``covidnet`` as one types it here, where that may not be on the path."""
    return command if shutil.which("covidnet") else f"{program()}{command.removeprefix('covidnet')}"


def group_names() -> list[str]:
    """Return the config groups in order of precedence, lowest first: each is a folder in ``configs/``."""
    found = sorted(folder.name for folder in CONFIGS.iterdir() if folder.is_dir())
    return [*GROUPS, *(name for name in found if name not in GROUPS)]


def group_content(group: str, name: str) -> dict[str, Any]:
    """Return the keys that the file of a choice sets, section by section."""
    content: dict[str, Any] = parse_yaml(keep_names(read_text(CONFIGS / group / f"{name}.yaml"), NAMES))
    return content


def choices(group: str) -> list[str]:
    """Return the names that ``group=`` takes."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def _value_of(option: str, words: Iterator[str]) -> str:
    value = next(words, None)
    if value is None:
        raise UserError(f"{option} needs a value: {option} VALUE.")
    return value


def _choice(group: str, name: str) -> str:
    if name not in choices(group):
        raise UserError(
            f"{group}={name}: there is no {CONFIGS.name}/{group}/{name}.yaml; "
            f"{group} is one of {', '.join(choices(group))}.{did_you_mean(name, choices(group))}"
        )
    return name


def _check_key(name: str, command: str) -> None:
    """Refuse a key whose first part is no section and no key of the command."""
    known = [*SECTIONS, *COMMANDS[command].keys, *group_names()]
    first = name.split(".")[0]
    if first in known:
        return
    others = [other for other, known_there in COMMANDS.items() if first in known_there.keys]
    if others:
        raise UserError(f"Unknown key '{name}': it is a key of {', '.join(others)}, not of {command}.")
    raise UserError(f"Unknown key '{name}': keys begin with {', '.join(known)}.{did_you_mean(first, known)}")


def _environment(environ: Mapping[str, str], command: str) -> list[str]:
    """Turn ``COVIDNET_A__B=c``, or ``COVIDNET_<COMMAND>__A__B=c`` for one command, into ``--a.b=c``."""
    options = []
    for name, value in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        parts = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if parts[0] in COMMANDS and len(parts) > 1:
            if parts[0] != command:
                continue
            parts = parts[1:]
        # Other COVIDNET_ names (of a test suite, say) are not settings.
        if (len(parts) > 1 and parts[0] in SECTIONS) or (len(parts) == 1 and parts[0] in COMMANDS[command].keys):
            options.append(_with_names(f"--{'.'.join(parts)}={value}"))
    return options


def _with_names(option: str) -> str:
    """Return an option whose value stays what it is where it holds names: 0, 10, yes and NO may be classes."""
    key, between, value = option.partition("=")
    section, _, name = key.removeprefix("--").removesuffix("+").partition(".")
    named = section == "data" and name.partition(".")[0] in NAMES
    return f"{key}{between}{keep_names(value).strip()}" if named else option
