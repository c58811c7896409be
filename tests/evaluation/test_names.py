from collections import defaultdict

from covidnet.evaluation import comparison
from covidnet.evaluation.names import METRICS, OVERALL, PER_CLASS, metrics_of
from covidnet.evidence import external_table, lungs_test
from covidnet.report import card
from covidnet.runs import screen
from covidnet.series import loso, repeat


def test_a_key_stands_once_in_a_group_and_has_one_scale_in_all():
    assert len({(metric.key, metric.group) for metric in METRICS}) == len(METRICS)
    scales = defaultdict(set)
    for metric in METRICS:
        scales[metric.key].add(metric.scale)
    assert all(len(found) == 1 for found in scales.values())


def test_a_metric_repeats_one_of_its_own_group():
    for metric in METRICS:
        assert not metric.same_as or metric.same_as in metrics_of(metric.group)


def test_each_table_shows_metrics_that_have_a_name():
    overall = {metric.key for metric in METRICS if metric.group is OVERALL["loss"].group}
    shown = (
        *screen.FIRST,
        *screen.CALIBRATED,
        *repeat.OVERALL,
        *external_table.OVERALL,
        *external_table.OF_SOURCE,
        *lungs_test.METRICS,
        *card.METRICS,
        *comparison.METRICS,
        *comparison.DROPPING,
    )
    assert overall.issuperset(shown)
    assert {*PER_CLASS}.issuperset((*repeat.PER_CLASS, *loso.PER_CLASS, *loso.SHOWN, *external_table.PER_CLASS))
