"""What results.json holds of groups of images: whom a run's model fails, and what tells its classes and sources."""

from typing import Any

import numpy as np
from scipy.special import softmax

from covidnet.data.attributes import attributes_in
from covidnet.data.radiographs import Radiographs
from covidnet.evaluation.confounding import NEEDED, class_by
from covidnet.evaluation.novelty import network_features
from covidnet.evaluation.source_probe import tell_source
from covidnet.evaluation.subgroups import subgroup_scores
from covidnet.models.parts.appearance import SIDE
from covidnet.models.parts.epoch import Outputs
from covidnet.training.fitted import Seen


def by_group(outputs: Outputs, datamodule: Radiographs, temperature: float) -> dict[str, Any]:
    """Return ``class_by``, how each attribute goes with the class, and ``subgroups``, the test's scores by attribute.

    ``class_by`` holds ``counts`` too, by split, group and class; it has the source in any case.

    Args:
        outputs: Logits (N, C) and labels (N,) of the test split.
        datamodule: The data.
        temperature: What logits are divided by.
    """
    images, classes, split = datamodule.images, datamodule.classes, dict(datamodule.split.items())
    numbers = np.concatenate([datamodule.numbers(name) for name in split])
    labels = np.array(images.labels)
    told = {}
    attributes = attributes_in(datamodule, images.paths)
    for attribute, names in {NEEDED: [""] * len(labels), **attributes}.items():
        own = np.array(names, dtype=object)
        found = class_by(own[numbers].tolist(), labels[numbers], classes, datamodule.division.patients[numbers])
        counts = {name: class_by(own[held].tolist(), labels[held], classes)["table"] for name, held in split.items()}
        told[attribute] = {**found, "counts": counts}
    test, patients = datamodule.numbers("test"), datamodule.patients("test")
    probabilities = softmax(np.asarray(outputs[0], dtype=np.float64) / temperature, axis=1)
    scores = {
        attribute: subgroup_scores(probabilities, outputs[1], classes, [names[number] for number in test], patients)
        for attribute, names in attributes.items()
    }
    return {"class_by": told, "subgroups": scores}


def source_told(seen: Seen | None, datamodule: Radiographs) -> dict[str, Any]:
    """Return what ``tell_source`` says of the features of a model's own images; nothing where no source is known."""
    sources = attributes_in(datamodule, datamodule.images.paths).get(NEEDED)
    if seen is None or not sources:
        return {}
    numbers = np.concatenate([held for held, _ in seen.values()])
    features = np.concatenate([features for _, features in seen.values()])
    labels = np.array(datamodule.images.labels)[numbers]
    return tell_source(
        network_features(features, SIDE),
        labels,
        [sources[number] for number in numbers],
        datamodule.classes,
        datamodule.division.patients[numbers],
    )
