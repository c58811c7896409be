"""covidnet in Python: train a model, and look at what a run left. What is public stands in ``covidnet.__all__``."""

import json
import os
from collections.abc import Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from covidnet.commands.lungs import images_for
from covidnet.commands.rebalance import refuse_no_run
from covidnet.commands.train import call
from covidnet.errors import UserError
from covidnet.files.home import at_home
from covidnet.files.plain import refuse_misfits
from covidnet.imaging.radiograph import BodyPart, Reading
from covidnet.inference.mask_folder import Mask, write_masks
from covidnet.inference.predictor import Predictor
from covidnet.report.card import write_card
from covidnet.report.judged import judge
from covidnet.report.page import write_report
from covidnet.report.verdicts import Verdict
from covidnet.runs.files import REPORT
from covidnet.runs.run import Run as Files
from covidnet.runs.screen import result_told
from covidnet.training.rebalance import rebalance as fit_anew


class Run(Files):
    """A finished run, read from its directory: what it found, on which images, and its best model.

    Args:
        folder: The directory of a run.

    Attributes:
        folder: Its directory.
        results: What ``results.json`` holds.
        scores: Of these, what its test found of the best model.
        classes: Names of the classes, in the order of their labels.

    Raises:
        UserError: Where the folder holds no ``results.json`` of ours.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(at_home(folder))

    @property
    def report(self) -> Path | None:
        """Where the report is, if one was written."""
        file = self.folder / REPORT
        return file if file.is_file() else None

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """What its numbers allow to be said, the worst first; a sample of its test images is looked at."""
        return judge(self).verdicts

    @cached_property
    def test_images(self) -> list[Path]:
        """Its test images, in the order of ``predictions``."""
        if self.predictions is None:
            return []
        data = self.open_data()
        return [data.image_file(path) for path in self.predictions.paths]

    @cached_property
    def predictor(self) -> Predictor:
        """Its best model, ready to predict; a GPU where there is one."""
        return Predictor(self.folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}): {self._told()}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the result, each verdict that is no PASS, where the report is."""
        found = (one for one in self.verdicts if one.level != "PASS")
        lines = [f"<strong>{escape(self._told())}</strong>"]
        lines += [f"<strong>{one.level}</strong> {escape(one.question)} {escape(one.sentence)}" for one in found]
        lines += [f"<small>{escape(str(self.report or self.folder))}</small>"]
        return "".join(f"<div>{line}</div>" for line in lines)

    def _told(self) -> str:
        return result_told(self.results)


def train(
    keys: Mapping[str, object] | None = None,
    *,
    model: str | None = None,
    data: str | None = None,
    recipe: str | None = None,
    trainer: str | None = None,
    **named: object,
) -> Run:
    """Train and test a model as ``python train.py`` does, and return its run.

    ``covidnet.train({"trainer.max_epochs": 4}, data="phantom")`` is ``python train.py data=phantom
    trainer.max_epochs=4``: the same files, the same numbers.

    Args:
        keys: Any keys of the command line, such as ``data.root``, with their values; lists and mappings are taken too.
        model: A choice in ``configs/model``, as the next three are in their folders.
        data: Which data.
        recipe: Which recipe.
        trainer: Which trainer.
        named: Keys that stand in no section, such as ``report=False`` or ``ckpt_path="auto"``.

    Raises:
        UserError: For a mistake, with the sentence that the command prints; a ``MachineError`` for what the machine
            lacks.
        KeyboardInterrupt: Where it was interrupted; what is finished is kept.
    """
    groups = {"model": model, "data": data, "recipe": recipe, "trainer": trainer}
    chosen = {name: choice for name, choice in groups.items() if choice is not None}
    try:
        done = call([f"{key}={_text(key, value)}" for key, value in {**chosen, **(keys or {}), **named}.items()])
    except SystemExit as ended:
        if type(ended) is not SystemExit:  # SIGTERM, as Lightning raises it
            raise
        raise UserError("The training ended early; the message above says why.") from ended
    return Run(done.trainer.run_directory)


def rebalance(
    run: Run | str | Path, out: str | Path | None = None, device: str | None = None, *, report: bool = True
) -> Run:
    """Fit the last layer of a run anew as ``covidnet rebalance`` does, and return the run that this makes.

    Each class weighs alike in it, and so does each source of a class.

    Args:
        run: A finished run, or its directory.
        out: Directory of the new run; the next number beside the other if left out.
        device: As torch names it; a GPU where there is one, if left out.
        report: Whether report and card are written.

    Raises:
        UserError: Where there is nothing to balance, with the sentence that the command prints.
    """
    folder = run.folder if isinstance(run, Run) else at_home(run)
    refuse_no_run(folder)
    new, _ = fit_anew(folder, None if out is None else at_home(out), device)
    if report:
        write_report(new)
        write_card(new)
    return Run(new)


def lungs(folder: str | Path, out: str | Path, *, body_part: BodyPart = "chest") -> list[Mask]:
    """Write lung masks for all images of a folder as ``covidnet lungs`` does, and return what is told of each.

    The masks have the attributes ``path`` of the image and ``mask``, each below its folder, ``quality`` from 0 to 1 and
    ``lung_share``, of the image's pixels.

    Args:
        folder: Radiographs at any depth.
        out: Folder of the masks: a new one, or one that was written so.
        body_part: "any" reads DICOM files too whose header names another part than the chest.

    Raises:
        UserError: Where an image cannot be read, or the masks cannot lie there; nothing is written then.
    """
    refuse_misfits(lungs, locals())
    images, masks = at_home(folder), at_home(out)
    paths, _ = images_for(images, masks)
    return write_masks(images, paths, masks, Reading(body_part=body_part))


def _text(key: str, value: object) -> str:
    """Return a value as it would be typed."""
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    try:
        return json.dumps(value, default=_plain, ensure_ascii=False)
    except (TypeError, ValueError):
        raise UserError(
            f"{key} is given a {type(value).__name__}, which is no value of a configuration. Give numbers, texts, "
            'lists or mappings; an object is {"class_path": "package.Class", "init_args": {...}}.'
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item"):  # a number of NumPy or torch
        return value.item()
    raise TypeError
