"""Whether one recipe is better than another, paired on the same images.

A and B are each a run, or a series. A repeat stands for the mean of its seeds or for their ensemble, as is asked for. A
cross-validation stands, inside, for what it says of each image out of fold.
"""

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from covidnet.data.attributes import attributes_in
from covidnet.data.division.metadata import linked_groups
from covidnet.data.radiographs import Radiographs
from covidnet.data.spelling import Spellings
from covidnet.errors import UserError, did_you_mean, some
from covidnet.evaluation.comparison import compare_groups, compare_outputs, compare_recalls, compare_sides
from covidnet.evaluation.survival import compare_survival
from covidnet.evidence.compare_table import sentence
from covidnet.files.reading import read_yaml
from covidnet.runs.checkpoint import find_radiographs
from covidnet.runs.documents import read_json
from covidnet.runs.files import (
    CONFIG,
    CROSSVAL,
    EXTERNAL,
    EXTERNAL_PREDICTIONS,
    LUNGS_FOLDERS,
    LUNGS_RUNS,
    PARTS,
    PREDICTIONS,
    SEED,
    SHORTCUTS,
)
from covidnet.runs.find import newest_run, runs_of_side
from covidnet.runs.predictions import Predictions, read_predictions, together

Groups = NDArray[np.int64] | None  # (N,) a number for each image's patient or group; None where each stands for itself


@dataclass(frozen=True)
class Matched:
    """What the runs of both sides say of the N images that all of them have."""

    first: NDArray[np.float64]  # (S, N, C)
    second: NDArray[np.float64]  # (T, N, C)
    images: Predictions  # what the first run says of them
    left_out: list[int]  # images of each side that are not compared


def compare_runs(
    first: Path, second: Path, over: Sequence[str] | None = None, ensembles: Collection[int] = ()
) -> dict[str, Any]:
    """Compare two runs or series on the images that all their runs have, matched by their paths.

    Args:
        first: The directory A.
        second: The directory B.
        over: Classes of the scores outside, which are then of their images only; all that are there where left out.
        ensembles: Which sides, 0 and 1, stand for one model: the softmax of the mean logits of their runs.

    Returns:
        ``first`` and ``second``; ``runs``, how many each stands for, and ``called``, the same in words; ``classes``;
        ``parts``: of ``inside``, and of ``lungs_only``, ``lungs_covered``, ``swapped_at_test`` and ``outside`` where
        all runs have been so tested, ``images``, ``left_out`` of each side, ``patients`` or None where every image
        counts as independent, and ``metrics`` as ``evaluation.comparison.compare_sides`` gives them, second minus
        first. Of one run against one, ``inside`` has all of ``compare_outputs``, and of any its ``groups``, as
        ``compare_groups``; ``outside`` has the classes it is ``over`` and ``cells``, the recall of each source and
        class. ``survives``: of the skill without lungs, or None. ``notes``, what limits all this; and the
        ``sentence``.

    Raises:
        UserError: Where predictions are missing, or the runs' classes, labels or images do not agree.
    """
    names = (first, second)
    sides = [runs_of_side(folder) for folder in names]
    read, untested = _read(names, sides, ensembles)
    if over and "outside" not in read:
        raise UserError(f"--over names classes elsewhere, but {untested[-1]} Make it, or leave --over out.")

    folders = [known for known in (_images_of(side[0]) for side in sides) if known]
    notes = []
    if len({tuple(root.resolve() for root in folder.roots.values()) for folder in folders}) > 1:
        notes.append(
            f"The runs read different folders, {folders[0].place} and {folders[1].place}: images are matched by their "
            "paths below them."
        )
    parts: dict[str, dict[str, Any]] = {}
    for part, predictions in read.items():
        matched = _match(predictions, names, part)
        if any(matched.left_out):
            notes.append(
                f"{PARTS[part]}: compared on the {len(matched.images.paths)} images that all runs have; "
                f"{matched.left_out[0]} of A and {matched.left_out[1]} of B are left out."
            )
        if part == "outside":
            parts[part] = _compare_outside(matched, sides, over)
            continue
        groups, told = _patients(folders, matched.images.paths)
        notes.append(told)
        parts[part] = {
            "images": len(matched.images.paths),
            "left_out": matched.left_out,
            "patients": len(np.unique(groups)) if groups is not None else None,
            **_compare_inside(matched, groups, tested=part == "inside"),
        }
        if part == "inside":
            known = _attributes(folders, matched.images.paths)
            parts[part]["groups"] = compare_groups(matched.first, matched.second, matched.images.labels, known, groups)
    called = [_called(*side, number in ensembles) for number, side in enumerate(zip(names, sides, strict=True))]
    report = {
        "first": str(first),
        "second": str(second),
        "runs": [len(side) for side in read["inside"]],
        "called": called,
        "classes": read["inside"][0][0].classes,
        "parts": parts,
        "survives": _compare_survival(read, names, folders) if "lungs_covered" in read else None,
        "notes": [*dict.fromkeys(notes), *_lungs_note(sides), *untested],
    }
    return {**report, "sentence": sentence(report)}


def _read(
    names: tuple[Path, Path], sides: Sequence[Sequence[Path]], ensembles: Collection[int]
) -> tuple[dict[str, list[list[Predictions]]], list[str]]:
    """Return what both sides say in each part that both have been tested in, and why not in the others."""
    read: dict[str, list[list[Predictions]]] = {}
    untested: list[str] = []
    for part in PARTS:
        tested = [_tested_in(part, *side) for side in zip(names, sides, strict=True)]
        lacking = [one for side in tested for one in side if _file(one, part) is None]
        if not all(tested):
            untested.append(f"{PARTS[part]} is not compared: the folds of a cross-validation have no image in common.")
        elif not lacking:
            found = [[read_predictions(file) for one in side if (file := _file(one, part))] for side in tested]
            read[part] = [[together(side)] if number in ensembles else side for number, side in enumerate(found)]
        elif part == "inside":
            raise UserError(
                f"{lacking[0]} holds no {PREDICTIONS}. Write it:\n"
                f"covidnet predict {shlex.join([str(lacking[0]), '--out', str(lacking[0] / PREDICTIONS)])}"
            )
        else:
            command = "evaluate RUN FOLDER" if part == "outside" else "shortcuts RUN"
            untested.append(f"{PARTS[part]} is not compared: {lacking[0]} lacks it, which covidnet {command} makes.")
    return read, untested


def _tested_in(part: str, folder: Path, side: Sequence[Path]) -> Sequence[Path]:
    """Return the directories whose predictions of a part a side stands for; none where its runs share no image."""
    if not (folder / CROSSVAL).is_file() or part == "outside":
        return side
    return [folder] if part == "inside" else []


def _called(folder: Path, side: Sequence[Path], ensemble: bool) -> str:
    if ensemble:
        return f"ensemble of {len(side)}"
    if (folder / CROSSVAL).is_file():
        return f"{len({run.name.partition(f'_{SEED}')[0] for run in side})} folds"
    return "1 run" if len(side) == 1 else f"{len(side)} seeds"


def _file(one: Path, part: str) -> Path | None:
    """Return where a run's predictions of a part are, None where they are not there."""
    if part in LUNGS_FOLDERS:
        place = _lungs_test(one).get("runs", LUNGS_RUNS)
        run = newest_run(one / place / LUNGS_FOLDERS[part])
        return _file(run, "inside") if run else None
    file = one / (EXTERNAL_PREDICTIONS if part == "outside" else PREDICTIONS)
    return file if file.is_file() else None


def _lungs_test(run: Path) -> dict[str, Any]:
    """Return what a run's lungs test left, nothing where there was none."""
    return read_json(run / SHORTCUTS) or {}


def _lungs_note(sides: Sequence[Sequence[Path]]) -> list[str]:
    """Return a sentence where the lungs of the runs were found by several rules, whose tests are not one."""
    rules = [_lungs_test(run).get("lungs") for side in sides for run in side]
    told = [*dict.fromkeys(filter(None, rules))]
    return (
        [
            f"The lungs tests of these runs are not alike: the lungs lay {some(told, between=' in one and ')} in "
            "another. Test them by one rule: covidnet shortcuts RUN --masks auto|box|FOLDER."
        ]
        if len(told) > 1
        else []
    )


def _match(sides: Sequence[Sequence[Predictions]], names: tuple[Path, Path], part: str) -> Matched:
    """Return what all runs say of the images that all of them have, in the order of the first run."""
    one = sides[0][0]
    sides = [[other.spelt_as(one.paths) for other in side] for side in sides]
    for name, side in zip(names, sides, strict=True):
        for other in side:
            if set(other.classes) != set(one.classes):
                raise UserError(
                    f"{names[0]} tells {one.classes} apart, {name} tells {other.classes}. Compare runs of the same "
                    "classes: train one of them with the data.classes of the other."
                )
    shared = set(one.paths).intersection(*(other.paths for side in sides for other in side))
    paths = [path for path in one.paths if path in shared]
    if not paths:
        mend = (
            "Evaluate both on the same folder"
            if part == "outside"
            else (
                "Compare runs with the same data.root and data.seed, or give one "
                f"data.split_file={names[0] / 'split.csv'}"
            )
        )
        raise UserError(
            f"{names[0]} and {names[1]} have no test image in common: {one.paths[0]} is one of the first's, "
            f"{sides[1][0].paths[0]} of the second's. {mend}."
        )
    matched = [[other.of(paths, one.classes) for other in side] for side in sides]
    images = matched[0][0]
    for name, side in zip(names, matched, strict=True):
        for other in side:
            unlike = np.flatnonzero(other.labels != images.labels)
            if len(unlike):
                label, there = (one.classes[said.labels[unlike[0]]] for said in (images, other))
                why = (
                    "evaluate them with the same --map"
                    if part == "outside"
                    else ("the runs' data.root do not hold the same images")
                )
                raise UserError(
                    f"{paths[unlike[0]]} is {label} in {names[0]} and {there} in {name}, and so for {len(unlike)} of "
                    f"{len(paths)} images: {why}."
                )
    first, second = (np.stack([other.probabilities for other in side]) for side in matched)
    return Matched(
        first,
        second,
        images,
        [len(set().union(*(other.paths for other in side))) - len(paths) for side in sides],
    )


def _compare_inside(matched: Matched, groups: Groups, *, tested: bool) -> dict[str, Any]:
    """Return the metrics; with McNemar's test where it is asked for and well defined, of one run against one."""
    labels = matched.images.labels
    if tested and len(matched.first) == len(matched.second) == 1:
        return compare_outputs(matched.first[0], matched.second[0], labels, groups)
    return {"metrics": compare_sides(matched.first, matched.second, labels, groups)}


def _compare_outside(matched: Matched, sides: Sequence[Sequence[Path]], over: Sequence[str] | None) -> dict[str, Any]:
    """Return the metrics over the images of some classes, and the recall of each source and class."""
    images, classes = matched.images, matched.images.classes
    assert images.sources is not None
    present = [classes[label] for label in np.unique(images.labels)]
    for name in over or ():
        if name not in present:
            raise UserError(
                f"--over {name} is no class with images from elsewhere; those are {', '.join(present)}."
                f"{did_you_mean(name, present)}"
            )
    chosen = list(over or present)
    among = np.isin(images.labels, [classes.index(name) for name in chosen])
    groups = images.patients
    own = groups[among] if groups is not None else None
    reports = [read_json(one / EXTERNAL) or {} for side in sides for one in side]
    cells = compare_recalls(matched.first, matched.second, images.labels, images.sources, groups)
    return {
        "images": int(among.sum()),
        "left_out": matched.left_out,
        "patients": len(np.unique(own)) if own is not None else None,
        "over": chosen,
        "metrics": compare_sides(matched.first[:, among], matched.second[:, among], images.labels[among], own),
        "cells": [
            {
                "source": cell["source"],
                "class": classes[cell.pop("label")],
                "in_training": _in_training(reports, cell["source"]),
                **cell,
            }
            for cell in cells
        ],
    }


def _in_training(reports: Sequence[dict[str, Any]], source: str) -> bool | None:
    """Return whether any run was trained on other images of a source; None where that is not known of all."""
    told = [report.get("per_source", {}).get(source, {}).get("in_training") for report in reports]
    return True if True in told else None if None in told else False


def _compare_survival(
    read: dict[str, list[list[Predictions]]], names: tuple[Path, Path], folders: Sequence[Radiographs]
) -> dict[str, Any] | None:
    """Return how much of each side's skill survives without lungs."""
    pairs = zip(read["inside"], read["lungs_covered"], strict=True)
    matched = _match([[*whole, *covered] for whole, covered in pairs], names, "inside")
    groups, _ = _patients(folders, matched.images.paths)
    first, second = (np.split(side, 2) for side in (matched.first, matched.second))
    return compare_survival((first[0], first[1]), (second[0], second[1]), matched.images.labels, groups)


def _patients(folders: Sequence[Radiographs], paths: list[str]) -> tuple[Groups, str]:
    """Return a number for each image's patient or group, or None, and what is known of them in words."""
    alone = "every image counts as independent."
    if not folders:
        return None, f"The folder of the images is not there any more: {alone}"
    data = folders[0]
    try:
        known = data.metadata
    except UserError as error:
        return None, f"{error} So {alone}"
    named = Spellings(known.rows if known else ())
    rows = {path: known.rows[own] for path in paths if (own := named.find(path))} if known else {}
    if known and rows:
        groups = np.array(linked_groups(paths, rows))
        patients = f"{len(np.unique(groups))} patients or groups"
        return groups, f"The {len(paths)} images are of {patients}, as {known.origin} tells."
    if known:
        return None, f"{known.origin} names none of these images: {alone}"
    if data.given_metadata == "none":
        return None, f"Without a table of patients (data.metadata=none), {alone}"
    return None, f"A metadata.csv in {data.place} or beside it is not there: {alone}"


def _attributes(folders: Sequence[Radiographs], paths: list[str]) -> dict[str, list[str]]:
    """Return the attributes of images, none where the folder or its table is not there any more."""
    try:
        return attributes_in(folders[0], paths) if folders else {}
    except UserError:  # ``_patients`` tells of it
        return {}


def _images_of(run: Path) -> Radiographs | None:
    """Return where a run's images and their table are; None where that is not known or a folder is gone."""
    try:
        section = read_yaml(run / CONFIG)["data"]
        data = find_radiographs(section["class_path"], run / CONFIG)(**section["init_args"])  # knows the default root
        there = all(root.is_dir() for root in data.roots.values())
    # A run of another version, or of a class that is not here.
    except (OSError, yaml.YAMLError, KeyError, TypeError, ImportError, AttributeError, ValueError):
        return None
    return data if there else None
