import re

import numpy as np

from covidnet.report import figures

LABELS = np.array([0, 0, 1, 1])
PROBABILITIES = np.array([[0.95, 0.05], [0.35, 0.65], [0.32, 0.68], [0.08, 0.92]])


def test_a_figure_takes_the_colours_of_the_page() -> None:
    svg = figures.roc(LABELS, PROBABILITIES, ["$x$", "<u>"], 'of "both"')
    assert svg.startswith("<svg ")
    assert "var(--series-1)" in svg
    assert "currentColor" in svg
    assert not re.search(r"#0102|font-family|https?:", svg)
    assert 'aria-label="of &#34;both&#34;"' in svg
    assert "$x$" in svg
    assert "<u>" not in svg


def test_a_class_without_cases_is_left_out_of_the_curves() -> None:
    three = np.hstack([PROBABILITIES, np.zeros((4, 1))])
    for draw in (figures.roc, figures.precision_recall):
        assert "absent" not in draw(LABELS, three, ["a", "b", "absent"], "curves")


def test_no_epoch_no_curve() -> None:
    assert figures.training_curves({}, "loss", None, "loss") is None
    assert figures.training_curves({"val_loss": [(1, 0.5)]}, "loss", 1, "loss") is not None
