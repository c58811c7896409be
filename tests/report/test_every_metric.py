import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers import QUICK, RUN, paint, read_json, untold_keys
from made_run import write_run

from covidnet.commands.train import main
from covidnet.evaluation import names, scores
from covidnet.evaluation.names import METRICS, Group, Metric, Scale
from covidnet.report import cells
from covidnet.report.card import write_card
from covidnet.report.page import write_report
from covidnet.runs import screen

NO_METRICS = {"notice", "intervals", "confusion_matrix", "net_benefit", "calibration_curve", "score_counts"}
PARTS = {
    "calibrated": (Group.CALIBRATED, Group.OVERALL),
    "thresholds": (Group.THRESHOLDS, Group.PER_CLASS),
    "prediction_sets": (Group.SETS, Group.PER_CLASS),
    "use": (Group.USE,),
}


def keys_of(found: dict[str, Any], groups: tuple[Group, ...]) -> Iterator[tuple[str, tuple[Group, ...]]]:
    """Yield each metric's key below a model's name, and the groups that may name it."""
    for key, value in found.items():
        if key in NO_METRICS:
            continue
        if not isinstance(value, dict):
            yield key, groups
        elif key in PARTS:
            yield from keys_of(value, PARTS[key])
        elif key == "per_class":
            yield from keys_of(value, (Group.PER_CLASS,) if Group.OVERALL in groups else groups)
        else:  # a class
            yield from keys_of(value, groups)


def test_each_metric_of_a_run_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = paint(tmp_path / "xrays")
    data = [f"data.root={root}", "data.image_size=16", "data.test_per_class=3", "data.cache=false", "report=false"]
    main(["run", "model=convnet", *data, "trainer.max_epochs=1", *QUICK])
    results = read_json(RUN / "results.json")
    found = {pair for model in ("final", "best") for pair in keys_of(results[model], (Group.OVERALL, Group.POOLED))}
    named = {(metric.key, metric.group) for metric in METRICS}
    assert {key for key, groups in found if not any((key, group) in named for group in groups)} == set()
    assert len(found) > 30
    assert untold_keys(results) == set()


@pytest.fixture
def new_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a metric where evaluation computes metrics and where they are named, and nowhere else."""
    plain = scores.score_outputs

    def scored(*args: Any) -> dict[str, Any]:
        return {**plain(*args), "made_up": 0.1234}

    made_up = Metric("made_up", "made-up metric", "what it says", Scale.SHARE, Group.OVERALL)
    monkeypatch.setattr(scores, "score_outputs", scored)
    monkeypatch.setitem(names.OVERALL, made_up.key, made_up)
    monkeypatch.setitem(names.BY_KEY, made_up.key, made_up)


def test_a_new_metric_reaches_screen_page_and_card(new_metric, tmp_path, capsys):
    assert screen.OVERALL is names.OVERALL
    assert cells.BY_KEY is names.BY_KEY
    logits = np.random.default_rng(0).normal(size=(20, 2))
    found = scores.score_outputs(logits, np.arange(20) % 2, ["a", "b"], np.ones(2))
    screen.print_scores({"best": found}, "a run")
    assert "made-up metric" in (shown := capsys.readouterr().out)
    assert "0.1234" in shown
    run = write_run(tmp_path)
    results = read_json(run / "results.json")
    results["best"]["made_up"] = found["made_up"]
    (run / "results.json").write_text(json.dumps(results))
    page, card = (write(run).read_text() for write in (write_report, write_card))
    for text in (page, card):
        assert "Made-up metric" in text
        assert "12.3\u00a0%" in text
    assert "what it says" in page
