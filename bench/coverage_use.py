"""Simulated tests for the intervals of use: net benefit, calibration slope, intercept and curve. See coverage.py."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from covidnet.evaluation.intervals import Interval
from covidnet.evaluation.net_benefit import decision_curve
from covidnet.evaluation.recalibration import BANDWIDTH, GRID, calibration_curve, recalibration

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Interval | None]
SPREADS = (1.2, 2.3)  # of the classes' scores, in standard deviations: AUROC .80 and .95


class Test:
    """A test whose scores are normal in either class, ``spread`` apart, and log-odds ``excess`` times too large."""

    __test__ = False

    def __init__(self, positives: int, negatives: int, spread: float, excess: float, groups: NDArray[np.intp]) -> None:
        self.truth = np.arange(positives + negatives) < positives
        self.spread, self.excess, self.groups = spread, excess, groups
        self.share = positives / (positives + negatives)
        self.offset = np.log(positives / negatives) - spread**2 / 2

    def log_odds(self, rng: np.random.Generator, correlation: float, truth: NDArray[np.bool_] | None = None) -> Floats:
        """Return stated log-odds (N,); scores of one patient are correlated. ``truth`` is the classes, if others."""
        scores = np.sqrt(1 - correlation) * rng.normal(size=len(self.truth))
        scores += np.sqrt(correlation) * rng.normal(size=self.groups.max() + 1)[self.groups]
        return self.stated(scores + self.spread * (self.truth if truth is None else truth))

    def stated(self, scores: Floats) -> Floats:
        """Return the log-odds that are stated of scores."""
        return np.asarray(self.excess * (self.spread * scores + self.offset))

    def called(self, threshold: float) -> tuple[float, float]:
        """Return true sensitivity and share of false alarms at a threshold of probability."""
        score = (np.log(threshold / (1 - threshold)) / self.excess - self.offset) / self.spread
        return float(norm.sf(score - self.spread)), float(norm.sf(score))

    def net_benefit(self, threshold: float) -> float:
        """Return what acting from a threshold on gives in truth."""
        found, spoilt = self.called(threshold)
        return self.share * found - (1 - self.share) * spoilt * threshold / (1 - threshold)

    def intercept(self) -> float:
        """Return the true calibration intercept."""
        scores = np.linspace(-9, 9, 20_001)
        weights = norm.pdf(scores) / norm.pdf(scores).sum()
        sides = ((self.share, scores + self.spread), (1 - self.share, scores))

        def excess(intercept: float) -> float:
            expected = sum(part * weights @ expit(self.stated(side) + intercept) for part, side in sides)
            return float(expected - self.share)

        return float(brentq(excess, -20, 20))


def patients_of(count: int, per_patient: int) -> NDArray[np.intp]:
    """Return the patient of each of ``count`` images, the last with what remains."""
    return np.arange(count) // per_patient


def rows(per_patient: int, correlation: float) -> Iterator[tuple[str, str, float, Draw]]:
    """Yield metric, images, truth and how to draw its limits; of the curve, less the truth at the images drawn."""
    for positives, negatives in ((40, 80), (120, 240)):
        groups = np.concatenate([patients_of(positives, per_patient), positives + patients_of(negatives, per_patient)])
        for spread in SPREADS:
            for excess in (1.0, 2.0):
                test = Test(positives, negatives, spread, excess, np.unique(groups, return_inverse=True)[1])
                images = f"{positives} + {negatives}"
                for threshold in (0.05, 0.2, 0.5, 0.8):
                    name = f"net benefit at {threshold}"
                    yield name, images, test.net_benefit(threshold), _benefit(test, correlation, threshold)
                yield "slope", images, 1 / excess, _recalibrated(test, correlation, "calibration_slope")
                yield "intercept", images, test.intercept(), _recalibrated(test, correlation, "calibration_intercept")
                for place in (0.08, 0.48, 0.8) if positives > 40 else (0.08, 0.2):  # where there are images
                    yield f"calibration at {place}", images, 0.0, _curve(test, correlation, place)


def _benefit(test: Test, correlation: float, threshold: float) -> Draw:
    def draw(rng: np.random.Generator) -> Interval:
        stated = expit(test.log_odds(rng, correlation))
        curve = decision_curve(stated, test.truth, test.groups, np.array([threshold]))
        return curve["low"][0], curve["high"][0]

    return draw


def _recalibrated(test: Test, correlation: float, key: str) -> Draw:
    def draw(rng: np.random.Generator) -> Interval | None:
        limits = recalibration(test.log_odds(rng, correlation), test.truth, test.groups)["intervals"].get(key)
        return (limits[0], limits[1]) if limits else None

    return draw


def _curve(test: Test, correlation: float, place: float) -> Draw:
    at = int(np.abs(GRID - place).argmin())

    def draw(rng: np.random.Generator) -> Interval | None:
        # How many images of the class have about one probability is chance, so their number is not given here.
        present = (rng.random(test.groups.max() + 1) < test.share)[test.groups]
        log_odds = test.log_odds(rng, correlation, present)
        stated = expit(log_odds)
        weights = np.exp(-0.5 * ((stated - GRID[at]) / BANDWIDTH) ** 2)
        truth = float(np.average(expit(log_odds / test.excess), weights=weights))
        curve = calibration_curve(stated, present, test.groups)
        low, high = curve["low"][at], curve["high"][at]
        return (low - truth, high - truth) if low is not None and high is not None else None

    return draw
