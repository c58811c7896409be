"""A checkpoint that a Lightning Trainer of the user's own wrote of our networks -> the recipe that it lacks.

It holds the weights and the model's arguments. The names of the classes and how images were made the user has to tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covidnet.errors import UserError
from covidnet.imaging.decode import Interpolation
from covidnet.imaging.radiograph import Orientation
from covidnet.machine.telling import tell

LIGHTNING = "pytorch-lightning_version"  # a key that Lightning writes into each checkpoint
OURS = "class_weights"  # a weight that each of our networks has
MODELS = {  # an argument that tells a model -> its class
    "head": "covidnet.models.probe.Probe",
    "backbone": "covidnet.models.inception.InceptionV3",
    "image_size": "covidnet.models.convnet.ConvNet",
}
DATA = "covidnet.data.module.RadiographyDataModule"


@dataclass(frozen=True)
class Told:
    """What the user tells of a checkpoint that does not tell it.

    Attributes:
        classes: Names of the classes, in the order of their labels.
        image_size: Side in pixels; None where the model's own arguments tell it.
        interpolation: To that side.
        orientation: Whether its images were turned as their files tell it.
    """

    classes: Sequence[str] | None
    image_size: int | None = None
    interpolation: Interpolation = "bilinear"
    orientation: Orientation = "upright"


def recipe_of(path: Path, content: object, told: Told | None) -> dict[str, Any]:
    """Return the recipe of a checkpoint without one.

    Raises:
        UserError: Where it is none of Lightning's, none of our networks, or more must be told.
    """
    if not isinstance(content, Mapping) or LIGHTNING not in content:
        raise UserError(f"ckpt_path={path} is a checkpoint of another program: it holds no 'covidnet' recipe.")
    arguments, state = content.get("hyper_parameters"), content.get("state_dict")
    known = arguments if isinstance(arguments, Mapping) else {}
    model = next((MODELS[key] for key in MODELS if key in known), None)
    if model is None or not isinstance(state, Mapping) or OURS not in state:
        raise UserError(
            f"ckpt_path={path} was written by a Lightning Trainer of your own, and holds no 'covidnet' recipe, nor the "
            "weights and arguments of one of covidnet's models as such. Load it with the class that trained it, "
            "MyModule.load_from_checkpoint, or train a ConvNet, InceptionV3 or Probe of covidnet itself."
        )
    name = model.rpartition(".")[2]
    size = told.image_size if told and told.image_size else known.get("image_size")
    if told is None or told.classes is None or size is None:
        raise UserError(
            f"ckpt_path={path} was written by a Lightning Trainer of your own: it holds a {name}, but no 'covidnet' "
            f"recipe, so that the names of its classes and the size of its images are not known. In Python tell them: "
            f"covidnet.load({str(path)!r}, classes=[...], image_size=...), the classes as datamodule.classes has them. "
            "Checkpoints of covidnet run tell it themselves."
        )
    tell(
        f"{path} is read as a {name} of covidnet itself; a class of your own whose forward computes something else is "
        "to be loaded by its own load_from_checkpoint."
    )
    init_args = {"image_size": size, "interpolation": told.interpolation, "orientation": told.orientation}
    return {
        "name": name.lower(),
        "model": {"class_path": model, "init_args": dict(known)},
        "data": {"class_path": DATA, "init_args": init_args},
        "classes": list(told.classes),
    }
