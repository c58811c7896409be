"""How many images would make a test large enough."""

import math

import numpy as np
from numpy.typing import NDArray

from covidnet.evaluation.intervals import Interval, cases_for, effective_cases, proportion_interval

HALF_WIDTH = 0.05  # 5 points to either side


def images_needed(
    called: NDArray[np.bool_], groups: NDArray[np.integer] | None = None
) -> tuple[int | None, Interval | None]:
    """Return how many images of a class tell a sensitivity of the size found to within 5 points, and limits of that.

    It is the number at which its interval is 10 points wide (for Wald's interval: Buderer 1996, Academic Emergency
    Medicine 3:895-900, "Sample size calculation"; here for Wilson's), times the design effect of the patients seen
    (Kish 1965, Survey Sampling, section 8.2). The limits are the fewest and the most that a sensitivity within its
    own interval would take.

    Args:
        called: (N,) whether each image of the class was called so.
        groups: (N,) a number for each patient; every image is its own where left out.

    Returns:
        None where the class has no image.
    """
    limits = proportion_interval(called, groups)
    if limits is None:
        return None, None
    effect = len(called) / effective_cases(called, groups)

    def needed(rate: float) -> int:
        return math.ceil(effect * cases_for(rate, HALF_WIDTH))

    ends = [needed(rate) for rate in (*limits, *([0.5] if limits[0] < 0.5 < limits[1] else []))]
    return needed(float(called.mean())), (min(ends), max(ends))
