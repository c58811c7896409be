"""What an ensemble has beyond a single model on images from elsewhere: its members beside it."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from covidnet.errors import UserError
from covidnet.evaluation.conformal import scores_of_sets
from covidnet.evaluation.metrics import Outputs, overall_metrics
from covidnet.runs.checkpoint import Checkpoint
from covidnet.runs.documents import read_json
from covidnet.runs.ensemble import Members
from covidnet.runs.files import CROSSVAL

OF_MEMBERS = ("accuracy", "balanced_accuracy", "mcc", "loss", "brier", "ece")  # told of each member


def of_members(
    trained_model: Checkpoint | Members, each: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> dict[str, Any]:
    """Return ``members``, the scores of each, and the prediction sets of a cross-validation; nothing of a single model.

    Args:
        trained_model: The model.
        each: (M, N, C) the logits of its members.
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number for each patient.
    """
    if len(each) == 1:
        return {}
    weights = np.ones((1, len(labels))), np.ones(each.shape[2])
    outputs = (Outputs.of_probabilities(softmax(one.astype(np.float64), axis=1), labels) for one in each)
    found = [{name: float(value[0]) for name, value in overall_metrics(one, *weights).items()} for one in outputs]
    kept = [{name: one[name] if np.isfinite(one[name]) else None for name in OF_MEMBERS} for one in found]
    names = [run.name for run in trained_model.runs]
    more: dict[str, Any] = {"members": [{"run": name, **one} for name, one in zip(names, kept, strict=True)]}
    if isinstance(trained_model, Members):
        more["out_of_fold"] = trained_model.crossed_over  # what ``inside`` is, where that is known
    if trained_model.crossed:
        sets, classes = trained_model.crossed, trained_model.preprocessing.classes
        more["prediction_sets"] = scores_of_sets(sets.sets(each), labels, classes, sets.coverage, groups)
    return more


def test_of_all(members: Members) -> Mapping[str, Any] | None:
    """Return the scores of an ensemble on the test images that its members have in common; tell why there are none.

    Of a cross-validation there are no such images: what its members say, each of those that it had not seen, stands in.
    """
    scores: Mapping[str, Any] | None
    try:
        if members.crossed_over:
            scores, why = read_json(members.path / CROSSVAL).get("pooled"), f"{CROSSVAL} is not finished"
        else:
            scores, why = members.test_scores, "its members have no test images in common"
    except UserError as error:  # the images are not there any more
        scores, why = None, str(error)
    if scores is None:
        print(f"covidnet: The drop of {members.path} cannot be told: {why}.", file=sys.stderr)
    return scores
