"""Facts about folds: each image in one, groups whole, classes alike, the same on any machine."""

import csv
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_split import images_of

from covidnet.data.division.folds import deal_folds
from covidnet.errors import UserError

CLASSES = ("COVID-19", "NORMAL", "Viral Pneumonia")


def deal(paths, labels, groups=None, *, k=3, seed=28):
    groups = range(len(paths)) if groups is None else groups
    return deal_folds(paths, labels, groups, CLASSES, k=k, seed=seed, val_fraction=0.2)


def fold_of(folds):
    return dict(zip(folds.paths, folds.numbers, strict=True))


@given(
    images=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=20, max_size=120),
    k=st.integers(2, 5),
    seed=st.integers(0, 99),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_no_group_is_astride_each_image_is_tested_once_and_order_does_not_matter(images, k, seed, order):
    labels, groups = [label for label, _ in images], [group for _, group in images]
    paths = [f"{label}/{number}.png" for number, label in enumerate(labels)]
    try:
        folds = deal(paths, labels, groups, k=k, seed=seed)
        splits = [folds.split(number) for number in range(1, k + 1)]
    except UserError:
        assume(False)
    assert sorted(n for split in splits for n in split.test) == list(range(len(paths)))
    for split in splits:
        assert sorted(n for _, side in split.items() for n in side) == list(range(len(paths)))
        sides = [{groups[n] for n in side} for _, side in split.items()]
        assert sum(map(len, sides)) == len(set(groups))
        assert all({labels[n] for n in side} == {0, 1, 2} for _, side in split.items())
    shuffled = list(range(len(paths)))
    order.shuffle(shuffled)
    again = deal(*([kept[n] for n in shuffled] for kept in (paths, labels, groups)), k=k, seed=seed)
    assert fold_of(again) == fold_of(folds)
    told = [{again.paths[n]: name for name, side in again.split(1).items() for n in side}]
    assert told == [{paths[n]: name for name, side in splits[0].items() for n in side}]


def test_single_images_of_each_class_differ_by_one_at_most_and_so_do_the_folds():
    paths, labels = images_of((219, 1341, 1345))
    folds = deal(paths, labels, k=5)
    counts = Counter(zip(folds.numbers, labels, strict=True))
    for label in range(3):
        held = [counts[fold, label] for fold in range(1, 6)]
        assert max(held) - min(held) <= 1
    assert np.ptp(np.bincount(folds.numbers)[1:]) <= 1


def test_this_seed_gives_these_folds_on_every_machine_and_version():
    paths, labels = images_of((6, 6, 6))
    groups = [n // 2 for n in range(18)]
    assert deal(paths, labels, groups).numbers[::2] == [2, 3, 1, 2, 1, 3, 1, 3, 2]
    assert deal(paths, labels, groups, seed=29).numbers[::2] != [2, 3, 1, 2, 1, 3, 1, 3, 2]


def test_each_fold_validates_on_other_images():
    paths, labels = images_of((60, 70, 80))
    folds = deal(paths, labels, k=5)
    held = [set(folds.split(number).val) for number in range(1, 6)]
    assert all(len(one & two) < len(one) / 2 for n, one in enumerate(held) for two in held[:n])


@pytest.mark.parametrize(
    ("counts", "k", "groups", "told"),
    [
        ((12, 12, 12), 1, None, "k=1 must be 2 or more folds"),
        ((12, 12, 4), 5, None, "Viral Pneumonia has 4 (4 images)"),
        ((12, 12, 12), 10**9, None, "k=1000000000: each fold must test"),
        ((3, 12, 12), 2, None, "COVID-19 has 3 (3 images)"),  # one fold would leave a single one to train on
        ((12, 12, 12), 3, [0] * 11 + [1] + list(range(2, 26)), "COVID-19 has 2 (12 images). Change k"),
    ],
)
def test_folds_that_would_lack_a_class_are_refused_with_the_key(counts, k, groups, told):
    with pytest.raises(UserError, match="k=") as refused:
        deal(*images_of(counts), groups, k=k)
    assert told in str(refused.value)


def test_the_table_of_folds_has_each_image_once_sorted_by_path(tmp_path):
    paths, labels = images_of((4, 4, 4))
    deal(paths[::-1], labels[::-1]).write(tmp_path / "folds.csv")
    with (tmp_path / "folds.csv").open(newline="") as lines:
        columns, *rows = csv.reader(lines)
    assert columns == ["path", "label", "fold"]
    assert [row[0] for row in rows] == sorted(paths)
    assert all(row[1] == row[0].split("/")[0] for row in rows)
    assert {row[2] for row in rows} == {"1", "2", "3"}
