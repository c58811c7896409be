import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from bench.coverage import coverage, proportion
from covidnet.evaluation.intervals import proportion_interval, wilson


@pytest.mark.parametrize(("hits", "images"), [(0, 1), (1, 1), (40, 40), (102, 120), (3, 700)])
def test_independent_images_have_wilsons_limits(hits, images):
    right = np.arange(images) < hits
    assert proportion_interval(right) == pytest.approx(proportion_confint(hits, images, method="wilson"), abs=1e-12)
    assert wilson(hits / images, images) == proportion_interval(right)


def test_the_tutorials_925_percent_reaches_from_86_to_96():
    assert proportion_interval(np.arange(120) < 111) == pytest.approx((0.864, 0.960), abs=5e-4)


def test_forty_of_forty_may_still_be_91_percent():
    low, high = proportion_interval(np.ones(40, dtype=bool))
    assert low == pytest.approx(0.912, abs=5e-4)
    assert high == 1.0


def test_images_of_one_patient_that_agree_count_nearly_once():
    right = np.repeat(np.arange(40) < 34, 3)
    low, high = proportion_interval(right, np.repeat(np.arange(40), 3))
    assert (low, high) == pytest.approx(wilson(34 / 40, 40), abs=0.005)


def test_patients_with_one_image_each_change_nothing():
    right = np.random.default_rng(0).random(120) < 0.9
    assert proportion_interval(right, np.arange(120)[::-1] * 7) == proportion_interval(right)


def test_one_patient_counts_as_one_image():
    assert proportion_interval(np.ones(30, dtype=bool), np.zeros(30, dtype=int)) == pytest.approx(wilson(1.0, 1))


def test_no_image_gives_no_interval():
    assert proportion_interval(np.zeros(0, dtype=bool)) is None


@pytest.mark.parametrize("images_a_patient", [1, 3])
@pytest.mark.parametrize("images", [40, 120])
@pytest.mark.parametrize("rate", [0.8, 0.95])
def test_intervals_of_proportions_hold_the_truth(rate, images, images_a_patient):
    held, _ = coverage(rate, proportion(rate, images, images_a_patient), splits=1500)
    assert 0.92 <= held <= 0.98
