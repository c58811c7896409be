"""A wish for the ensemble of a repeat, kept beside its runs; its threshold follows from what they said."""

from pathlib import Path
from typing import Any

from scipy.special import softmax

from covidnet.errors import UserError
from covidnet.evaluation.decision import WISHES, Wish
from covidnet.evaluation.scores import decision_scores
from covidnet.runs.checkpoint import radiographs_of
from covidnet.runs.ensemble import Members
from covidnet.runs.files import WISH, count_test, write_results
from covidnet.runs.members import members_of


def keep_wish_of_series(folder: Path, name: str, wish: Wish, wanted: float) -> dict[str, Any]:
    """Keep a wish for the ensemble of a repeat; return what the threshold that meets it gives, as ``keep_wish`` does.

    The threshold follows from what the runs said of their common validation images; no model looks at them anew. The
    look at the test is counted in the directory of the repeat.

    Args:
        folder: Of the repeat.
        name: The class.
        wish: What is to be reached on validation.
        wanted: How much of it, in (0, 1].

    Raises:
        UserError: Where the runs have no calibrated mean, or no threshold meets the wish.
    """
    members = Members(folder, members_of(folder))
    seen = {split: members.told_of(split) for split in ("val", "test")}
    val, test = seen["val"], seen["test"]
    if not members.calibration or val is None or test is None or members.tested is None:
        raise UserError(f"The ensemble of {folder} keeps no threshold. {members.unfitted or 'It has no common test.'}")
    temperature, classes = members.calibration["temperature"], members.preprocessing.classes
    decision = members.decision_for(val, temperature, name, wish, wanted)
    data = radiographs_of(members.recipe, members.tested)
    given = {
        split: decision_scores(
            softmax(one.logits / temperature, axis=1), one.labels, classes, decision, data.patients(split)
        )
        for split, one in (("val", val), ("test", test))
    }
    rates = {key: given["val"][key] for key in (*WISHES, "confusion_matrix", "intervals")}
    write_results(folder / WISH, {"class": name, "wish": wish, "wanted": wanted})
    count_test(folder, f"threshold of {name}, {wish} {wanted:g}")
    return {**given["test"], "validation": rates}


def take_back_of_series(folder: Path) -> bool:
    """Take a kept wish back; return whether there was one."""
    there = (folder / WISH).is_file()
    (folder / WISH).unlink(missing_ok=True)
    return there
