"""What a checkpoint brings to a command line that goes on with it, and which keys it forbids to change."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from covidnet.data.changes.kinds import CROP
from covidnet.data.radiographs import Radiographs
from covidnet.data.spelling import all_composed
from covidnet.errors import UserError
from covidnet.files.plain import defaults_of
from covidnet.files.reading import read_yaml
from covidnet.runs.checkpoint import Checkpoint, find_radiographs, meant_before
from covidnet.runs.files import LAST, SPLIT
from covidnet.runs.find import find_checkpoint, run_directory
from covidnet.runs.remote import RunStore, bring_checkpoint
from covidnet.training.args import CONFIGS, TRAINING, CommandLine

# Where training began from, how fast it goes, and what is done outside it: all that may change.
FREE = ("pretrained", "weights", "capture", "average_mirrored")
ENDING = {"trainer": ("max_epochs",), "early_stopping": ("patience", "min_delta")}  # what tells when training ends
PREPROCESSING = ("image_size", "interpolation", "orientation", "classes")  # the weights know no other
DIVISION = (  # changed in mid-training, they would leak
    "seed",
    "val_fraction",
    "test_per_class",
    "test_root",
    "views",
    "patient_pattern",
    "patient_across_classes",
    "use_split",
    "use_val",
    "split_lists",
)
IMAGES = (
    "root",
    "roots",
    "table",
    "header",
    "columns",
    "path_suffix",
    "labels",
)  # other images, or other classes of them: the split is none of theirs


def checkpoint_of(given: str, command: str, name: str, runs: RunStore | None, folder: Path) -> Path | None:
    """Return the checkpoint that ``ckpt_path`` means for a command; None for auto where no run is to go on with.

    Args:
        given: The key: a file, last or auto.
        command: What was typed.
        name: Of the model's folder of runs,
        runs: in this object store, if it is in one,
        folder: which lies here.
    """
    if given == "auto" and command not in TRAINING:
        raise UserError(f"ckpt_path=auto is for run and fit; {command} needs ckpt_path=FILE, or ckpt_path=last.")
    return find_checkpoint(bring_checkpoint(given, name, runs), folder, name)


def recipe_layer(recipe: Mapping[str, Any], checkpoint: Path, typed: CommandLine) -> dict[str, Any]:
    """Return the configuration that lies between the defaults and what was typed.

    With a data= that was typed, only the preprocessing comes from the checkpoint. Else the images are split as they
    were for the training, by its split.csv where that lies there: a folder that has grown since must not move training
    images into the test. Training goes on to the end that it had: a schedule depends on it.
    """
    data = {**_younger_keys(recipe), **recipe["data"]["init_args"], "classes": recipe["classes"]}
    training = _ending(recipe) if typed.command in TRAINING else {}
    if "data" in typed.typed_groups:
        kept = {key: data[key] for key in PREPROCESSING if key in data}
        kept |= {"lungs": CROP} if data.get("lungs") == CROP else {}  # but not where the lungs of these images lie
        return {"model": recipe["model"], "data": kept, **training}
    run = run_directory(checkpoint)
    chosen = {f"data.{key}" for key in ("split_file", *IMAGES, *DIVISION)} & set(typed.typed_keys())
    if run and (run / SPLIT).is_file() and not chosen:
        data["split_file"] = str(run / SPLIT)
    return {"model": recipe["model"], "data": {**recipe["data"], "init_args": data}, **training}


def _younger_keys(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of the data that the recipe's version did not have, with what their class takes them for.

    Else the defaults of new runs, which stand in configs/data, would hold for an old one.
    """
    kind = _kind(recipe)
    meant = {**defaults_of(kind), **meant_before(kind)}
    return {key: value for key, value in meant.items() if key not in recipe["data"]["init_args"]}


def _kind(recipe: Mapping[str, Any]) -> type[Radiographs]:
    return find_radiographs(recipe["data"]["class_path"], "The recipe in the checkpoint")


def refuse_changes(config: Mapping[str, Any], checkpoint: Checkpoint, typed: CommandLine) -> None:
    """Refuse a configuration that would silently not hold, or would let test images into the training.

    Raises:
        UserError: Naming the first key that differs from the checkpoint's, or the checkpoint to go on from instead.
    """
    recipe = checkpoint.recipe
    if "model" in typed.typed_groups and typed.groups["model"] != recipe["name"]:
        raise UserError(
            f"model={typed.groups['model']} does not go with this checkpoint, which holds {recipe['name']}. "
            "Leave model= out."
        )
    _refuse_another_recipe(recipe, typed)
    data = {**meant_before(_kind(recipe)), **recipe["data"]["init_args"], "classes": recipe["classes"]}
    fixed = (*PREPROCESSING, *(DIVISION if typed.command in TRAINING else ()))
    recorded = {
        "data": {key: data[key] for key in fixed if key in data},
        "model": {key: value for key, value in recipe["model"]["init_args"].items() if key not in FREE},
    }
    for section, values in recorded.items():
        for key, value in values.items():
            now = config[section]["init_args"].get(key)
            if all_composed(now) != all_composed(value):
                raise UserError(
                    f"{section}.{key}={now} does not go with this checkpoint, which holds {section}.{key}={value}. "
                    "Leave it out, or train anew without ckpt_path."
                )
    if typed.command in TRAINING:
        _refuse_model_alone(checkpoint)


def _refuse_model_alone(checkpoint: Checkpoint) -> None:
    """Refuse to go on from a checkpoint that holds a model, but not what its training remembered.

    Raises:
        UserError: Saying which one to go on from.
    """
    if checkpoint.goes_on:
        return
    last = checkpoint.path.with_name(LAST)
    other = last.is_file() and last != checkpoint.path
    raise UserError(
        f"ckpt_path={checkpoint.path} holds the model alone, without what its optimizer remembers: once a training has "
        f"ended, {LAST} alone keeps that. To go on, give "
        + (f"ckpt_path={last}." if other else "the last.ckpt of its run; or train anew, without ckpt_path.")
    )


def _ending(recipe: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return where training ends: those keys alone, for a recipe may be a stranger's."""
    held = recipe.get("training", {})
    return {
        name: {key: held[name][key] for key in keys if key in held[name]}
        for name, keys in ENDING.items()
        if name in held
    }


def _refuse_another_recipe(recipe: Mapping[str, Any], typed: CommandLine) -> None:
    """Refuse a recipe= whose keys are not the checkpoint's: those of the checkpoint would silently win."""
    if "recipe" not in typed.typed_groups:
        return
    name = typed.groups["recipe"]
    held = {section: recipe[section]["init_args"] for section in ("model", "data")} | _ending(recipe)
    chosen = read_yaml(CONFIGS / "recipe" / f"{name}.yaml")
    for section, values in chosen.items():
        for key, value in values.items():
            own = held.get(section, {}).get(key)
            if own != value and f"{section}.{key}" not in typed.typed_keys():
                raise UserError(
                    f"recipe={name} does not go with this checkpoint: it means {section}.{key}={value}, but the "
                    f"checkpoint was trained with {own}. Leave recipe= out, or train anew without ckpt_path."
                )
