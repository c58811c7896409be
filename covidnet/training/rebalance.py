"""``covidnet rebalance``: a run -> another, its last layer fitted anew to classes and sources that weigh alike.

It has the files of any run, so that whatever reads a run reads it.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from covidnet.batch import to_images
from covidnet.data.division.sources import OTHERS, UNKNOWN, sources_of
from covidnet.data.radiographs import Radiographs
from covidnet.data.walk import is_file
from covidnet.errors import UserError, some
from covidnet.evaluation.calibration import fit_temperature
from covidnet.evaluation.comparison import compare_recalls
from covidnet.evaluation.fit import fit_calibration
from covidnet.machine.device import find_device
from covidnet.models.last_linear import take_last_linear
from covidnet.models.outputs import outputs_of
from covidnet.models.parts.epoch import Outputs
from covidnet.runs.checkpoint import Checkpoint, finish_checkpoint
from covidnet.runs.claim import hold, next_folder
from covidnet.runs.files import (
    CHECKPOINT,
    CONFIG,
    FOLD,
    LOCK,
    METRICS,
    PREDICTED,
    RESULTS,
    SEED,
    SPLIT,
    TESTS,
    count_test,
    write_results,
)
from covidnet.runs.predictions import read_predictions, write_predictions
from covidnet.runs.run import Run
from covidnet.runs.scoring import scores_of_test
from covidnet.training.fitted import tell_too_few
from covidnet.training.groups import by_group
from covidnet.training.reweighting import SMALLEST, STRENGTHS, Choice, Material

ENOUGH = 100  # held-out images of a class and source: where each has as many, training images are left alone
FEW = 10  # test images of a class and source: a recall of fewer is no worst one
KEPT = (CONFIG, SPLIT, METRICS, TESTS)  # files of the run that are the new one's too
OF_THE_NETWORK = ("classes", "counts", "epochs", "best_epoch", "versions", "seconds", "source_probe")
_TABLE = "a metadata.csv with the columns path and source (covidnet audit begins one)"
_REMEDIES = {
    None: f"Put {_TABLE} into the folder of the images",
    "none": f"It was trained with data.metadata=none: train without that key, {_TABLE} in the folder of the images",
}
TRIED = 4  # images by which the last layer is found


class _Fitted(NamedTuple):
    """What came of a fit: the weights by name, and what was fitted to the held-out images that a layer had not seen."""

    weights: dict[str, torch.Tensor]
    held: Outputs
    calibration: dict[str, Any]
    told: dict[str, Any]


def rebalance(folder: Path, out: Path | None = None, device: str | None = None) -> tuple[Path, dict[str, Any]]:
    """Fit the last layer of a run's best model anew; test that once, and write it as a run of its own.

    The layer is fitted to the validation images, and to the training images too where these are few and it helps. So
    temperature, thresholds and prediction sets are fitted to what layers said of validation images that each of them
    had not seen; ``val_predictions.csv`` holds just that.

    Args:
        folder: Of a finished run.
        out: The new run's directory, which must not be there; the next number beside the run where None.
        device: As torch names it; a GPU where there is one, if None.

    Returns:
        The new run's directory, and what its ``results.json`` holds.

    Raises:
        UserError: Where the run lacks what it takes, no class has two sources, or the network does not end with a
            linear layer.
    """
    run = _opened(folder)
    if out is not None and out.exists() and (not out.is_dir() or {file.name for file in out.iterdir()} - {str(LOCK)}):
        raise UserError(f"--out {out} must be a new or an empty folder.")
    data, where = run.open_data(), find_device(device)
    try:
        data.tell()
        sources = np.array(_sources(data, folder), dtype=object)
    except UserError:
        _refuse_gone(run, data)
        raise
    with _claimed(folder, out) as new:  # before the work: a place that cannot be written is told at once
        fitted = _fit(run, data, sources, where)
        for name in KEPT:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, new / name)
        (new / CHECKPOINT).parent.mkdir(exist_ok=True)
        layer = {"weights": fitted.weights, "calibration": fitted.calibration}
        finish_checkpoint(run.checkpoint, out=new / CHECKPOINT, **layer)
        tested, class_weights = _outputs(Checkpoint(new / CHECKPOINT), data, "test", where)
        for split, said in {"val": fitted.held, "test": tested}.items():
            paths = [data.images.paths[number] for number in data.numbers(split)]
            write_predictions(new / PREDICTED[split], paths, *said, data.classes)
        scores = scores_of_test(*tested, data, class_weights, fitted.calibration)
        results = {
            "best": scores,
            **{key: run.results[key] for key in OF_THE_NETWORK if key in run.results},
            "rebalanced": fitted.told | _compared(run, new, data, sources),
            **by_group(tested, data, fitted.calibration["temperature"]),
            "test_evaluations": count_test(new, "rebalanced"),
        }
        write_results(new / RESULTS, results)
    return new, results


def _opened(folder: Path) -> Run:
    run = Run(folder)
    missing = [str(name) for name in (CONFIG, SPLIT, CHECKPOINT, PREDICTED["test"]) if not (folder / name).is_file()]
    if missing or "best" not in run.models:
        raise UserError(
            f"{folder} lacks {', '.join(missing) or 'the scores of a best model'}: the last layer that is fitted anew "
            "is that of a run which has trained and tested a model. Train with the command run."
        )
    if run.results.get("rebalanced"):
        raise UserError(f"{folder} is rebalanced already. Give the run that it was made of.")
    return run


def _refuse_gone(run: Run, data: Radiographs) -> None:
    """Refuse a run whose images are not where they were, for which other messages name keys that a training takes."""
    files = [data.image_file(row["path"]) for row in run.split]
    if gone := [str(file) for file in files if not is_file(file)]:
        raise UserError(
            f"{len(gone):,} of {len(files):,} images of {run.folder} are not where they were in its training: "
            f"{some(gone, 3, ', ')}. The last layer is fitted anew to these images: put them back."
        )


def _sources(data: Radiographs, folder: Path) -> list[str]:
    """Return the source of each image.

    Raises:
        UserError: Where none is known, or no class has two among the images that a layer may be fitted to.
    """
    sources = sources_of(data.images.paths, data.division.rows)
    fitted = [number for split in ("train", "val") for number in data.numbers(split)]
    known = {(data.images.labels[number], sources[number]) for number in fitted}
    if {source for _, source in known} == {UNKNOWN}:
        raise UserError(
            f"No table names the source of any training or validation image of {folder}, so there is nothing to "
            f"balance. {_REMEDIES.get(data.given_metadata, f'Add a column source to {data.given_metadata}')}, and give "
            "the command anew."
        )
    if len({label for label, _ in known}) == len(known):
        pairs = [f"{data.classes[label]} from {source}" for label, source in sorted(known)]
        raise UserError(
            f"Each class of {folder} is of one source ({some(pairs, 5)}), so that nobody can tell the class from the "
            "source. Find images of a class from another source too; no last layer can make up for them."
        )
    return sources


def _fit(run: Run, data: Radiographs, sources: NDArray[np.object_], device: torch.device) -> _Fitted:
    """Fit the last layer of a run's best model, and what is fitted to a model on its validation images."""
    assert run.best is not None
    model = run.best.model().to(device)
    splits = {name: data.numbers(name) for name in ("val", "train")}
    if not len(splits["val"]):
        raise UserError(f"{run.folder} has no validation images, to which the last layer would be fitted.")
    labels = np.array(data.images.labels, dtype=np.int64)
    pixels = torch.from_numpy(data.images.gather(splits["val"][:TRIED])).to(device)
    name = take_last_linear(model, to_images(pixels))
    if _fewest(labels[splits["val"]], sources[splits["val"]]) >= ENOUGH:
        splits["train"] = splits["train"][:0]
    numbers = np.concatenate(list(splits.values()))
    features, _ = outputs_of(model, data.images.gather, numbers, device, title="computing features")
    held = np.arange(len(numbers)) < len(splits["val"])
    of = (labels[numbers], sources[numbers], data.division.patients[numbers], held)
    material = Material.of(features, *of)
    _refuse_few_patients(material, data.classes)
    choice = material.choose()
    logits, truth = material.out_of_fold(choice.strength, training=choice.training), labels[splits["val"]]
    # A strong penalty makes faint logits, whose softmax would say of each image that it may be anything.
    temperature = fit_temperature(logits, truth)
    said = Outputs((logits / temperature).astype(np.float32), truth)
    calibration = fit_calibration(*said, data.classes)
    assert calibration is not None  # of finite numbers
    tell_too_few(calibration)
    found = material.fit(material.usable(training=choice.training), choice.strength).tempered(temperature)
    weights = {f"{name}.{kind}": torch.from_numpy(getattr(found, kind)) for kind in ("weight", "bias")}
    return _Fitted(weights, said, calibration, _told(run.folder, material, choice, data.classes))


def _refuse_few_patients(material: Material, classes: Sequence[str]) -> None:
    for name, patients in zip(classes, material.held_patients(), strict=True):
        if patients < 2:
            raise UserError(
                f"The validation images of {name} are of {patients} patient or group, but two or more are needed: one "
                "to fit the last layer, another to calibrate it. Train with a larger data.val_fraction."
            )


def _fewest(labels: NDArray[np.int64], sources: NDArray[np.object_]) -> int:
    """Return the images of the rarest class and source."""
    _, counts = np.unique(
        [f"{label}/{source}" for label, source in zip(labels, sources, strict=True)], return_counts=True
    )
    return int(counts.min())


def _told(folder: Path, material: Material, choice: Choice, classes: Sequence[str]) -> dict[str, Any]:
    """Return what results.json says of the fit."""
    groups = material.groups(classes, training=choice.training)
    held, used = int(material.held.sum()), int(material.usable(training=choice.training).sum())
    alone = [classes[label] for label in material.alone()]
    told = {
        "run": "/".join(folder.absolute().parts[-2:]),
        "held_out": held,
        "training": used - held,
        "strength": choice.strength,
        "strengths": list(STRENGTHS),
        "chosen_by": choice.chosen_by,
        "losses": choice.losses,
        "groups": groups,
        "one_source": alone,
        "few": [group for group in groups if group["images"] < SMALLEST],
    }
    return {**told, "sentence": _sentence(told)}


def _sentence(told: Mapping[str, Any]) -> str:
    training = f" and {told['training']:,} training images" if told["training"] else " images"
    parts = [
        f"The last layer of {told['run']} was fitted anew to its {told['held_out']:,} validation{training}, weighed "
        f"alike over {len(told['groups'])} groups by class and source, with an L2 penalty of {told['strength']:g}, "
        f"chosen by {told['chosen_by']}."
    ]
    for name in told["one_source"]:
        source = next(group["source"] for group in told["groups"] if group["class"] == name)
        of = f"one source, {source}" if source != OTHERS else f"sources of fewer than {SMALLEST} images each"
        parts.append(f"{name} is of {of}, and is balanced by class alone: it may still be told by that.")
    for group in told["few"]:
        parts.append(
            f"Of {group['class']}, {group['source']} has {group['images']} images, which weigh as much as any other "
            "source of the class: that is little to learn from."
        )
    return " ".join(parts)


def _outputs(
    checkpoint: Checkpoint, data: Radiographs, split: str, device: torch.device
) -> tuple[Outputs, NDArray[np.floating]]:
    """Return what a checkpoint's model says of a split, and its class weights."""
    model, numbers = checkpoint.model().to(device), data.numbers(split)
    logits, _ = outputs_of(model, data.images.gather, numbers, device, title=f"looking at {split} images")
    return Outputs(logits, np.array(data.images.labels)[numbers]), model.class_weights.numpy(force=True)


def _compared(run: Run, new: Path, data: Radiographs, sources: NDArray[np.object_]) -> dict[str, Any]:
    """Return the recall of each class and source on the test, before and after, and the worst ones."""
    after = read_predictions(new / PREDICTED["test"])
    assert run.predictions is not None
    before = run.predictions.spelt_as(after.paths).of(after.paths, after.classes)
    numbers = data.numbers("test")
    both = (before.probabilities[None], after.probabilities[None])
    cells = compare_recalls(*both, after.labels, sources[numbers].tolist(), data.patients("test"))
    kept = ("source", "images", "first", "second", "difference", "interval")
    rows = [{"class": after.classes[cell["label"]], **{key: cell[key] for key in kept}} for cell in cells]
    rows.sort(key=lambda row: after.classes.index(row["class"]))  # by source within
    enough = [row for row in rows if row["images"] >= FEW]
    worst = {side: min(enough, key=lambda row: row[side]) for side in ("first", "second")} if enough else {}
    named = {side: {"class": row["class"], "source": row["source"], "recall": row[side]} for side, row in worst.items()}
    return {"cells": rows, "worst": named}


@contextmanager
def _claimed(folder: Path, out: Path | None) -> Iterator[Path]:
    """Make the new run's directory and hold its lock; where the work fails, nothing of it stays."""
    here = folder if folder.name not in ("", "..") else folder.resolve()
    beside = here.parent.parent if here.name.startswith((SEED, FOLD)) else here.parent  # in a series it would be a seed
    new = out or next_folder(beside, "version_")
    new.mkdir(parents=True, exist_ok=True)
    lock = hold(new, LOCK)
    if lock is None:
        raise UserError(f"Another process writes in {new}. Give another --out FOLDER.")
    try:
        yield new
    except BaseException:
        shutil.rmtree(new)
        raise
    finally:
        lock.release()
