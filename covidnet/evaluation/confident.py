"""Which labels are doubtful, by what models say of images that they had not seen: confident learning."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAR = 1e-6  # by which a probability may miss its threshold: files hold nine digits, and images of a class may be alike
NONE = -1  # the class that an image counts as which counts as none


@dataclass(frozen=True)
class Confident:
    """N labels beside what is likely (Northcutt, Jiang & Chuang 2021, JAIR 70:1373).

    Attributes:
        thresholds: (C,) from which probability on an image counts as a class: the mean probability of the class among
            the images that are labelled so; infinite where none is.
        counted: (N,) the class that each image counts as, the most probable of those that it reaches; -1 for none.
        joint: (C, C) images by label and by the class that they count as.
        estimated: (C, C) the same of all N images, each row scaled to the images of its label.
        doubt: (N,) in [0, 1]: half of 1 less the margin of the label's probability over the most probable other class.
            At 0.5 another class is as probable as the label, at 1 it is certain.
        suggested: (N,) the class that an image counts as where that is not its label, else the most probable one.
    """

    thresholds: NDArray[np.float64]
    counted: NDArray[np.int64]
    joint: NDArray[np.int64]
    estimated: NDArray[np.float64]
    doubt: NDArray[np.float64]
    suggested: NDArray[np.int64]

    @property
    def order(self) -> NDArray[np.intp]:
        """The images (N,), the most doubtful label first."""
        return np.argsort(-self.doubt, kind="stable")

    @property
    def suspects(self) -> int:
        """How many images count as another class than their label."""
        return int(self.joint.sum() - np.trace(self.joint))

    @property
    def wrong(self) -> float:
        """How many of all labels are estimated to be wrong."""
        return float(self.estimated.sum() - np.trace(self.estimated))


def weigh_labels(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Confident:
    """Return how likely each label is, and how many of each class seem to be of another.

    Args:
        probabilities: (N, C), two classes or more, by models that had not seen the image.
        labels: (N,) in 0 .. C - 1.
    """
    images, classes = probabilities.shape
    given = labels[:, None] == np.arange(classes)  # (N, C)
    support = given.sum(axis=0)
    means = (probabilities * given).sum(axis=0) / np.maximum(support, 1)
    thresholds = np.where(support > 0, means, np.inf)
    reached = np.where(probabilities >= thresholds - NEAR, probabilities, -1.0)
    counted = np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), NONE)
    joint = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(joint, (labels[counted != NONE], counted[counted != NONE]), 1)
    # A class of which no image counts as any is taken for what it is called.
    shares = joint + np.diag((joint.sum(axis=1) == 0).astype(np.int64))
    others = np.where(given, -1.0, probabilities).max(axis=1)
    margin = probabilities[np.arange(images), labels] - others
    suspect = (counted != NONE) & (counted != labels)
    return Confident(
        thresholds=thresholds,
        counted=counted,
        joint=joint,
        estimated=shares / shares.sum(axis=1, keepdims=True) * support[:, None],
        doubt=(1 - margin) / 2,
        suggested=np.where(suspect, counted, probabilities.argmax(axis=1)),
    )
