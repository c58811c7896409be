"""What is kept of one training, and whether two trainings took the same steps."""

from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

NOISE = 4.0  # so many times the gap between two runs of the same may lie between two that should be the same


@dataclass
class Record:
    """One training, as ``watch.Steps`` saw it.

    Attributes:
        losses: Of each step.
        replayed: In how many steps a CUDA graph was launched.
        first_step: Seconds from the start of the training to the end of its first step, which may record.
        epochs: Seconds of each epoch, training and validation.
        training: Seconds of the training batches of each epoch.
        between: Seconds from one epoch's validation to the next epoch, in which checkpoints are written.
        metrics: What was logged at each epoch's end.
        rates: The learning rate at each epoch's end.
        weights: A hash of the weights and buffers at the end.
        precision: The trainer's.
        resident: Whether the images lay on the GPU.
        allocated: Peak of the GPU's memory in tensors, in MB.
        reserved: Peak of the GPU's memory that the process held, in MB.
    """

    losses: list[float] = field(default_factory=list)
    replayed: int = 0
    first_step: float | None = None
    epochs: list[float] = field(default_factory=list)
    training: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    weights: str = ""
    precision: str = ""
    resident: bool = False
    allocated: float = 0.0
    reserved: float = 0.0

    def told(self) -> dict[str, Any]:
        """Return what a report says of a training."""
        long = ("losses", "metrics", "weights", "rates")
        short = {key: value for key, value in asdict(self).items() if key not in long}
        return {"steps": len(self.losses), "last_loss": self.losses[-1:], **short}

    def steady(self) -> float:
        """Return the median seconds of an epoch after the first."""
        return median(self.epochs[1:] or self.epochs)

    def end(self, steps: int, epochs: int) -> "Record":
        """Return the last steps and epochs alone, as a training that went on from a checkpoint has them."""
        return replace(self, losses=self.losses[-steps:], metrics=self.metrics[-epochs:])


def gap(one: Record, two: Record) -> dict[str, Any]:
    """Return how far the losses of two trainings are apart, and whether they ended with the same weights."""
    gaps = [abs(a - b) for a, b in zip(one.losses, two.losses, strict=False)]
    unequal = [step for step, value in enumerate(gaps) if value != 0]
    return {
        "steps": [len(one.losses), len(two.losses)],
        "unequal": len(unequal),
        "first_unequal": unequal[0] if unequal else None,
        "largest": max(gaps, default=None),
        "same_weights": one.weights == two.weights,
        "same_metrics": one.metrics == two.metrics,
        "replayed": [one.replayed, two.replayed],
    }


def exact(found: dict[str, Any]) -> bool:
    """Tell whether a gap is none, to the last bit."""
    steps = found["steps"]
    return bool(steps[0] == steps[1] > 0 and not found["unequal"] and found["same_weights"] and found["same_metrics"])


def within(found: dict[str, Any], noise: dict[str, Any]) -> bool:
    """Tell whether a gap is none, or no wider than that between two runs of the same training allows."""
    if exact(found):
        return True
    known = noise["largest"] or 0.0
    return bool(found["steps"][0] == found["steps"][1] > 0 and found["largest"] <= NOISE * known)
