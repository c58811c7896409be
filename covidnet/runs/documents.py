"""The JSON files of a run -> plain values, each of the kind that this program reads there.

Such a file may be a stranger's, or of another version. What is not read is left alone.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from covidnet.data.spelling import all_composed
from covidnet.errors import UserError
from covidnet.evaluation.decision import WISHES
from covidnet.evaluation.names import METRICS
from covidnet.evaluation.subgroups import METRICS as SUBGROUP_METRICS
from covidnet.files import reading
from covidnet.files.plain import is_mapping, is_number, is_whole
from covidnet.files.reading import UNREADABLE
from covidnet.runs.files import (
    AUDIT,
    COMPARISON,
    CROSSVAL,
    EXTERNAL,
    LUNGS_APART,
    LUNGS_FOLDERS,
    LUNGS_RUNS,
    MODELS,
    PARTS,
    REPEAT,
    RESULTS,
    SHORTCUTS,
    WISH,
)

Kind = Callable[[Any, str], None]  # raises a ValueError that names the place of a value that is of another kind

MOST = 10**12  # images, epochs and the like
_LUNGS = re.compile(rf"{LUNGS_RUNS}(/{LUNGS_APART}\w+)?")
LEVELS = ("PASS", "WARN", "FAIL")


def read_json(file: Path) -> Any:
    """Return what a JSON file of a run holds, its names composed, or None where it is not there.

    Raises:
        UserError: Where it cannot be read, or a value in it is of another kind than this program writes there.
    """
    if not file.is_file():
        return None
    try:
        content = reading.read_json(file)
        if file.name in KINDS:
            KINDS[file.name](content, "it")
    except UNREADABLE as error:
        raise UserError(f"{file} cannot be read as JSON: {error}. Move it away, or write it anew.") from error
    return all_composed(content)


def _one(told: str, holds: Callable[[Any], bool]) -> Kind:
    def check(value: Any, where: str) -> None:
        if not holds(value):
            raise ValueError(f"{where} is not {told}")

    return check


def maybe(kind: Kind) -> Kind:
    """Return the kind of what may be None, too."""
    return lambda value, where: None if value is None else kind(value, where)


def many(kind: Kind, least: int = 0) -> Kind:
    """Return the kind of a list."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or len(value) < least:
            raise ValueError(f"{where} is not a list{f' of {least} or more' if least else ''}")
        for number, one in enumerate(value):
            kind(one, f"{where}[{number}]")

    return check


def each(kind: Kind, least: int = 0) -> Kind:
    """Return the kind of values by name."""

    def check(value: Any, where: str) -> None:
        if not is_mapping(value) or len(value) < least:
            raise ValueError(f"{where} is not keys with values")
        for name, one in value.items():
            kind(one, f"{where}.{name}")

    return check


def keys(known: Mapping[str, Kind], *needed: str) -> Kind:
    """Return the kind of keys of which some are known, and some of these needed."""

    def check(value: Any, where: str) -> None:
        if not is_mapping(value):
            raise ValueError(f"{where} is not keys with values")
        for name in needed:
            if name not in value:
                raise ValueError(f"{where} lacks {name}")
        for name in value.keys() & known.keys():
            known[name](value[name], f"{where}.{name}")

    return check


def columns(kind: Kind, *names: str) -> Kind:
    """Return the kind of lists under these names, all of one length."""

    def check(value: Any, where: str) -> None:
        keys(dict.fromkeys(names, many(kind, 1)), *names)(value, where)
        if len({len(value[name]) for name in names}) > 1:
            raise ValueError(f"{where} has lists of different lengths")

    return check


TEXT = _one("a text", lambda value: isinstance(value, str))
NUMBER = _one("a number", is_number)
COUNT = _one("a whole number, 0 or more", lambda value: is_whole(value, 0, MOST))
TRUTH = _one("true or false", lambda value: isinstance(value, bool))
A_WISH = _one(f"one of {', '.join(WISHES)}", lambda value: value in WISHES)
LUNGS_PLACE = _one("a folder of the lungs test", lambda value: bool(isinstance(value, str) and _LUNGS.fullmatch(value)))
LEVEL = _one(f"one of {', '.join(LEVELS)}", lambda value: value in LEVELS)
HEAT = _one("a number above 0", lambda value: is_number(value, 1e-6, 1e6))
PAIR = _one("two numbers", lambda value: isinstance(value, list) and len(value) == 2 and all(map(is_number, value)))

# A metric is a number wherever it stands, or None where it could not be computed.
MEASURED: dict[str, Kind] = {
    **{metric.key: maybe(NUMBER) for metric in METRICS},
    "support": COUNT,
    "intervals": maybe(each(maybe(PAIR))),
}
OF_CLASS = keys(MEASURED, "support")
OF_SET = {**MEASURED, "least": NUMBER}
SETS = keys({**MEASURED, "per_class": each(keys(OF_SET, "support", "least"))}, "per_class")
SETS_OF_FOLDS = keys({**MEASURED, "per_class": each(keys(OF_SET, "support"))}, "per_class")  # compared, by no threshold
USE = keys(
    {
        **MEASURED,
        "net_benefit": columns(NUMBER, "threshold", "model", "low", "high", "all"),
        "calibration_curve": columns(maybe(NUMBER), "probability", "share", "low", "high"),
        "score_counts": each(many(COUNT, 1), 1),
    },
    *("net_benefit", "calibration_curve", "score_counts"),
)


def _use(content: Any, where: str) -> None:
    each(USE)(content, where)
    for name, use in content.items():
        columns(COUNT, name, *use["score_counts"])(use["score_counts"], f"{where}.{name}.score_counts")


DECIDED = {**MEASURED, "confusion_matrix": many(many(COUNT))}
WISHED: dict[str, Kind] = {
    **dict.fromkeys(("class", "wish"), TEXT),
    **dict.fromkeys(("wanted", "threshold"), NUMBER),
}
DECISION = keys({**DECIDED, **WISHED, "validation": keys(DECIDED)}, *WISHED, "confusion_matrix")
SCORES_KEYS: dict[str, Kind] = {
    **MEASURED,
    "notice": TEXT,
    "per_class": each(OF_CLASS, 1),
    "confusion_matrix": many(many(COUNT)),
    "calibrated": maybe(keys({**MEASURED, "temperature": HEAT}, "temperature")),
    "thresholds": maybe(each(keys(MEASURED, "threshold"))),
    "prediction_sets": maybe(SETS),
    "use": maybe(_use),
    "decision": maybe(DECISION),
}
SCORES = keys(SCORES_KEYS, "per_class")
PART_KEYS = {**SCORES_KEYS, "overall": keys(MEASURED), "images": COUNT, "in_training": maybe(TRUTH)}
PART = keys(PART_KEYS)
DROP = keys({"value": maybe(NUMBER), "interval": maybe(PAIR)})
DIFFERENCE: dict[str, Kind] = {
    **dict.fromkeys(("first", "second", "difference"), NUMBER),
    **dict.fromkeys(("interval", "seed_interval"), maybe(PAIR)),
    **dict.fromkeys(("first_runs", "second_runs"), many(NUMBER, 1)),
}
NEEDED = ("first", "second", "difference", "interval", "first_runs", "second_runs")  # an older one has these alone
DIFFERING = keys(DIFFERENCE, *NEEDED)
CELL: dict[str, Kind] = {"source": TEXT, "class": TEXT, "images": COUNT, "in_training": maybe(TRUTH)}
GROUP: dict[str, Kind] = {"attribute": TEXT, "group": TEXT, "images": COUNT}
COMPARED = keys(
    {
        "images": COUNT,
        "over": many(TEXT),
        "metrics": keys({"balanced_accuracy": DIFFERING}, "balanced_accuracy"),
        "cells": many(keys({**DIFFERENCE, **CELL}, *CELL, *NEEDED)),
        "groups": many(keys({**DIFFERENCE, **GROUP}, *GROUP, *NEEDED)),
    },
    "images",
    "metrics",
)
FINDING = keys({"name": TEXT, "verdict": LEVEL, "sentence": TEXT}, "name", "verdict", "sentence")


TABLE = each(each(COUNT))
CLASS_BY = each(
    keys(
        {"cramers_v": maybe(NUMBER), "interval": maybe(PAIR), "table": TABLE, "unknown": COUNT, "counts": each(TABLE)},
        *("cramers_v", "interval", "table", "unknown"),
    )
)
GAP = keys(
    {**dict.fromkeys(("class", "lowest", "highest"), TEXT), "value": NUMBER, "interval": PAIR},
    *("class", "lowest", "highest", "value", "interval"),
)
IN_GROUP = keys({**MEASURED, **dict.fromkeys(SUBGROUP_METRICS, maybe(NUMBER))}, "support", *SUBGROUP_METRICS)
GROUPS = keys(
    {"groups": each(keys({"images": COUNT, "per_class": each(IN_GROUP)}, "images")), "gaps": each(GAP)},
    *("groups", "gaps"),
)


def _groups(content: Any, where: str) -> None:
    """Check that a gap is between two scores that are there."""
    GROUPS(content, where)
    for metric, gap in content["gaps"].items():
        for end in ("lowest", "highest"):
            of_class = content["groups"].get(gap[end], {}).get("per_class", {}).get(gap["class"], {})
            if metric not in SUBGROUP_METRICS or of_class.get(metric) is None:
                raise ValueError(f"{where}.gaps.{metric} is of a score that is not there")


SUBGROUPS = each(_groups)
TOLD = {"auroc": NUMBER, "interval": PAIR, "by_chance": PAIR, "sources": each(COUNT)}
SOURCE_PROBE = each(keys(TOLD, *TOLD))

REWEIGHTED: dict[str, Kind] = {"class": TEXT, "source": TEXT, "images": COUNT}
CHANGED = {**REWEIGHTED, **dict.fromkeys(("first", "second", "difference"), NUMBER), "interval": maybe(PAIR)}
REBALANCED: dict[str, Kind] = {
    "run": TEXT,
    "sentence": TEXT,
    "strength": NUMBER,
    "groups": many(keys(REWEIGHTED, *REWEIGHTED)),
    "cells": many(keys(CHANGED, *CHANGED)),
}


def _results(content: Any, where: str) -> None:
    known = {
        **dict.fromkeys(MODELS, SCORES),
        "classes": many(TEXT, 1),
        "counts": each(each(COUNT)),
        "seconds": maybe(keys({"fit": NUMBER}, "fit")),
        "versions": maybe(each(TEXT)),
        "class_by": maybe(CLASS_BY),
        "subgroups": maybe(SUBGROUPS),
        "source_probe": maybe(SOURCE_PROBE),
        "rebalanced": keys(REBALANCED, *REBALANCED),
        **dict.fromkeys(("epochs", "best_epoch", "test_evaluations"), maybe(COUNT)),
    }
    keys(known)(content, where)
    models = [name for name in MODELS if name in content]
    classes = content.get("classes") or [*content[models[0]]["per_class"]] if models else []
    for name in models:
        scores = content[name]
        if set(scores["per_class"]) != set(classes) or len(set(classes)) != len(classes):
            raise ValueError(f"{where}.{name}.per_class is of other classes than {where}.classes")
        matrix = scores.get("confusion_matrix", [[0] * len(classes)] * len(classes))
        if len(matrix) != len(classes) or any(len(row) != len(classes) for row in matrix):
            raise ValueError(f"{where}.{name}.confusion_matrix is not of {len(classes)} classes")
    if any(set(counts) != set(classes) for counts in content.get("counts", {}).values()):
        raise ValueError(f"{where}.counts is of other classes than {where}.classes")


# Of all folds together, whose temperatures, thresholds and sets are each run's own.
POOLED_KEYS = {key: kind for key, kind in SCORES_KEYS.items() if key not in ("thresholds", "prediction_sets")}
POOLED = keys({**POOLED_KEYS, "calibrated": maybe(keys(MEASURED))}, "per_class")
MEAN = each(maybe(keys(dict.fromkeys(("mean", "sd", "min", "max"), maybe(NUMBER)))))  # by metric
SERIES: dict[str, Kind] = {"runs": many(TEXT), "warning": TEXT, "meaning": TEXT, "notes": many(TEXT)}

KINDS: Mapping[str, Kind] = {
    RESULTS: _results,
    REPEAT: keys({**SERIES, "ensemble": SCORES, "best": MEAN, "final": MEAN}),
    CROSSVAL: keys({**SERIES, "pooled": POOLED}),
    SHORTCUTS: keys(
        {
            **dict.fromkeys(("whole", *LUNGS_FOLDERS), maybe(keys(SCORES_KEYS))),
            **dict.fromkeys(("sentence", "masks", "lungs"), TEXT),
            "verdict": LEVEL,
            "runs": LUNGS_PLACE,
            "crop": TRUTH,
        },
        "verdict",
        "sentence",
    ),
    EXTERNAL: keys(
        {
            **PART_KEYS,
            **dict.fromkeys(("checkpoint", "root", "sentence"), TEXT),
            "per_class": maybe(each(keys(MEASURED))),
            "per_source": maybe(each(PART)),
            "inside": maybe(PART),
            "members": many(keys({**MEASURED, "run": TEXT}, "run")),
            "out_of_fold": TRUTH,
            "prediction_sets": maybe(SETS_OF_FOLDS),
            "drop": maybe(each(DROP)),
            "class_by": maybe(CLASS_BY),
            "subgroups": maybe(SUBGROUPS),
            "seen": maybe(keys({"images": maybe(keys({}))})),
        }
    ),
    AUDIT: keys({"verdict": LEVEL, "checks": many(FINDING)}, "verdict", "checks"),
    WISH: keys(
        {"class": TEXT, "wish": A_WISH, "wanted": NUMBER},
        "class",
        "wish",
        "wanted",
    ),
    COMPARISON: keys(
        {
            **dict.fromkeys(("first", "second", "sentence"), TEXT),
            "runs": many(COUNT, 2),
            "notes": many(TEXT),
            "parts": keys(dict.fromkeys(PARTS, COMPARED)),
            "survives": maybe(DIFFERING),
        },
        *("first", "second", "sentence", "runs", "notes", "parts", "survives"),
    ),
}
