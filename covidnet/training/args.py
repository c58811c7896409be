"""``key=value`` and ``group=name`` -> options of the Lightning command line. Imports nothing heavy."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from covidnet.errors import UserError, did_you_mean, exit_with

COMMANDS = {
    "run": "train, then test the final and the best model (the default)",
    "repeat": "run with several seeds, then show mean, standard deviation and range of each metric",
    "loso": "run with sources left out (hospitals, data bases), then show how well each is recognised unseen",
    "search": "try other keys, in parallel if you like, and write the best configuration; the test split stays unseen",
    "fit": "train only",
    "validate": "measure a checkpoint on the validation split (needs ckpt_path)",
    "test": "measure a checkpoint on the test split (needs ckpt_path)",
}
PREDICT = "predict"  # the one command of `covidnet` that train.py takes too
TRAINING = ("run", "fit")  # the commands that need no checkpoint
GROUPS = {
    "model": "convnet",
    "data": "radiography",
    "recipe": "tutorial",
    "trainer": "auto",
}  # group -> default; later groups win
TOP_KEYS = (
    "seed_everything",
    "seeds",
    "folds",
    "together",
    "trials",
    "space",
    "storage",
    "name",
    "prune",
    "ckpt_path",
    "weights_only",
    "tensorboard",
    "report",
    "shortcuts",
    "verbose",
)
SECTIONS = ("trainer", "model", "data", "early_stopping", "checkpoint")
ENVIRONMENT_PREFIX = "COVIDNET_"
VALUELESS = ("--print_config", "--help", "-h")

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

    @property
    def layers(self) -> list[Path]:
        """The YAML files of defaults, lowest precedence first: ``default.yaml``, then one a group."""
        return [CONFIGS / "default.yaml", *(CONFIGS / group / f"{name}.yaml" for group, name in self.groups.items())]

    @property
    def argv(self) -> list[str]:
        """Arguments for the Lightning command line, which must itself load ``layers`` as defaults."""
        configs = [f"--config={path}" for path in self.configs]
        return [self.command, *self.environment, *configs, *self.settings]

    def typed_keys(self) -> dict[str, str]:
        """Return the single keys that the user set (environment included) with their values as text."""
        pairs = (option.removeprefix("--").partition("=") for option in [*self.environment, *self.settings])
        return {key: value for key, _, value in pairs}


def expand(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> CommandLine:
    """Sort the words of a command line and the ``COVIDNET_...`` variables of ``environ`` (none by default).

    Raises:
        UserError: For a wrong command, group name or stray word.
    """
    command: str | None = None
    typed: dict[str, str] = {}
    configs: list[str] = []
    settings: list[str] = []
    words = iter(argv)
    for word in words:
        if word in COMMANDS and command is None:
            command = word
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
                settings.append(option)
        elif "=" in word:
            name, _, value = word.partition("=")
            if name in group_names():
                typed[name] = _choice(name, value)
            else:
                settings.append(f"--{_key(name)}={value}")
        else:
            raise UserError(
                f"'{word}' is neither a command ({', '.join(COMMANDS)}) nor a setting (key=value)."
                f"{did_you_mean(word, COMMANDS)}"
            )
    command = command or "run"
    groups = {group: typed.get(group, GROUPS.get(group, "")) for group in group_names()}
    return CommandLine(
        command=command,
        groups={group: name for group, name in groups.items() if name},
        typed_groups=frozenset(typed),
        environment=_environment(environ or {}, command),
        configs=configs,
        settings=settings,
    )


def expand_or_exit() -> CommandLine:
    """Expand this process's own command line; print help or a mistake and exit where that is all there is to do."""
    argv = sys.argv[1:]
    if PREDICT in argv and not set(argv).intersection(COMMANDS):
        from covidnet.commands.main import main  # which stands above this module

        argv.remove(PREDICT)
        sys.exit(main([PREDICT, *argv]))
    if not set(argv).intersection(COMMANDS) and {"-h", "--help"}.intersection(argv):
        print(help_text())
        sys.exit(0)
    try:
        return expand(argv, os.environ)
    except UserError as error:
        exit_with(error)


def program() -> str:
    """Return how this program was called: by its script or as the installed command."""
    return "covidnet" if Path(sys.argv[0]).stem == "covidnet" else "python train.py"


def group_names() -> list[str]:
    """Return the config groups in order of precedence, lowest first: each is a folder in ``configs/``."""
    found = sorted(folder.name for folder in CONFIGS.iterdir() if folder.is_dir())
    return [*GROUPS, *(name for name in found if name not in GROUPS)]


def choices(group: str) -> list[str]:
    """Return the names that ``group=`` takes."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def help_text() -> str:
    """Return the first page of help: commands, groups and the keys that people look for."""
    commands = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    groups = "\n".join(
        f"  {f'{group}={name}':<20} {_headline(group, name)}{' (default)' * (GROUPS.get(group) == name)}"
        for group in group_names()
        for name in choices(group)
    )
    return f"""\
Train and test a chest X-ray classifier from a folder of images by class.

usage: {program()} [command] [group=name ...] [key=value ...] [--lightning-options]

commands:
{commands}
  {PREDICT:<10} what a trained model says of images: predict CKPT [PATH ...], the same as covidnet {PREDICT}

groups (each name is a file configs/<group>/<name>.yaml):
{groups}

keys that people look for:
  data.root=FOLDER              the folder that holds one folder a class
  data.image_size=N data.batch_size=N data.num_workers=N
  data.classes='[A,B]'          which class folders, in which order
  data.seed=28 data.val_fraction=0.2 data.test_per_class=40
  data.test_root=FOLDER data.split_file=FILE data.metadata=FILE data.duplicates=true
  data.augment=strong data.unchanged=0.1 data.surround=0.5 data.balance=source data.restyle=amplitude
  model.learning_rate=1e-3 model.dropout=0.5 model.weight_decay=0.02
  model.schedule=cosine model.warmup_epochs=1 model.label_smoothing=0.05
  model.equalize=true model.average_mirrored=true
  early_stopping.patience=5 early_stopping.min_delta=0.01
  checkpoint.monitor=val_loss
  trainer.max_epochs=1000 trainer.devices=8 trainer.default_root_dir=runs
  seed_everything=28            weights, order of batches and dropout
  seeds=5                       of repeat: 0 to 4; or which ones, seeds='[3,5,8]'
  folds='[1,3]'                 of loso: only these of its folds; it needs data.metadata with a column source
  together=false                of loso: leave out one source alone in each fold, not one of every class
  trials=20                     of search: how many in total; the same command goes on, also from several processes
  space='{{model.dropout: [0.0, 0.6], data.batch_size: [16, 256, log], data.augment: {{choices: [none, mild]}}}}'
                                of search: keys and their ranges, or a YAML file of them
  storage=URL name=NAME         of search: a database that several machines share; the search's name there
  prune=false                   of search: train each trial to its end
  ckpt_path=FILE                a checkpoint to test, or to go on from (or: last, of the newest run)
  ckpt_path=auto                go on with the newest run if it has no results yet, else begin one
  shortcuts=true                the lungs test: train twice more, lungs covered and lungs only
  report=false                  no report.html and model_card.md at the end of run
  tensorboard=true              TensorBoard files beside metrics.csv
  --config FILE                 a YAML file of keys, such as a run's config.yaml
  --print_config                every key with its value, and stop

  COVIDNET_DATA__ROOT=FOLDER in the environment is data.root=FOLDER.

examples:
  python train.py data=phantom
  python train.py model=inception data.root="data/COVID-19 Radiography Database"
  python train.py model=inception recipe=robust
  python train.py search trials=50
  python train.py test ckpt_path=runs/convnet/version_0/checkpoints/best.ckpt
  python train.py run --help    every key of the chosen model, data and trainer
"""


def _headline(group: str, name: str) -> str:
    """Return the first comment line of a group's YAML file, without its mark and full stop."""
    with (CONFIGS / group / f"{name}.yaml").open(encoding="utf-8") as lines:
        return next(lines, "").removeprefix("#").strip().rstrip(".")


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


def _key(name: str) -> str:
    """Return ``name`` if its first part is a section or a key of the command line."""
    known = [*SECTIONS, *TOP_KEYS, *group_names()]
    first = name.split(".")[0]
    if first not in known:
        raise UserError(f"Unknown key '{name}': keys begin with {', '.join(known)}.{did_you_mean(first, known)}")
    return name


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
        if (len(parts) > 1 and parts[0] in SECTIONS) or (len(parts) == 1 and parts[0] in TOP_KEYS):
            options.append(f"--{'.'.join(parts)}={value}")
    return options
