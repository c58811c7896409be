"""Whom a model fails on images from elsewhere: the groups that their own table tells."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.data.attributes import attributes_of, columns_there
from covidnet.data.division.sources import UNKNOWN
from covidnet.data.radiographs import Radiographs
from covidnet.evaluation.confounding import NEEDED, class_by
from covidnet.evaluation.subgroups import subgroup_scores

Rows = Mapping[str, Mapping[str, str]]


def attributes_outside(
    paths: Sequence[str],
    rows: Rows,
    sources: Sequence[str],
    data: Radiographs,
    bins: Sequence[int] | None,
    wanted: Sequence[str] | None,
) -> dict[str, list[str]]:
    """Return the attributes of images from elsewhere: as asked for, else as in the training where the table has them.

    Args:
        paths: N paths.
        rows: What the table tells, by path.
        sources: N names, or "unknown".
        data: The images that the model was trained on.
        bins: Ages at which a group begins, as of ``--bins``.
        wanted: Columns, as of ``--subgroups``.

    Raises:
        UserError: Where a wanted column is not there, or has too many values.
    """
    own = {
        path: {**rows.get(path, {}), NEEDED: "" if source == UNKNOWN else source}
        for path, source in zip(paths, sources, strict=True)
    }
    columns = wanted or columns_there(paths, own, data.wanted_subgroups)
    return attributes_of(paths, own, bins or data.age_bins, columns, "--subgroups")


def groups_outside(
    attributes: Mapping[str, Sequence[str]],
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    groups: NDArray[np.integer],
    temperature: float,
) -> dict[str, Any]:
    """Return ``class_by`` and ``subgroups``, as a run has them, of images from elsewhere.

    Args:
        attributes: Attribute -> N names of groups.
        logits: (N, C).
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        groups: (N,) a number for each patient.
        temperature: What logits are divided by.
    """
    probabilities = softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
    return {
        "class_by": {name: class_by(own, labels, classes, groups) for name, own in attributes.items()},
        "subgroups": {
            name: subgroup_scores(probabilities, labels, classes, own, groups) for name, own in attributes.items()
        },
    }
