"""Checkpoint: the file of a trained model -> its network and all that it takes to use it."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from covidnet.data.changes.kinds import Lungs, shown
from covidnet.data.radiographs import Radiographs
from covidnet.data.spelling import all_composed
from covidnet.errors import UserError
from covidnet.files.plain import hints_of, misfit
from covidnet.files.tensors import check_crc, read_tensors
from covidnet.files.whole import whole
from covidnet.imaging.decode import Interpolation
from covidnet.imaging.radiograph import Reading
from covidnet.models.budget import Budget
from covidnet.models.network import Network, plain_network
from covidnet.runs.files import SPLIT
from covidnet.runs.find import run_directory
from covidnet.runs.foreign import Told, recipe_of
from covidnet.runs.recipe import NEEDED, check_recipe
from covidnet.runs.trust import find_class

# A younger key of the data -> what a recipe without it meant, where new runs mean something else.
BEFORE = {"orientation": "stored"}
OPTIMIZER = "optimizer_states"  # Lightning's key of what a training needs to go on, and nothing else does
KEY = "covidnet"  # the one key under which a checkpoint holds what is ours, plain types only
# The weights are in the file: a stranger's must not have any fetched, or another file read.
OWN_WEIGHTS = {"pretrained": False, "weights": None}
UNCALIBRATED = "The probabilities are not calibrated: nothing was fitted on validation images for this checkpoint."
PLAIN = {  # what a recipe names -> the same radiographs without Lightning; any other class is its own
    "covidnet.data.module.RadiographyDataModule": "covidnet.data.radiographs.Radiographs",
    "covidnet.data.phantom_module.PhantomDataModule": "covidnet.data.phantoms.Phantoms",
}


@dataclass(frozen=True)
class Preprocessing:
    """How the images of a training were made, and what they were.

    Attributes:
        classes: Names of the classes, in the order of their labels.
        image_size: Side in pixels.
        interpolation: To that side.
        lungs: What is shown of the images: "whole", or of the lungs test.
        boxed: Whether the central box stands for the lungs to which they are cut, if they are.
        reading: How their files were read.
        batch_size: Images a training step.
        notice: What every output on these images must say about them, or nothing.
    """

    classes: list[str]
    image_size: int
    interpolation: Interpolation
    lungs: Lungs
    boxed: bool
    reading: Reading
    batch_size: int
    notice: str


class Checkpoint:
    """A checkpoint of ours, read once: all that it takes to use its model.

    Args:
        path: The file.
        told: What the user tells of one that a Trainer of the user's own wrote.

    Raises:
        UserError: Where the file is no checkpoint, would run code when loaded, or is not one of ours.
    """

    def __init__(self, path: Path, told: Told | None = None) -> None:
        self.path = path
        self._content = _read(path, told)
        recipe = self._content[KEY]
        named = {key: all_composed(recipe[key]) for key in ("classes", "calibration") if key in recipe}
        self.recipe: dict[str, Any] = {**recipe, **named}  # what ``RunRecord`` put there, with ``classes``

    @property
    def run(self) -> Path | None:
        """The directory of the run that wrote it, where it still lies in it."""
        return run_directory(self.path)

    @property
    def runs(self) -> list[Path]:
        """That directory, if there is one."""
        return [self.run] if self.run else []

    @property
    def tested(self) -> Path | None:
        """That directory: its test images are not those that the model was trained on."""
        return self.run

    @property
    def members(self) -> list["Checkpoint"]:
        """Itself: a series has several."""
        return [self]

    @property
    def crossed(self) -> None:
        """Nothing: its prediction sets come from its calibration."""

    @property
    def unfitted(self) -> str | None:
        """Why its probabilities are not calibrated, in a sentence; None where they are."""
        return None if self.calibration else UNCALIBRATED

    @property
    def calibration(self) -> dict[str, Any]:
        """``temperature``, ``thresholds``, ``conformal``, ``decision``; empty where nothing was fitted to it."""
        return self.recipe.get("calibration") or {}

    @property
    def novelty(self) -> dict[str, Any] | None:
        """What ``novelty_scores`` needs; None where nothing was fitted."""
        return self.recipe.get("novelty")

    @property
    def goes_on(self) -> bool:
        """Whether a training can go on from it: it holds what the optimizer remembers."""
        return bool(self._content.get(OPTIMIZER))

    @property
    def budget(self) -> Budget:
        """In which a network for its weights is built: it may ask for no more than they are.

        Raises:
            UserError: Where they are none.
        """
        try:
            weights = self._weights(finite=False)
        except (ValueError, RuntimeError) as error:  # torch's, of types that know no numbers
            raise self._refused(error) from error
        return Budget(sum(one.numel() for one in weights.values()), self.path)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """How its images were made.

        Raises:
            UserError: Where the recipe names another class of data, or keys that the class does not take.
        """
        data = radiographs_of(self.recipe)
        boxed = shown(data.lungs)[1] and not data.masks.named
        how = (data.image_size, data.interpolation, data.lungs, boxed, data.reading, data.batch_size, data.notice)
        return Preprocessing(list(self.recipe["classes"]), *how)

    def model(self, *, finite: bool = True) -> Network:
        """Return the model, on the CPU, in evaluation mode.

        Args:
            finite: Refuse weights that are no finite numbers; a training that has just diverged tells of them itself.

        Raises:
            UserError: Where the recipe names no model of a trusted package, or the weights do not fit it.
        """
        path = self.recipe["model"]["class_path"]
        try:
            arguments = {**self._content.get("hyper_parameters", {}), **OWN_WEIGHTS}
            self._check_arguments(arguments)
            with self.budget:
                network = plain_network(path, arguments)
                if network is None:
                    return _trained(path, self.path).eval()
            network.load_state_dict(self._weights(finite=finite))
            return network.eval()
        except UserError:
            raise
        # A recipe and weights that do not go together fail in many ways: as arguments, as shapes, for want of memory.
        except Exception as error:
            raise self._refused(error) from error

    def _weights(self, *, finite: bool) -> dict[str, torch.Tensor]:
        """Return the weights, if that is what they are.

        Raises:
            ValueError: Where they are none; with ``finite``, also where one is no finite number.
        """
        state = self._content.get("state_dict")
        weights: dict[Any, Any] = state if isinstance(state, dict) else {None: None}
        if not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in weights.items()):
            raise ValueError("its state_dict is no weights by their names")
        for name, value in weights.items():
            if value.is_complex() or (finite and not _is_finite(value)):
                raise ValueError(f"its weights hold what is no finite number, {name} first")
            if name.endswith("class_weights") and not (_is_finite(value) and (value >= 0).all() and value.any()):
                raise ValueError(f"its {name} are not numbers of 0 or more")
        return weights

    def _refused(self, error: Exception) -> UserError:
        name = self.recipe["model"]["class_path"].rpartition(".")[2]
        return UserError(f"{self.path} holds no model that {name} can be: {_first_line(error)}")

    def _check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments of the model that do not go with the rest of the recipe."""
        count, classes = arguments.get("num_classes"), self.recipe["classes"]
        if count != len(classes):
            raise ValueError(f"its num_classes={count}, but the recipe has {len(classes)} classes")
        size = self.preprocessing.image_size
        if arguments.get("image_size", size) != size:
            raise ValueError(f"its image_size={arguments['image_size']}, but that of its images is {size}")


def _is_finite(value: torch.Tensor) -> bool:
    return not value.is_floating_point() or bool(
        torch.isfinite(value.to(torch.promote_types(value.dtype, torch.half))).all()
    )


def _trained(path: str, checkpoint: Path) -> Network:
    """Return the network of a model that is no plain one of ours: what trains it has to build it."""
    from covidnet.models.classifier import Classifier  # Lightning takes seconds to import

    kind = find_class(path, Classifier, checkpoint)
    taken = inspect.signature(kind).parameters
    own: dict[str, Any] = {key: value for key, value in OWN_WEIGHTS.items() if key in taken}
    return kind.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True, **own).model


def _read(checkpoint: Path, told: Told | None) -> dict[str, Any]:
    """Return what a checkpoint of ours holds, with a recipe; its tensors stay on disk until they are used."""
    try:
        content = read_tensors(checkpoint, mmap=True)
        check_crc(checkpoint)
    # A file that is no checkpoint fails in many ways, as zip, as pickle, or by naming code to run.
    except Exception as error:
        raise UserError(f"ckpt_path={checkpoint} cannot be read as a checkpoint: {_first_line(error)}") from error
    recipe = content.get(KEY) if isinstance(content, dict) else None
    if not isinstance(recipe, dict) or not set(recipe) >= NEEDED:
        recipe = recipe_of(checkpoint, content, told)
    elif told:
        raise UserError(f"ckpt_path={checkpoint} tells its classes and images itself: leave classes= and others out.")
    found: dict[str, Any] = {**content, KEY: recipe}
    try:
        check_recipe(recipe, found.get("hyper_parameters", {}))
    except ValueError as error:
        damage = f"holds a damaged recipe, or one that this program did not write: {error}."
        raise UserError(f"ckpt_path={checkpoint} {damage}") from error
    return found


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def finish_checkpoint(
    checkpoint: Path, *, out: Path | None = None, weights: Mapping[str, torch.Tensor] | None = None, **fitted: Any
) -> None:
    """Make a checkpoint of ours that of a model whose training has ended, whole or not at all.

    What the optimizer remembers goes: of Adam that is twice the weights, and ``last.ckpt`` keeps it.

    Args:
        checkpoint: The file; where it was one with another, as best and last of an epoch are, that stays as it is.
        out: Where to; the same file where left out.
        weights: Values for some of the weights, by their names.
        fitted: What was fitted to the model, plain types, for its recipe.
    """
    content = read_tensors(checkpoint)
    if not (fitted or out) and OPTIMIZER not in content:
        return
    content.pop(OPTIMIZER, None)
    content[KEY].update(fitted)
    for name, value in (weights or {}).items():
        content["state_dict"][name] = value.to(content["state_dict"][name].dtype)
    with whole(out or checkpoint, "wb") as file:
        torch.save(content, file)


def radiographs_of(recipe: Mapping[str, Any], run: Path | None = None) -> Radiographs:
    """Return the radiographs that a recipe names, with the split of ``run``; none has been looked at yet.

    Raises:
        UserError: Where the recipe names another class, or keys that the class does not take.
    """
    split = {"split_file": str(run / SPLIT)} if run and (run / SPLIT).is_file() else {}
    kind = find_radiographs(recipe["data"]["class_path"], "The recipe in the checkpoint")
    options = {**meant_before(kind), **recipe["data"]["init_args"], "classes": recipe["classes"], **split}
    named = recipe["data"]["class_path"].rpartition(".")[2]
    if wrong := misfit(kind, options):
        raise UserError(f"The recipe in the checkpoint does not fit {named}: {wrong}.")
    try:
        return kind(**options)
    except TypeError as error:
        raise UserError(f"The recipe in the checkpoint does not fit {named}: {error}.") from error


def meant_before(kind: type[Radiographs]) -> dict[str, str]:
    """Return what a recipe meant that lacks younger keys, of those that its data take."""
    return {key: value for key, value in BEFORE.items() if key in hints_of(kind)}


def find_radiographs(path: object, where: object) -> type[Radiographs]:
    """Return the class of radiographs that the data module of this name serves; our own modules go without Lightning.

    Raises:
        UserError: As ``find_class``.
    """
    return find_class(PLAIN.get(str(path), path), Radiographs, where)
