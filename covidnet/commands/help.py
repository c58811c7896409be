"""What --help says: the first page, and of what trains the keys of the chosen model and data. Nothing is imported."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from covidnet.commands.keys import keys_of
from covidnet.files.reading import read_yaml
from covidnet.training.args import COMMANDS, CONFIGS, GROUPS, CommandLine, choices, group_names, own_of, program

OF_CLASS = ("data", "model")  # sections whose keys are those of the class that a group chooses
LINKED = {"model.image_size"}  # set by another key

KEYS = """\
keys that people look for:
  data.root=FOLDER              the folder that holds one folder for each class
  data=nih data.root=FOLDER     a known data set, also chexpert, rsna, kermany, padchest, vindr, ... (docs/data-sets.md)
  data.table=FILE               a table of labels: the images lie below data.root, at any depth (docs/data.md)
  data.labels='{COVID: [COVID-19, covid], Normal: No Finding}' data.columns='{path: NAME, label: NAME}'
                                for a table: which labels a class has; which column says what, if its name does not
  data.roots='{site_a: FOLDER, site_b: FOLDER}'
                                several such folders; the names are the sources where no table tells them
  data.views='[PA,AP]'          which views take part, where a table or a DICOM header tells; null for all
  data.patient_pattern='(person\\d+)_'
                                the patient in the names of images, as one group of a regular expression
  data.use_split=false          draw a split though the data give one
  data.use_val=true             validate on the images that the data give for it, however few
  data.image_size=N data.batch_size=N data.num_workers=N
  data.classes='[A,B]'          which class folders, in which order
  data.seed=28 data.val_fraction=0.2 data.test_per_class=40
  data.test_root=FOLDER data.split_file=FILE data.metadata=FILE data.duplicates=true
  data.augment=strong data.unchanged=0.1 data.surround=0.5 data.balance=source data.restyle=amplitude
  data.masks=FOLDER             lung masks by the images' names; data.lungs=crop cuts images to them
  model.learning_rate=1e-3 model.dropout=0.5 model.weight_decay=0.02
  model.schedule=cosine model.warmup_epochs=1 model.label_smoothing=0.05
  model.equalize=true model.average_mirrored=true
  early_stopping.patience=5 early_stopping.min_delta=0.01
  checkpoint.monitor=val_loss
  trainer.max_epochs=1000 trainer.devices=8 trainer.default_root_dir=runs
  seed_everything=28            weights, order of batches and dropout
  seeds=5                       for repeat: 0 to 4; or which ones, seeds='[3,5,8]'; for crossval: so many for each fold
  k=5                           for crossval: how many folds, by patient and group, classes alike; each is tested once
  folds='[1,3]'                 for crossval and loso: only these of its folds; loso needs sources (data.metadata)
  together=false                for loso: leave out one source alone in each fold, not one of every class
  trials=20                     for search: how many in total; the same command goes on, also from several processes
  space='{model.dropout: [0.0, 0.6], data.batch_size: [16, 256, log], data.augment: {choices: [none, mild]}}'
                                for search: keys and their ranges, or a YAML file of them
  storage=URL name=NAME         for search: a database that several machines share; the search's name there
  prune=false                   for search: train each trial to its end
  ckpt_path=FILE                a checkpoint to test, or to go on from (or: last, of the newest run)
  ckpt_path=auto                go on with the newest run if it has no results yet, else begin one
  shortcuts=true                the lungs test: train twice more, lungs covered and lungs only
  report=false                  no report.html and model_card.md at the end of run
  tensorboard=true              TensorBoard files beside metrics.csv
  progress=none                 no line an epoch; progress=bar for Lightning's bar
  table=true                    print all scores too, as the report holds them
  --config FILE                 a YAML file of keys, such as a run's config.yaml
  --print_config                every key with its value, and stop

  COVIDNET_DATA__ROOT=FOLDER in the environment is data.root=FOLDER."""

EXAMPLES = (
    ("data=phantom", ""),
    ('model=inception data.root="data/COVID-19 Radiography Database"', ""),
    ("model=inception recipe=robust", ""),
    ("search trials=50", ""),
    ("test ckpt_path=runs/convnet/version_0/checkpoints/best.ckpt", ""),
    ("run --help", "the keys of the chosen model and data; run help=all: Lightning's too"),
    ("--version", "the version of this program"),
)


def usage() -> str:
    """Return what to type, where no command was."""
    return f"usage: {program()} COMMAND [...]; {program()} --help tells what there is."


def help_text(tools: Mapping[str, str]) -> str:
    """Return the first page of help: commands, groups and the keys that people look for."""
    texts = {name: command.text for name, command in COMMANDS.items()}
    commands, others = ("\n".join(f"  {name:<10} {text}" for name, text in part.items()) for part in (texts, tools))
    groups = "\n".join(
        f"  {f'{group}={name}':<20} {headline(group, name)}{' (default)' * (GROUPS.get(group) == name)}"
        for group in group_names()
        for name in choices(group)
    )
    return f"""\
Train a chest X-ray classifier from a folder of images by class, know what its numbers are worth, and use it.
Research software, not a medical device.

usage: {program()} [command] [group=name ...] [key=value ...] [--lightning-options]

commands:
{commands}

before and after training ({program()} COMMAND --help tells what one takes):
{others}

groups (each name is a file configs/<group>/<name>.yaml):
{groups}

{KEYS}

examples:
{examples(program())}
"""


def examples(typed: str) -> str:
    """Return commands to copy; ``typed`` is what this program is called."""
    return "\n".join(f"  {typed} {words}{told and '    '}{told}" for words, told in EXAMPLES)


def command_help(line: CommandLine) -> str:
    """Return the help of a command that trains or tests: its keys, with the defaults of the chosen groups."""
    command = COMMANDS[line.command]
    layers: dict[str, Any] = {}
    for file in line.layers:
        _lay_over(layers, read_yaml(file) or {})
    own = {name: own_of(line.command, name) for name in command.keys}
    parser = argparse.ArgumentParser(
        usage=f"{program()} {line.command} [group=name ...] [key=value ...]",
        description=f"{command.text[0].upper()}{command.text[1:]}.",
        epilog=f"{program()} {line.command} help=all names Lightning's keys too; it takes some seconds.",
        add_help=False,
    )
    _add(parser, f"keys of {line.command}", {name: (_plain(one.default), one.text) for name, one in own.items()})
    for section in OF_CLASS:
        chosen = layers.pop(section)
        given = {**chosen, **chosen.get("init_args", {})}
        keys = {
            f"{section}.{name}": (_plain(given[name]) if name in given else key.default, _told(key.text, key.kind))
            for name, key in keys_of(chosen["class_path"]).items()
            if f"{section}.{name}" not in LINKED
        }
        _add(parser, f"{section}={line.groups[section]}, {chosen['class_path']}", keys)
    for section in (name for name, value in layers.items() if isinstance(value, dict)):
        keys = {f"{section}.{name}": (_plain(value), "") for name, value in layers[section].items()}
        _add(parser, f"{section}: Lightning's keys, of which these are set", keys)
    return parser.format_help()


def _add(parser: argparse.ArgumentParser, title: str, keys: Mapping[str, tuple[str, str]]) -> None:
    """Add keys with their defaults and texts."""
    group = parser.add_argument_group(title)
    for name, (default, text) in keys.items():
        group.add_argument(f"{name}={default}" if default else name, help=text.replace("%", "%%") or None)


def _told(text: str, kind: str) -> str:
    return f"{text} ({kind})" if kind else text


def _plain(value: object) -> str:
    """Return a value as it is typed."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Put keys over others, section by section."""
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay_over(below[key], value)
        else:
            below[key] = value


def headline(group: str, name: str) -> str:
    """Return the first comment line of a group's YAML file, without its mark and full stop."""
    with (CONFIGS / group / f"{name}.yaml").open(encoding="utf-8") as lines:
        return next(lines, "").removeprefix("#").strip().rstrip(".")
