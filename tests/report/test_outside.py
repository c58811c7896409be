"""Images from elsewhere on the page: each source with its images by class, and a star where the training knew it."""

import re

from covidnet.evaluation.names import PER_CLASS
from covidnet.report.outside import outside


def source(right: float, seen: bool | None, **images: int) -> dict:
    return {
        "overall": {"accuracy": right, "balanced_accuracy": right},
        "intervals": {"balanced_accuracy": [right - 0.1, right + 0.1]},
        "per_class": {name: {"support": count} for name, count in images.items()},
        "images": sum(images.values()),
        "in_training": seen,
    }


def test_each_source_has_its_images_by_class_and_a_star_where_the_training_knew_it():
    sources = {"lima": source(0.8, True, A=1200, B=3, C=0), "oslo <u>": source(0.6, None, A=0, B=40, C=2)}
    found = outside({"per_source": sources, "inside": {"overall": {"balanced_accuracy": 0.9}}}, {})
    assert [(one.name, one.seen, one.images) for one in found.sources] == [
        ("lima", True, 1203),
        ("oslo <u>", False, 42),
    ]
    assert [one.counts for one in found.sources] == [["1,200 A", "3 B"], ["40 B", "2 C"]]
    drawn = [" ".join(text.split()) for text in re.findall(r">([^<>]+)</t", str(found.figure))]
    assert {"lima * (1,203)", "oslo &lt;u&gt; (42)", "own test"} <= {*drawn}


def test_a_single_source_is_no_figure():
    assert outside({"per_source": {"lima": source(0.8, None, A=3)}}, {}).figure is None


def test_what_hangs_on_the_mix_of_classes_comes_after_what_does_not():
    order = [*PER_CLASS]
    assert order.index("auroc") < order.index("ppv")
