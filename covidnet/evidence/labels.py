"""Which labels are doubtful, by the predictions of a run or a series: a table to correct by hand, and numbers."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from covidnet.data.division.split import TEST_PREFIX
from covidnet.data.spelling import composed
from covidnet.data.tables.columns import DESCRIBED
from covidnet.errors import UserError
from covidnet.evaluation.confident import NONE, Confident, weigh_labels
from covidnet.files.reading import UNREADABLE, read_table
from covidnet.files.whole import whole
from covidnet.runs.files import reason_of
from covidnet.runs.predictions import PROBABILITY
from covidnet.runs.run import Run
from covidnet.runs.unseen import Unseen, unseen

SPLIT = "split"  # the column of a side that the data give
MEANING = (
    "A doubtful label is one that the models contradict. That proves nothing: a model that has learned a shortcut "
    "doubts the images without it, a rare class is doubted more than a frequent one, and the images of one unusual "
    "patient are doubted together. Look at the image, best without knowing what the model says, before a label is "
    "changed."
)


@dataclass(frozen=True)
class DoubtedLabels:
    """The labels of a run or a series, and how doubtful each is.

    Attributes:
        seen: What the models say, of N images.
        found: How doubtful the labels are (N,).
        described: Path -> what tables tell of the image that a training needs: patient, group, source, view, age, sex,
            and the side of the split that the data give.
        apart: How many images are of a test root, so that no table of the root can name them.
        notes: What is to be known, a sentence each.
    """

    seen: Unseen
    found: Confident
    described: Mapping[str, Mapping[str, str]]
    apart: int
    notes: list[str]

    @property
    def given(self) -> dict[str, str]:
        """Path -> label of all images, as the runs had them."""
        said = self.seen.said
        names = (said.classes[label] for label in said.labels)
        return {**self.seen.labels, **dict(zip(said.paths, names, strict=True))}

    def plain(self, top: int) -> dict[str, Any]:
        """Return what ``labels.json`` holds, with the ``top`` most doubtful images."""
        said, found = self.seen.said, self.found
        return {
            "images": len(said.paths),
            "classes": said.classes,
            "thresholds": {
                name: float(value) if np.isfinite(value) else None
                for name, value in zip(said.classes, found.thresholds, strict=True)
            },
            "joint": found.joint.tolist(),
            "estimated": found.estimated.tolist(),
            "suspects": found.suspects,
            "estimated_wrong": found.wrong,
            "most_doubtful": [self._row(int(number)) for number in found.order[:top]],
            "told": f"Predictions {self.seen.told}.",
            "meaning": MEANING,
            "notes": self.notes,
        }

    def write(self, file: Path) -> None:
        """Write a table that ``data.table`` takes: every image that was divided, the most doubtful first.

        Raises:
            OSError: Where it cannot be written.
        """
        said, classes = self.seen.said, self.seen.said.classes
        columns = [name for name in (*DESCRIBED, SPLIT) if any(row.get(name) for row in self.described.values())]
        rest = sorted(self.seen.labels.keys() - {*said.paths})
        head = ["path", "label", "suggested", "doubt", "suspect", *(f"{PROBABILITY}{name}" for name in classes)]
        with whole(file, newline="", encoding="utf-8", errors="surrogatepass") as lines:  # names of any bytes
            writer = csv.writer(lines)
            writer.writerow([*head, *(["fold"] if self.seen.folds else []), *columns])
            for number in map(int, self.found.order):
                row = self._row(number)
                path = row["path"]
                fold = [self.seen.folds[number]] if self.seen.folds else []
                if not path.startswith(TEST_PREFIX):
                    own = [path, row["label"], row["suggested"], f"{row['doubt']:.4f}", "yes" if row["suspect"] else ""]
                    said_of = [f"{p:.9g}" for p in said.probabilities[number]]
                    writer.writerow([*own, *said_of, *fold, *self._described(path, columns)])
            for path in rest:
                blank = [""] * (len(head) - 2 + bool(self.seen.folds))
                if not path.startswith(TEST_PREFIX):
                    writer.writerow([path, self.seen.labels[path], *blank, *self._described(path, columns)])

    def _described(self, path: str, columns: list[str]) -> list[str]:
        row = self.described.get(path, {})
        return [row.get(name, "") for name in columns]

    def _row(self, number: int) -> dict[str, Any]:
        said, found = self.seen.said, self.found
        label, counted = said.labels[number], found.counted[number]
        return {
            "path": said.paths[number],
            "label": said.classes[label],
            "suggested": said.classes[found.suggested[number]],
            "doubt": float(found.doubt[number]),
            "suspect": bool(counted not in (NONE, label)),
            **({"fold": self.seen.folds[number]} if self.seen.folds else {}),
        }


def doubt_labels(folder: Path) -> DoubtedLabels:
    """Return how doubtful the labels of a run or a series are; no image is opened.

    Raises:
        UserError: Where the folder is none that has ended.
    """
    seen = unseen(folder)
    described, notes = _described(seen)
    asked = {*seen.said.paths}
    apart = sum(path.startswith(TEST_PREFIX) for path in {*seen.labels, *asked})
    if apart:
        notes.append(f"{apart:,} images are of data.test_root. No table of the root names them, so the table does not.")
    lacking = len(seen.labels.keys() - asked)
    if lacking:
        notes.append(
            f"Of {lacking:,} images no model has told that had not seen them: they stand below, without a doubt. "
            "A crossval of all folds tells of each image."
        )
    return DoubtedLabels(seen, weigh_labels(seen.said.probabilities, seen.said.labels), described, apart, notes)


def refuse_corrected(file: Path, labels: Mapping[str, str]) -> None:
    """Refuse to write over a table in which somebody has corrected labels, which may be hours of work.

    Args:
        file: Where a table is to be written.
        labels: Path -> label as the run knows it.

    Raises:
        UserError: Where the table holds another label, or cannot be read.
    """
    try:
        _, rows = read_table(file)
        changed = [row["path"] for row in rows if composed(row["label"] or "") != labels.get(row["path"], "")]
    except FileNotFoundError:
        return
    except (*UNREADABLE, KeyError) as error:
        raise UserError(
            f"{file} is there and cannot be read as such a table: {reason_of(error)}. Give another --out FILE."
        ) from error
    if changed:
        raise UserError(
            f"{file} holds {len(changed):,} labels that were changed, such as that of {changed[0]}. It is not written "
            "over: give another --out FILE, or move it away."
        )


def _described(seen: Unseen) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return what tables tell of the images, and why it is not known."""
    first = Run(seen.runs[0])
    try:
        if first.recipe is None:
            raise UserError(f"{first.checkpoint} is not there")
        data = first.open_data()
        rows = data.metadata.rows if data.metadata else {}
        sides = data.sides
    except (AttributeError, ImportError, UserError) as error:
        return {}, [
            f"The folder of the images cannot be opened: {error} So what a table told of patients and sources is not "
            "in this one. Add it before training, or images of one patient part."
        ]
    apart = sum(side == "test" and path not in seen.labels for path, side in sides.items())
    told = (
        [f"The {apart:,} images that the data give for a test are in no fold, and not in the table."] if apart else []
    )
    return {
        path: {**{name: rows.get(path, {}).get(name, "") for name in DESCRIBED}, SPLIT: sides.get(path, "")}
        for path in {*rows, *sides}
    }, told
