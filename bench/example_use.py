"""Draw the example of docs/use.md, 400 simulated images of which a model is too sure, and print its numbers.

python -m bench.example_use
"""

import re
from pathlib import Path

import numpy as np
from scipy.special import softmax

from bench.coverage_use import Test, patients_of
from covidnet.evaluation.net_benefit import helps
from covidnet.evaluation.scores import threshold_scores
from covidnet.evaluation.use import use_scores
from covidnet.report import use_figures

OUT = Path(__file__).parents[1] / "docs" / "use.svg"
CLASSES = ("COVID", "no COVID")
COLOURS = {"--series-0": "#1668a8", "--series-1": "#b9540b", "--line": "#d7dce2"}
WIDTH, HEIGHT = 240, 210  # of one figure, in units of the drawing


def main() -> None:
    """Write docs/use.svg."""
    test = Test(100, 300, 2.0, 2.0, patients_of(400, 1))
    log_odds = test.log_odds(np.random.default_rng(3), 0.0)
    logits = np.stack([log_odds, np.zeros(400)], axis=1)
    use = use_scores(logits, (~test.truth).astype(int), CLASSES)["COVID"]
    curve = use["net_benefit"]
    drawn = [
        use_figures.net_benefit(curve, "benefit", "Net benefit"),
        use_figures.calibration(use["calibration_curve"], use["score_counts"], "COVID", "calibration"),
        use_figures.score_spread(use["score_counts"], "scores", "Probabilities"),
    ]
    parts = [
        figure.replace("<svg ", f'<svg x="{number * WIDTH}" width="{WIDTH}" height="{HEIGHT}" ', 1)
        for number, figure in enumerate(map(str, drawn))
    ]
    text = re.sub(r"var\((--[\w-]+)\)", lambda found: COLOURS[found[1]], "".join(parts))
    links = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    look = 'font-family="sans-serif" color="#1b2026"'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    OUT.write_text(f'<svg {links} viewBox="0 0 {3 * WIDTH} {HEIGHT}" {look}>{paper}{text}</svg>\n')
    print({key: use[key] for key in ("calibration_slope", "calibration_intercept", "intervals")}, "helps", helps(curve))
    at = curve["threshold"].index(0.1)
    print({key: curve[key][at] for key in curve})
    print(threshold_scores(softmax(logits, axis=1), (~test.truth).astype(int), {"COVID": 0.1, "no COVID": None}))


if __name__ == "__main__":
    main()
