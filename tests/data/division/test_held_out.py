"""Facts about folds that leave sources out."""

import re

import pytest

from covidnet.data.division.held_out import count_sources, draw_folds, name_sources, spare_sources
from covidnet.errors import UserError

CLASSES = ["COVID", "Normal", "Viral"]
SMALLEST = 4


def images(held):
    """Return paths, labels and sources of ``{class: {source: images}}``."""
    listed = [(name, of, n) for name, own in held.items() for of, count in own.items() for n in range(count)]
    paths = [f"{name}/{of}{n}.png" for name, of, n in listed]
    return paths, [CLASSES.index(name) for name, *_ in listed], [of for _, of, _ in listed]


def drawn(held, links=(), **options):
    paths, labels, sources = images(held)
    groups = list(range(len(paths)))
    for one, other in links:
        groups[paths.index(one)] = paths.index(other)
    defaults = {"together": True, "seed": 28, "val_fraction": 0.2, "test_per_class": 3, "smallest": SMALLEST}
    options = {**defaults, **options}
    folds, impossible = draw_folds(paths, labels, groups, sources, CLASSES, **options)
    return paths, folds, impossible


def named(paths, numbers):
    """Return which sources of which class have images among the numbers."""
    return {tuple(re.split(r"/|\d+", paths[n])[:2]) for n in numbers}


RELEASE = {  # a small copy of the later release
    "COVID": {"bimcv": 20, "cxnet": 10, "cohen": 5, "hanover": 2, "figure": 1},
    "Normal": {"rsna": 30, "kaggle": 12},
    "Viral": {"kaggle": 15},
}


def test_fold_i_holds_out_source_i_of_each_class_and_a_class_with_fewer_begins_again():
    _, folds, impossible = drawn(RELEASE)
    assert [fold.held_out for fold in folds] == [
        {"COVID": {"bimcv": 20}, "Normal": {"rsna": 30}},
        {"COVID": {"cxnet": 10}, "Normal": {"kaggle": 12}},
        {"COVID": {"cohen": 5}, "Normal": {"rsna": 30}},
    ]
    assert [fold.number for fold in folds] == [1, 2, 3]
    assert not impossible


def test_a_hospital_that_is_held_out_is_unseen_in_every_class_and_a_class_left_empty_is_dropped():
    paths, folds, _ = drawn(RELEASE)
    assert [fold.classes for fold in folds] == [CLASSES, ["COVID", "Normal"], CLASSES]
    assert [fold.dropped for fold in folds] == [[], ["Viral"], []]
    for fold in folds:
        seen = {source for _, source in named(paths, [*fold.split.train, *fold.split.val])}
        assert not seen & {source for own in fold.held_out.values() for source in own}
        assert {name for name, _ in named(paths, fold.split.train)} == set(fold.classes)


def test_a_fold_is_a_partition_that_repeats():
    paths, folds, _ = drawn(RELEASE)
    assert folds == drawn(RELEASE)[1]
    for fold in folds:
        used = [number for _, numbers in fold.split.items() for number in numbers]
        assert len(used) == len(set(used))
        assert {paths[n].split("/")[0] for n in fold.split.val} == set(fold.classes)
        assert fold.split.test == [
            n for n, path in enumerate(paths) for name, own in fold.held_out.items() for source in own
            if path.startswith(f"{name}/{source}")
        ]  # fmt: skip
    assert sum(len(numbers) for _, numbers in folds[0].split.items()) == len(paths)


def test_small_sources_of_a_class_are_held_out_together_where_they_are_enough():
    held = {"COVID": {"a": 9, "b": 3, "c": 3}, "Normal": {"d": 9, "e": 8}}
    paths, folds, _ = drawn(held)
    assert folds[1].held_out == {"COVID": {"other sources": 6}, "Normal": {"e": 8}}
    assert named(paths, folds[1].split.test) == {("COVID", "b"), ("COVID", "c"), ("Normal", "e")}


def test_a_small_rest_stays_in_training():
    paths, folds, _ = drawn(RELEASE)
    for fold in folds:
        rest = [n for n, path in enumerate(paths) if "hanover" in path or "figure" in path]
        assert set(rest) <= {*fold.split.train, *fold.split.val}


def test_other_sources_of_two_classes_are_different_ones():
    held = {"COVID": {"a": 9, "b": 3, "c": 3}, "Normal": {"d": 9, "e": 8, "f": 3, "g": 2}}
    paths, folds, _ = drawn(held)
    assert folds[1].held_out == {"COVID": {"other sources": 6}, "Normal": {"e": 8}}
    trained = named(paths, [*folds[1].split.train, *folds[1].split.val])
    assert {("Normal", "f"), ("Normal", "g")} <= trained


def test_a_source_merged_in_one_class_is_the_same_hospital_in_another():
    held = {"COVID": {"a": 9, "b": 3, "c": 3}, "Normal": {"d": 12, "e": 8, "b": 6}}
    _, folds, _ = drawn(held)
    # b, small among COVID, goes with the other small ones: and its Normal images with it, in the same test
    assert folds[1].held_out == {"COVID": {"other sources": 6}, "Normal": {"e": 8, "b": 6}}


def test_images_without_a_source_are_never_held_out():
    held = {"COVID": {"a": 9, "b": 8, "unknown": 20}, "Normal": {"d": 9, "e": 8, "unknown": 2}}
    paths, folds, _ = drawn(held)
    assert len(folds) == 2
    for fold in folds:
        assert "unknown" not in {source for _, source in named(paths, fold.split.test)}
        assert ("COVID", "unknown") in named(paths, fold.split.train)


def test_what_is_linked_to_a_held_out_image_leaves_the_training():
    links = [("COVID/cxnet0.png", "COVID/bimcv0.png"), ("Normal/kaggle3.png", "COVID/bimcv1.png")]
    paths, folds, _ = drawn(RELEASE, links)
    used = {paths[n] for _, numbers in folds[0].split.items() for n in numbers}
    assert folds[0].linked == 2
    assert not {"COVID/cxnet0.png", "Normal/kaggle3.png"} & used
    assert {"COVID/bimcv0.png", "COVID/bimcv1.png"} <= {paths[n] for n in folds[0].split.test}


def test_what_is_linked_stays_together_between_training_and_validation():
    links = [(f"Normal/kaggle{n}.png", "Normal/kaggle0.png") for n in range(1, 5)]
    paths, folds, _ = drawn(RELEASE, links)
    sides = {name for name, numbers in folds[0].split.items() for n in numbers if paths[n] in dict(links)}
    assert len(sides) == 1
    assert folds[0].linked == 0


def test_a_fold_that_loses_a_class_it_should_test_is_impossible_and_says_why():
    held = {"COVID": {"a": 9, "b": 8}, "Normal": {"a": 7, "b": 6}}
    _, folds, impossible = drawn(held)
    assert [fold.held_out for fold in folds] == [
        {"COVID": {"a": 9}, "Normal": {"a": 7}},
        {"COVID": {"b": 8}, "Normal": {"b": 6}},
    ]
    _, folds, impossible = drawn({"COVID": {"a": 9, "b": 8}, "Normal": {"b": 7, "a": 6}})
    assert not folds  # a of COVID and b of Normal together are all there is
    assert "without a and b too few images of COVID, Normal, Viral" in impossible[1]


def test_alone_each_source_that_a_class_can_spare_is_a_fold_and_other_classes_are_tested_on_their_own():
    paths, folds, impossible = drawn(RELEASE, together=False)
    assert [(fold.number, fold.held_out, fold.own) for fold in folds] == [
        (1, {"COVID": {"bimcv": 20}}, {"Normal": 3, "Viral": 3}),
        (2, {"COVID": {"cxnet": 10}}, {"Normal": 3, "Viral": 3}),
        (3, {"COVID": {"cohen": 5}}, {"Normal": 3, "Viral": 3}),
        (4, {"Normal": {"rsna": 30}}, {"COVID": 3, "Viral": 3}),
        (5, {"Normal": {"kaggle": 12}}, {"COVID": 3}),
    ]
    assert folds[4].dropped == ["Viral"]
    assert not impossible
    assert folds == drawn(RELEASE, together=False)[1]
    for fold in folds:
        used = [number for _, numbers in fold.split.items() for number in numbers]
        assert len(used) == len(set(used))
        assert fold.split.test == sorted(fold.split.test)
        assert {paths[n].split("/")[0] for n in fold.split.val} == set(fold.classes)
        seen = {source for _, source in named(paths, [*fold.split.train, *fold.split.val])}
        assert not seen & {source for own in fold.held_out.values() for source in own}
        tested = named(paths, fold.split.test)
        assert {pair for pair in tested if pair[0] in fold.held_out} == {
            (name, source) for name, own in fold.held_out.items() for source in own
        }
    assert sum(len(numbers) for _, numbers in folds[0].split.items()) == len(paths)


def test_together_no_class_is_tested_on_its_own_sources():
    _, folds, _ = drawn(RELEASE)
    assert not any(fold.own for fold in folds)


def test_a_hospital_of_two_classes_is_one_fold_alone():
    held = {"COVID": {"a": 9, "b": 8}, "Normal": {"b": 9, "c": 8}, "Viral": {"x": 12}}
    _, folds, _ = drawn(held, together=False)
    assert [fold.held_out for fold in folds] == [
        {"COVID": {"a": 9}},
        {"COVID": {"b": 8}, "Normal": {"b": 9}},
        {"Normal": {"c": 8}},
    ]
    assert [list(fold.own) for fold in folds] == [["Normal", "Viral"], ["Viral"], ["COVID", "Viral"]]


def test_a_few_images_of_the_hospital_do_not_test_another_class():
    held = {"COVID": {"a": 9, "b": 8}, "Normal": {"c": 9, "d": 8, "a": 2}}
    paths, folds, _ = drawn(held, together=False)
    assert (folds[0].held_out, folds[0].own) == ({"COVID": {"a": 9}}, {"Normal": 3})
    assert ("Normal", "a") not in named(paths, [n for _, numbers in folds[0].split.items() for n in numbers])


def test_what_is_linked_is_tested_whole_and_never_with_a_class_that_is_tested_unseen():
    links = [(f"Viral/kaggle{n}.png", "Viral/kaggle0.png") for n in range(1, 6)]
    mixed = [(f"Normal/rsna{n}.png", f"COVID/cxnet{n}.png") for n in range(8)]
    paths, folds, _ = drawn(RELEASE, [*links, *mixed], together=False)
    test = {paths[n] for n in folds[0].split.test}
    assert not test & {path for pair in mixed for path in pair}
    sides = {name for name, numbers in folds[0].split.items() for n in numbers if paths[n] in dict(links)}
    assert len(sides) == 1


def test_alone_a_class_that_keeps_too_few_to_test_is_dropped_and_one_class_is_no_test():
    held = {"COVID": {"a": 9, "b": 8}, "Normal": {"a": 9, "x": 3}, "Viral": {"c": 12}}
    _, folds, _ = drawn(held, together=False)
    assert [fold.dropped for fold in folds] == [["Normal"], []]
    held = {"COVID": {"a": 9, "b": 8}, "Normal": {"a": 9}}
    _, folds, impossible = drawn(held, together=False)
    assert [fold.number for fold in folds] == [2]
    assert "without a too few images of Normal, Viral are left to train on and to test, so fewer" in impossible[1]


def test_a_fold_counts_the_sources_that_a_class_is_learned_from():
    paths, folds, _ = drawn({"COVID": {"a": 9, "b": 8}, "Normal": {"d": 9, "e": 8, "f": 3}})
    for fold in folds:
        assert {(name, source) for name, own in fold.trained.items() for source in own} == named(
            paths, fold.split.train
        )
        assert sum(sum(own.values()) for own in fold.trained.values()) == len(fold.split.train)
    assert set(folds[1].trained["Normal"]) == {"d", "f"}  # not merged


def test_one_image_is_too_few_to_train_and_validate():
    held = {"COVID": {"a": 9, "b": 8}, "Normal": {"d": 9, "e": 8}, "Viral": {"a": 9, "x": 1}}
    _, folds, _ = drawn(held)
    assert [fold.dropped for fold in folds] == [["Viral"], []]


def test_another_validation_fraction_and_seed_move_the_validation_only():
    _, folds, _ = drawn(RELEASE)
    for options in ({"val_fraction": 0.5}, {"seed": 3}):
        _, others, _ = drawn(RELEASE, **options)
        assert others[0].split.test == folds[0].split.test
        assert others[0].split.val != folds[0].split.val
    with pytest.raises(UserError, match="val_fraction"):
        drawn(RELEASE, val_fraction=0.999)


def test_sources_are_counted_most_first_and_ties_by_name():
    _, labels, sources = images({"COVID": {"b": 5, "a": 5, "c": 7, "x": 1, "y": 2}, "Normal": {"d": 5, "unknown": 1}})
    counts = count_sources(name_sources(sources, labels, SMALLEST), labels, CLASSES)
    assert counts == {
        "COVID": {"c": 7, "a": 5, "b": 5, "other sources": 3},
        "Normal": {"d": 5, "unknown": 1},
        "Viral": {},
    }
    assert list(counts["COVID"]) == ["c", "a", "b", "other sources"]
    assert spare_sources(counts, SMALLEST) == {"COVID": ["c", "a", "b"], "Normal": [], "Viral": []}
