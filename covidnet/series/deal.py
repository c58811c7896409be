"""Which images of a folder ``crossval`` divides into folds, which stay apart, and what is told of it."""

from dataclasses import dataclass

from covidnet.data.division.folds import Folds, deal_folds
from covidnet.data.radiographs import Radiographs


@dataclass(frozen=True)
class Deal:
    """The folds of a folder, and sentences on what they are."""

    folds: Folds
    notes: list[str]


def deal_images(data: Radiographs, k: int) -> Deal:
    """Divide the images of a folder into k folds; those of a test that is given stay apart.

    Raises:
        UserError: As ``deal_folds``.
    """
    division = data.division
    apart = [n for n, path in enumerate(division.paths) if n >= division.own or division.sides.get(path) == "test"]
    away = {*apart}
    part = [n for n in range(division.own) if n not in away]
    folds = deal_folds(
        [division.paths[n] for n in part],
        [division.labels[n] for n in part],
        division.patients[part].tolist(),
        division.classes,
        k=k,
        seed=division.seed,
        val_fraction=division.val_fraction,
    )
    tested = {int(group) for group in division.patients[apart]}
    shared = sum(group in tested for group in folds.groups)
    return Deal(folds, _notes(data, len(apart), shared))


def _notes(data: Radiographs, apart: int, shared: int) -> list[str]:
    """Return what is told of the images in the folds and of those in none, a sentence each."""
    notes = [f"data.test_per_class={data.test_per_class} is not used: each image is in the test of one fold."]
    if data.test_folder:
        notes.append(
            f"The {apart:,} images of {data.test_root} (data.test_root) are in no fold: covidnet evaluate, given the "
            "directory of the crossval and that folder, tests all folds together on them."
        )
    elif apart:
        notes.append(
            f"The data give {apart:,} test images: they are in no fold. The others are divided anew, whether they are "
            "given for training or for validation; data.use_split=false divides all."
        )
    elif data.sides:
        notes.append("The data give a split without a test: all images are divided into folds.")
    if shared:
        notes.append(
            f"{shared:,} images in the folds are of the same patients or groups as test images in no fold: what "
            "they say of unseen patients is too good."
        )
    return notes
