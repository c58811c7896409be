"""A trained model on images from elsewhere, beside its own test. Joins data, models, evaluation.

Whether images of its training are among them is told by their content.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidnet.data.changes.crop import OVERSIZE
from covidnet.data.changes.kinds import shown
from covidnet.data.division.duplicates import find_duplicates
from covidnet.data.division.metadata import find_metadata, linked_groups, read_metadata
from covidnet.data.division.sources import UNKNOWN
from covidnet.data.division.split import prefix_of
from covidnet.data.division.views import other_views, views_told, with_headers
from covidnet.data.external import ExternalFolder, find_seen, list_external
from covidnet.data.headers import views_in_headers
from covidnet.data.images import Pixels, join_pixels, open_pixels
from covidnet.data.radiographs import Radiographs
from covidnet.data.spelling import Spellings
from covidnet.data.walk import spelt_below, told_by_reason
from covidnet.errors import UserError, some
from covidnet.evaluation.comparison import comparable, score_drops
from covidnet.evaluation.ensembles import disagreement
from covidnet.evidence.external_crops import cut_to_lungs
from covidnet.evidence.external_groups import attributes_outside, groups_outside
from covidnet.evidence.external_members import of_members, test_of_all
from covidnet.evidence.external_table import sentence
from covidnet.files.home import at_home
from covidnet.imaging.radiograph import BodyPart
from covidnet.machine.device import find_device
from covidnet.models.outputs import outputs_of
from covidnet.runs.checkpoint import Checkpoint, radiographs_of
from covidnet.runs.documents import read_json
from covidnet.runs.ensemble import Members
from covidnet.runs.files import RESULTS, SPLIT, read_rows_of
from covidnet.runs.find import run_directory
from covidnet.runs.opened import open_model
from covidnet.runs.scoring import model_use, score_model

NOTICE = "Research software, not a medical device."
MODELS = {"best": "best", "last": "final"}  # a checkpoint's name -> its key in results.json


@dataclass(frozen=True)
class Options:
    """How `evaluate` looks at a folder.

    Attributes:
        names: Folder names -> class, or "skip".
        metadata: Table of patients, groups and sources; "none" for no table; the folder's own where None.
        keep_seen: Measure on images of the training and validation set too.
        device: As torch names it; a GPU where there is one, if None.
        cache: Keep decoded images on disk.
        cache_dir: Where; the run's own cache folder where None.
        body_part: What part of the body DICOM headers may name; as in training where None.
        bins: Ages at which a new group begins; as in training where None.
        subgroups: More columns of the table that tell groups; those of the training that are there where None.
        masks: Of a model whose images are cut to their lungs: what says where these lie, "box" or a folder; the box
            where the training had it, else covidnet's own lung network where None.
    """

    names: Mapping[str, str]
    metadata: str | None = None
    keep_seen: bool = False
    device: str | None = None
    cache: bool = True
    cache_dir: Path | None = None
    body_part: BodyPart | None = None
    bins: Sequence[int] | None = None
    subgroups: Sequence[str] | None = None
    masks: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """What a model says of images from elsewhere.

    Attributes:
        report: What external.json holds.
        paths: N paths, POSIX, below the root.
        logits: (N, C), of an ensemble their mean.
        labels: (N,) in 0 .. C - 1.
        classes: Names of the C classes.
        sources: N names.
        groups: (N,) a number that linked images share; each image has its own where nothing is known.
        apart: (N,) how far the members of an ensemble disagree; None of a single model.
    """

    report: dict[str, Any]
    paths: list[str]
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    classes: list[str]
    sources: list[str]
    groups: NDArray[np.int64]
    apart: NDArray[np.float64] | None = None


def evaluate(checkpoint: Path, root: Path, options: Options) -> Evaluation:
    """Measure a model on the images below ``root``, and how far it falls from its own test.

    Args:
        checkpoint: A checkpoint, or the directory of a series: its ensemble.
        root: The folder of images.
        options: How it is looked at.

    Raises:
        UserError: Where the checkpoint cannot be used, or the folder not be read as the model's classes.
    """
    trained_model = open_model(checkpoint)
    data = radiographs_of(trained_model.recipe)
    classes = trained_model.preprocessing.classes
    device = find_device(options.device)
    folder = list_external(root, classes, options.names)
    _tell_left_out(f"{len(folder.ignored)} files or folders below {root}", folder.ignored)
    rows = _read_rows(folder, options.metadata)
    wanted = _of_views(folder, rows, data.wanted_views)
    pixels = cut_to_lungs(data, root, _open(data, root, wanted, options, options.body_part), options.masks)
    _tell_left_out(f"{len(pixels.unreadable)} images below {root} that cannot be read", [*pixels.unreadable.items()])
    if not pixels.paths:
        raise UserError(f"None of the {len(folder.paths)} images below {root} can be read.")

    trained = _trained_on(trained_model, data)
    seen = _find_seen(pixels, data, trained, options) if trained else None
    chosen = _chosen(pixels, seen or {}, root, keep_seen=options.keep_seen)
    paths = [pixels.paths[i] for i in chosen]
    labels_of = dict(zip(folder.paths, folder.labels, strict=True))
    sources_of = dict(zip(folder.paths, folder.sources, strict=True))
    labels = np.array([labels_of[path] for path in paths], dtype=np.int64)
    sources = [rows.get(path, {}).get("source") or sources_of[path] or UNKNOWN for path in paths]
    groups = _linked(paths, rows, pixels.thumbnails[chosen if data.group_duplicates else []])

    attributes = attributes_outside(paths, rows, sources, data, options.bins, options.subgroups)
    model = trained_model.model().to(device)
    looked = (pixels.gather, np.array(chosen, dtype=np.int64), device)
    each = np.stack([outputs_of(one, *looked, title="evaluating")[0] for one in model.members])
    logits = each.mean(axis=0, dtype=np.float64)
    calibration = trained_model.calibration

    def scored(among: NDArray[np.bool_]) -> dict[str, Any]:
        weights = model.class_weights.numpy(force=True)
        return score_model(logits[among], labels[among], classes, weights, groups[among], calibration)

    external = scored(np.ones(len(labels), dtype=bool)) | model_use(logits, labels, classes, groups, calibration)
    per_source = {name: scored(np.array(sources) == name) for name in sorted(set(sources))}
    inside, notice = _inside(trained_model), trained_model.preprocessing.notice
    report = {
        "notice": f"{f'Trained on {notice}' if notice else ''}{NOTICE}",
        "checkpoint": str(checkpoint),
        "root": str(root),
        "classes": classes,
        "classes_present": [name for name, scores in external["per_class"].items() if scores["support"]],
        "folders": {name: classes[label] for name, label in folder.names.items()},
        **_shaped(external),
        "per_source": {
            name: {**_shaped(scores), "in_training": name in trained.sources if trained and trained.sources else None}
            for name, scores in per_source.items()
        },
        "seen": {"checked": seen is not None, "left_out": not options.keep_seen, "images": seen or {}},
        "unreadable": pixels.unreadable,
        **groups_outside(attributes, logits, labels, classes, groups, (calibration or {}).get("temperature", 1.0)),
    }
    if inside:
        over = comparable(inside, report["classes_present"])
        report |= {"inside": _shaped(over), "drop": score_drops(inside, external)}
    report |= of_members(trained_model, each, labels, groups)
    report["sentence"] = sentence(report)
    apart = disagreement(each) if len(each) > 1 else None
    return Evaluation(report, paths, logits, labels, classes, sources, groups, apart)


def _linked(
    paths: Sequence[str], rows: Mapping[str, Mapping[str, str]], thumbnails: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return a number for each image (N,): those that patients, groups or copies link share it, as in a run's test."""
    return np.array(linked_groups(paths, rows, find_duplicates(thumbnails).pairs), dtype=np.int64)


def _chosen(pixels: Pixels, seen: Mapping[str, str], root: Path, *, keep_seen: bool) -> list[int]:
    """Return the numbers of the images to measure on."""
    chosen = [i for i, path in enumerate(pixels.paths) if keep_seen or path not in seen]
    if not chosen:
        raise UserError(
            f"All {len(pixels.paths)} images below {root} were seen in the model's training or validation: they tell "
            "nothing about other images. Give another folder, or --keep-seen to measure on them all the same."
        )
    return chosen


def _shaped(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores with their plain numbers under ``overall``, and how many images they are of."""
    fitted = ("calibrated", "thresholds", "prediction_sets", "decision", "use")
    parts = ("intervals", "per_class", "confusion_matrix", *fitted)
    return {
        "images": sum(one["support"] for one in scores["per_class"].values()),
        "overall": {key: value for key, value in scores.items() if key not in (*parts, "notice")},
        **{key: scores[key] for key in parts if key in scores},
    }


def _inside(trained_model: Checkpoint | Members) -> Mapping[str, Any] | None:
    """Return the scores of the model's own test: what the run's results.json holds, or of the mean of several."""
    checkpoint = trained_model.path
    if isinstance(trained_model, Members):
        return test_of_all(trained_model)
    folder, key = run_directory(checkpoint), MODELS.get(checkpoint.stem)
    file = folder / RESULTS if folder else None
    if file and key and file.is_file():
        found = read_json(file)
        scores = found.get(key) if isinstance(found, dict) else None
        if isinstance(scores, dict) and "intervals" in scores:
            return scores
    _warn(
        f"{file or RESULTS} holds no test of {checkpoint.name}, so the drop cannot be told. "
        "Train with the command run, which tests the model too, and give its checkpoints/best.ckpt."
    )
    return None


@dataclass(frozen=True)
class _Trained:
    """What a run trained and validated on."""

    paths: list[str]  # POSIX, below the run's root
    sources: set[str]  # empty where no table names them


def _trained_on(trained_model: Checkpoint | Members, data: Radiographs) -> _Trained | None:
    """Return the images of a model's training and validation sets; warn where they cannot be found."""
    files = [run / SPLIT for run in trained_model.runs]
    if not files or not all(file.is_file() for file in files):
        _warn_unchecked(f"there is no {SPLIT} in the run directory of {trained_model.path}")
        return None
    if gone := [root for root in data.roots.values() if not root.is_dir()]:
        _warn_unchecked(f"the folder that it was trained on is not there ({gone[0]})")
        return None
    split = (row for file in files for row in read_rows_of(file))
    paths = [*dict.fromkeys(row["path"] for row in split if row["split"] != "test")]
    try:
        rows = data.metadata.rows if data.metadata else {}
    except UserError:  # what has become of the table since is no matter of this command
        rows = {}
    known = Spellings(rows)
    found = (rows[own] for path in paths if (own := known.find(path)))
    return _Trained(paths, {row["source"] for row in found if row.get("source")})


def _find_seen(pixels: Pixels, data: Radiographs, trained: _Trained, options: Options) -> dict[str, str] | None:
    """Return which images are of the training or validation set, and tell: path -> path there."""
    paths: dict[str, list[str]] = {}
    for path in trained.paths:
        prefix = prefix_of(path, data.roots)
        paths.setdefault(prefix, []).append(path.removeprefix(prefix))
    own = join_pixels(
        {
            prefix: _open(data, root, spelt_below(root, paths.get(prefix, [])), options)
            for prefix, root in data.roots.items()
        }
    )
    if not own.paths:
        _warn_unchecked(f"none of its images is in {data.place} any more")
        return None
    if own.unreadable:
        _warn(
            f"{len(own.unreadable)} of the {len(trained.paths)} images that the model was trained on are not in "
            f"{data.place} any more; whether they are among these cannot be told."
        )
    seen = find_seen(pixels, own)
    if seen:
        done = "they are measured too (--keep-seen)" if options.keep_seen else "they are left out (or --keep-seen)"
        _warn(
            f"{len(seen)} of the {len(pixels.paths)} images were seen in the model's training or validation; {done}: "
            f"{some([f'{path} is {there}' for path, there in seen.items()])}"
        )
    return seen


def _read_rows(folder: ExternalFolder, given: str | None) -> Mapping[str, Mapping[str, str]]:
    """Return the table's rows by path; none where there is no table."""
    if given == "none":
        return {}
    file = at_home(given) if given else find_metadata(folder.root)
    if file is None:
        return {}
    table = read_metadata(file, folder.root, folder.paths, key="--metadata")
    if not table.rows:
        message = f"{file} names {table.unmatched} images, but none of those below {folder.root}"
        if given:
            raise UserError(
                f"{message}. Its paths must be relative to FOLDER or to its own folder. Change --metadata (or none)."
            )
        _warn(f"{message}; it is not used.")
    elif len(table.rows) < len(folder.paths):
        _warn(f"{len(folder.paths) - len(table.rows)} of {len(folder.paths)} images are not in {file}.")
    return table.rows


def _of_views(folder: ExternalFolder, rows: Mapping[str, Mapping[str, str]], wanted: Sequence[str] | None) -> list[str]:
    """Return the images of the views that the model was trained on, and tell how many are left out."""
    if not wanted:
        return folder.paths
    headers = views_in_headers(folder.root, folder.dicom & {*folder.paths}, rows)
    out = other_views(with_headers(rows, headers), wanted)
    left = [path for path in folder.paths if path not in out]
    if out:
        _warn(f"As in the training, {views_told(out, len(folder.paths), wanted, headers)}.")
    if not left:
        raise UserError(f"None of the {len(folder.paths)} images below {folder.root} is of these views.")
    return left


def _open(
    data: Radiographs, root: Path, paths: Sequence[str], options: Options, body_part: BodyPart | None = None
) -> Pixels:
    """Decode images as the model's own were, but of a body part that the user insists on; not yet cut."""
    return open_pixels(
        root,
        paths,
        data.image_size * (OVERSIZE if shown(data.lungs)[1] else 1),
        data.interpolation,
        cache=options.cache,
        cache_dir=options.cache_dir or data.cache_dir,
        reading=data.reading._replace(body_part=body_part or data.reading.body_part),
    )


def _tell_left_out(what: str, reasons: Sequence[tuple[str, str]]) -> None:
    if reasons:
        _warn(f"{what} are left out:\n  {told_by_reason(reasons)}")


def _warn_unchecked(reason: str) -> None:
    _warn(f"Whether these images were in the model's training could not be checked: {reason}.")


def _warn(message: str) -> None:
    print(f"covidnet: {message}", file=sys.stderr)
