"""A wanted sensitivity or specificity of one class -> the threshold that meets it, and what an image is then called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from covidnet.errors import UserError

Wish: TypeAlias = Literal["sensitivity", "specificity"]
WISHES: tuple[Wish, ...] = get_args(Wish)

# Another batch, device or runtime gives an image a probability that differs by less than this share of it. So much
# room is left beside the image that a threshold was taken from; it is called the same everywhere.
ROOM = 1e-4


@dataclass(frozen=True)
class Decision:
    """By what an image is called one class, whether or not that class is the most probable one.

    Attributes:
        name: The class.
        threshold: Of its calibrated probability, in 0 .. 1: it is called from there upward, below it the likeliest
            other class.
        wish: What was to be reached on the validation images.
        wanted: How much of it, in (0, 1].
    """

    name: str
    threshold: float
    wish: Wish
    wanted: float

    @classmethod
    def kept(cls, calibration: Mapping[str, Any]) -> "Decision | None":
        """Return the decision in a calibration as a checkpoint keeps it; None where there is none."""
        found = calibration.get("decision")
        return cls.of(found) if found else None

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Decision":
        """Return the decision that is kept as ``plain``, whatever stands beside it."""
        return cls(plain["class"], plain["threshold"], plain["wish"], plain["wanted"])

    def at(self, classes: Sequence[str]) -> tuple[int, float]:
        """Return the number of its class among the classes, and the threshold: what ``decide`` takes."""
        return list(classes).index(self.name), self.threshold

    @property
    def plain(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {"class": self.name, "threshold": self.threshold, "wish": self.wish, "wanted": self.wanted}

    @property
    def sentence(self) -> str:
        """What it says, for people."""
        return (
            f"{self.name} is called from a calibrated probability of {self.threshold:.4g} upward, below it the "
            f"most probable other class; chosen for a {self.wish} of {100 * self.wanted:g} % on the validation images."
        )


def decide(probabilities: NDArray[np.floating], number: int, threshold: float) -> NDArray[np.int64]:
    """Return the number of the class that each image is called (N,).

    Args:
        probabilities: (N, C), calibrated.
        number: Of the class that is called from the threshold upward.
        threshold: Of its probability.
    """
    others = np.where(np.arange(probabilities.shape[1]) == number, -1.0, probabilities).argmax(axis=1)
    called: NDArray[np.int64] = np.where(probabilities[:, number] >= threshold, number, others)
    return called


def wrong_by(called: NDArray[np.integer], probabilities: NDArray[np.floating], number: int, threshold: float) -> float:
    """Return by how much a probability must differ, of any image, for it to be called so (N,); 0 where ``decide`` does.

    Args:
        called: (N,) numbers of classes, by probabilities that may be a little different.
        probabilities: (N, C), calibrated.
        number: As for ``decide``.
        threshold: As for ``decide``.
    """
    own, of_called = probabilities[:, number], probabilities[np.arange(len(called)), called]
    other = np.delete(probabilities, number, axis=1).max(axis=1)
    short = np.where(called == number, threshold - own, np.maximum(own - threshold, other - of_called))
    return max(0.0, float(short.max()))


def wished_threshold(scores: NDArray[np.floating], truth: NDArray[np.bool_], wish: Wish, wanted: float) -> float:
    """Return the highest threshold that reaches a sensitivity, or the lowest that reaches a specificity.

    A sensitivity is lost just above the score of a case, a specificity just below that of another image. The threshold
    lies on the safe side of that score, by ``ROOM`` of it, or halfway to the next score if that is nearer: no image is
    called otherwise than by the score itself.

    Args:
        scores: (N,) calibrated probabilities of the class.
        truth: (N,) whether the image is of the class.
        wish: What is to be reached.
        wanted: How much of it, in (0, 1].

    Raises:
        UserError: The wish is no share, or no threshold reaches it.
    """
    check_wanted(wish, wanted)
    among = truth if wish == "sensitivity" else ~truth
    if not among.any():
        which = "of the class" if wish == "sensitivity" else "of another class"
        raise UserError(f"no validation image is {which}, so that its {wish} is not known.")
    ranked = np.sort(scores[among])
    # Compared as the shares that are told: 19 of 20 reach 0.95.
    enough = int(np.argmax(np.arange(1, len(ranked) + 1) / len(ranked) >= wanted)) + 1
    if wish == "sensitivity":
        edge = float(ranked[-enough])  # the last case that is called
        lower = float(scores[scores < edge].max(initial=0.0))
        threshold = max((edge + lower) / 2, edge * (1 - ROOM))
        return threshold if threshold > lower else edge  # of neighbouring floats the middle is one of them
    edge = float(ranked[enough - 1])  # the last other image that is not called
    if edge >= 1:
        spared = (ranked < 1).mean()
        raise UserError(
            f"no threshold reaches a specificity of {wanted:g}: too many validation images of other classes have a "
            f"probability of 1. Up to {spared:.3f} can be reached."
        )
    higher = float(scores[scores > edge].min(initial=1.0))
    threshold = min((edge + higher) / 2, edge + (1 - edge) * ROOM)
    return threshold if threshold > edge else higher


def check_wanted(wish: Wish, wanted: float) -> None:
    """Refuse a wish that is no share.

    Raises:
        UserError: Naming it.
    """
    if not 0 < wanted <= 1:
        raise UserError(f"The wanted {wish} is {wanted:g}; give one above 0 and up to 1, as 0.95.")
