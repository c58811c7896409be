"""A linear head on fixed features, solved: joins the features that the data serve, the loss, and the regression."""

from typing import Any

import numpy as np
import torch

from covidnet.data.module import RadiographyDataModule
from covidnet.files.plain import is_mapping, is_number
from covidnet.machine.telling import tell
from covidnet.models.probe import Probe


def solve_head(model: Probe, data: RadiographyDataModule) -> dict[str, Any]:
    """Give a model the linear head that is best on its features; return how it was found, as results.json has it.

    Args:
        model: Whose classes are weighed as in its loss.
        data: Which serves features of its encoder.
    """
    from covidnet.evaluation.logistic import Labelled, fit_logistic  # scikit-learn takes a second to import

    def labelled(name: str) -> Labelled:
        dataset = data.datasets[name]
        assert dataset.features is not None
        weights = model.class_weights.cpu()[dataset.labels] if dataset.weights is None else dataset.weights
        features = dataset.features.cpu().numpy()
        return Labelled(features, dataset.labels.numpy(), weights.numpy().astype(np.float64))

    found = fit_logistic(labelled("train"), labelled("val"), len(data.classes))
    loss = found.losses[found.strength]
    model.take_head(torch.from_numpy(found.weights), torch.from_numpy(found.bias))
    tell(
        f"The linear head is solved: of {len(found.losses)} strengths of regularisation {found.strength:g} is best on "
        f"the validation images, with a loss of {loss:.3f}."
    )
    tried = {f"{strength:g}": value for strength, value in found.losses.items()}
    return {"strength": found.strength, "val_loss": loss, "tried": tried}


def is_head(told: object) -> bool:
    """Tell whether a checkpoint's word on a head is what ``solve_head`` returns."""
    if not isinstance(told, dict) or set(told) != {"strength", "val_loss", "tried"} or not is_mapping(told["tried"]):
        return False
    return all(is_number(one, 0) for one in (told["strength"], told["val_loss"], *told["tried"].values()))
