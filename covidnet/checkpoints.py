"""What a checkpoint brings to a command line, and what it forbids."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
import yaml

from covidnet.args import CONFIGS, TRAINING, CommandLine
from covidnet.errors import UserError
from covidnet.files import whole
from covidnet.models.classifier import Classifier
from covidnet.results import CONFIG, RESULTS, SPLIT
from covidnet.tensors import read_tensors
from covidnet.trust import find_class

# Where training began from, how fast it goes, and what is done outside it: all that may change.
FREE = ("pretrained", "weights", "capture", "average_mirrored")
ENDING = {"trainer": ("max_epochs",), "early_stopping": ("patience", "min_delta")}  # what tells when training ends
LAST = "last.ckpt"  # of the last whole epoch
KEY = "covidnet"  # the one key under which a checkpoint holds what is ours, plain types only
PREPROCESSING = ("image_size", "interpolation", "classes")  # the weights know no other
_NAME = re.compile(r"\w[\w.-]*")  # of a run's folder: no way out of the one that it is laid in
DIVISION = ("seed", "val_fraction", "test_per_class", "test_root")  # changed in mid-training, they would leak


def find_checkpoint(given: str, runs: Path, name: str) -> Path | None:
    """Return the file that ``ckpt_path=given`` means.

    ``last`` is the last.ckpt of the newest run of the model ``name``, ``auto`` the same where that run has no results
    yet, else None. The newest has the highest number: clocks may be wrong.

    Raises:
        UserError: Where there is none.
    """
    if given in ("last", "auto"):
        found = list(runs.glob(f"{name}/version_*/checkpoints/{LAST}"))
        newest = max(found, key=lambda file: version_number(file.parent.parent.name), default=None)
        if given == "auto":
            return newest if newest and not (newest.parent.parent / RESULTS).is_file() else None
        if newest is None:
            raise UserError(
                f"ckpt_path=last: there is no {runs / name}/version_*/checkpoints/{LAST}. Give the path of a "
                "checkpoint, another model=, or the trainer.default_root_dir that the runs are in."
            )
        return newest
    checkpoint = Path(given).expanduser()
    if not checkpoint.is_file():
        raise UserError(f"ckpt_path={given} does not exist; give the path of a checkpoint, or last, or auto.")
    return checkpoint


def version_number(run: str) -> int:
    """Return N of the name version_N, -1 of another name."""
    text = run.removeprefix("version_")
    return int(text) if text.isdecimal() and text != run else -1


def run_directory(checkpoint: Path) -> Path | None:
    """Return the directory of the run that wrote a checkpoint, where it still lies in it."""
    run = checkpoint.absolute().parent.parent
    return run if (run / CONFIG).is_file() else None


def read_recipe(checkpoint: Path) -> dict[str, Any]:
    """Return the recipe that ``RunRecord`` put into a checkpoint, with its ``classes``.

    Raises:
        UserError: Where the file is no checkpoint, would run code when loaded, or is not one of ours.
    """
    try:
        content = read_tensors(checkpoint, mmap=True)
        damaged = ZipFile(checkpoint).testzip()  # torch compares no checksums
        if damaged:
            raise BadZipFile(f"its part {damaged} is damaged")
    # A file that is no checkpoint fails in many ways, as zip, as pickle, or by naming code to run.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"ckpt_path={checkpoint} cannot be read as a checkpoint: {reason}") from error
    recipe = content.get(KEY) if isinstance(content, dict) else None
    if not isinstance(recipe, dict) or not {"name", "model", "data", "classes"} <= set(recipe):
        raise UserError(f"ckpt_path={checkpoint} is a checkpoint of another program: it holds no '{KEY}' recipe.")
    _check_recipe(recipe, checkpoint)
    return recipe


def load_model(checkpoint: Path) -> Classifier:
    """Return the model of a checkpoint, on the CPU, in evaluation mode.

    Raises:
        UserError: As ``read_recipe``.
    """
    kind = find_class(read_recipe(checkpoint)["model"]["class_path"], Classifier, checkpoint)
    try:
        return kind.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
    except UserError:
        raise
    # A recipe and weights that do not go together fail in many ways, as arguments, as shapes, or for want of memory.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{checkpoint} holds no model that {kind.__name__} can be: {reason}") from error


def add_to_recipe(checkpoint: Path, **plain: Any) -> None:
    """Write what was fitted after training into a checkpoint of ours, plain types only, whole or not at all."""
    content = read_tensors(checkpoint)
    content[KEY].update(plain)
    with whole(checkpoint, "wb") as file:
        torch.save(content, file)


def recipe_layer(recipe: Mapping[str, Any], checkpoint: Path, typed: CommandLine) -> dict[str, Any]:
    """Return the configuration that lies between the defaults and what was typed.

    With a data= that was typed, only the preprocessing comes from the checkpoint. Else the images are split as they
    were for the training, by its split.csv where that lies there: a folder that has grown since must not move training
    images into the test. Training goes on to the end that it had: a schedule depends on it.
    """
    data = {**recipe["data"]["init_args"], "classes": recipe["classes"]}
    training = _ending(recipe) if typed.command in TRAINING else {}
    if "data" in typed.typed_groups:
        kept = {key: data[key] for key in PREPROCESSING if key in data}
        return {"model": recipe["model"], "data": kept, **training}
    run = run_directory(checkpoint)
    chosen = {f"data.{key}" for key in ("root", "split_file", *DIVISION)} & set(typed.typed_keys())
    if run and (run / SPLIT).is_file() and not chosen:
        data["split_file"] = str(run / SPLIT)
    return {"model": recipe["model"], "data": {**recipe["data"], "init_args": data}, **training}


def refuse_changes(config: Mapping[str, Any], recipe: Mapping[str, Any], typed: CommandLine) -> None:
    """Refuse a configuration that would silently not hold, or would let test images into the training.

    Raises:
        UserError: Naming the first key that differs from the checkpoint's.
    """
    if "model" in typed.typed_groups and typed.groups["model"] != recipe["name"]:
        raise UserError(
            f"model={typed.groups['model']} does not go with this checkpoint, which holds {recipe['name']}. "
            "Leave model= out."
        )
    _refuse_another_recipe(recipe, typed)
    data = {**recipe["data"]["init_args"], "classes": recipe["classes"]}
    fixed = (*PREPROCESSING, *(DIVISION if typed.command in TRAINING else ()))
    recorded = {
        "data": {key: data[key] for key in fixed if key in data},
        "model": {key: value for key, value in recipe["model"]["init_args"].items() if key not in FREE},
    }
    for section, values in recorded.items():
        for key, value in values.items():
            now = config[section]["init_args"].get(key)
            if now != value:
                raise UserError(
                    f"{section}.{key}={now} does not go with this checkpoint, which holds {section}.{key}={value}. "
                    "Leave it out, or train anew without ckpt_path."
                )


def _ending(recipe: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return where training ends: those keys alone, for a recipe may be a stranger's."""
    held = recipe.get("training", {})
    return {
        name: {key: held[name][key] for key in keys if key in held[name]}
        for name, keys in ENDING.items()
        if name in held
    }


def _check_recipe(recipe: Mapping[str, Any], checkpoint: Path) -> None:
    """Refuse a recipe whose parts are not of the types that we write, or whose name leads out of the runs' folder."""
    sections = [recipe["model"], recipe["data"]]
    held = all(isinstance(section, dict) and isinstance(section.get("init_args"), dict) for section in sections)
    named = held and all(isinstance(section.get("class_path"), str) for section in sections)
    classes = recipe["classes"]
    listed = isinstance(classes, list) and len(classes) > 1 and all(isinstance(name, str) for name in classes)
    training = recipe.get("training", {})
    ending = isinstance(training, dict) and all(isinstance(keys, dict) for keys in training.values())
    name = recipe["name"]
    if not (named and listed and ending and isinstance(name, str) and _NAME.fullmatch(name)):
        raise UserError(f"ckpt_path={checkpoint} holds a damaged recipe, or one that this program did not write.")


def _refuse_another_recipe(recipe: Mapping[str, Any], typed: CommandLine) -> None:
    """Refuse a recipe= whose keys are not the checkpoint's: those of the checkpoint would silently win."""
    if "recipe" not in typed.typed_groups:
        return
    name = typed.groups["recipe"]
    held = {section: recipe[section]["init_args"] for section in ("model", "data")} | _ending(recipe)
    chosen = yaml.safe_load((CONFIGS / "recipe" / f"{name}.yaml").read_text(encoding="utf-8"))
    for section, values in chosen.items():
        for key, value in values.items():
            own = held.get(section, {}).get(key)
            if own != value and f"{section}.{key}" not in typed.typed_keys():
                raise UserError(
                    f"recipe={name} does not go with this checkpoint: it means {section}.{key}={value}, but the "
                    f"checkpoint was trained with {own}. Leave recipe= out, or train anew without ckpt_path."
                )
