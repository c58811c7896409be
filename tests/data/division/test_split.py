"""Facts about the split: a partition, seeded, stratified, groups whole; and about the file that keeps it."""

import csv

import numpy as np
import pytest

from covidnet.data.division.split import Split, read_split, seeded_split, write_split
from covidnet.errors import UserError

CLASSES = ("COVID-19", "NORMAL", "Viral Pneumonia")
FIRST_RELEASE = (219, 1341, 1345)


def images_of(counts):
    """Return paths and labels of a folder with so many images a class."""
    paths = [
        f"{name}/{name} ({n}).png" for name, count in zip(CLASSES, counts, strict=True) for n in range(1, count + 1)
    ]
    return paths, np.repeat(range(len(counts)), counts).tolist()


def draw(paths, labels, groups=None, *, seed=28, val_fraction=0.2, test_per_class=40):
    groups = range(len(paths)) if groups is None else groups
    return seeded_split(
        paths, labels, groups, CLASSES, seed=seed, val_fraction=val_fraction, test_per_class=test_per_class
    )


def sides(split, paths):
    return {paths[index]: name for name, indices in split.items() for index in indices}


def counts(indices, labels):
    return np.bincount([labels[index] for index in indices], minlength=len(CLASSES)).tolist()


def test_the_first_release_is_split_by_class():
    paths, labels = images_of(FIRST_RELEASE)
    split = draw(paths, labels)
    assert counts(split.test, labels) == [40, 40, 40]
    assert counts(split.val, labels) == [36, 260, 261]
    assert counts(split.train, labels) == [143, 1041, 1044]


def test_the_splits_are_a_partition_in_ascending_order():
    paths, labels = images_of((60, 70, 80))
    split = draw(paths, labels)
    assert sorted(split.train + split.val + split.test) == list(range(210))
    assert all(indices == sorted(indices) for _, indices in split.items())


def test_this_seed_gives_these_images_on_every_machine_and_version():
    paths, labels = images_of((5, 5, 5))
    split = draw(paths, labels, test_per_class=1)
    assert (split.val, split.test) == ([0, 5, 10], [3, 7, 11])


def test_the_order_of_the_listing_does_not_matter():
    paths, labels = images_of((60, 70, 80))
    groups = [index // 3 for index in range(210)]
    order = np.random.default_rng(0).permutation(210)
    shuffled = [[values[index] for index in order] for values in (paths, labels, groups)]
    assert sides(draw(paths, labels, groups), paths) == sides(draw(*shuffled), shuffled[0])


def test_the_numbers_that_groups_go_by_do_not_matter():
    paths, labels = images_of((60, 70, 80))
    groups = [index // 3 for index in range(210)]
    assert draw(paths, labels, groups) == draw(paths, labels, [7 * (100 - group) for group in groups])


def test_another_seed_draws_another_split():
    paths, labels = images_of((60, 70, 80))
    first, second = draw(paths, labels, seed=1), draw(paths, labels, seed=2)
    assert first.test != second.test
    assert first.val != second.val
    assert first == draw(paths, labels, seed=1)


def test_one_more_image_moves_few_others():
    paths, labels = images_of((60, 70, 80))
    before = sides(draw(paths, labels), paths)
    for number in range(20):
        more = [*paths, f"NORMAL/new {number}.png"]
        after = sides(draw(more, [*labels, 1]), more)
        assert sum(before[path] != after[path] for path in paths) <= 3


def test_without_a_holdout_all_images_train_or_validate():
    paths, labels = images_of((10, 20, 30))
    split = draw(paths, labels, test_per_class=0)
    assert split.test == []
    assert counts(split.val, labels) == [2, 4, 6]


@pytest.mark.parametrize("val_fraction", [0.001, 0.1, 0.5, 0.9])
def test_every_class_validates_its_share_and_at_least_one_image(val_fraction):
    paths, labels = images_of((10, 20, 30))
    split = draw(paths, labels, val_fraction=val_fraction, test_per_class=0)
    assert counts(split.val, labels) == [max(1, round(val_fraction * n)) for n in (10, 20, 30)]


@pytest.mark.parametrize("seed", range(50))
def test_random_groups_stay_whole_and_every_class_gets_its_share(seed):
    rng = np.random.default_rng(seed)
    paths, labels = images_of(rng.integers(60, 120, 3))
    groups = rng.integers(0, len(paths), len(paths))  # about a third alone, some across classes
    split = draw(paths, labels, groups.tolist(), seed=seed, test_per_class=20)
    assert sorted(split.train + split.val + split.test) == list(range(len(paths)))
    assert not set(groups[split.test]) & set(groups[split.val + split.train])
    assert not set(groups[split.val]) & set(groups[split.train])
    assert min(counts(split.test, labels)) >= 20
    rest = np.array(counts(split.train + split.val, labels))
    assert counts(split.val, labels) == [round(n * 0.2) for n in rest]  # those alone fill what groups leave open


@pytest.mark.parametrize("size", [2, 7, 15])
def test_groups_overfill_the_holdout_rather_than_underfill_it(size):
    paths, labels = images_of((100, 120, 140))
    split = draw(paths, labels, [index // size for index in range(360)])
    assert all(40 <= n < 40 + 2 * size for n in counts(split.test, labels))


def test_a_group_larger_than_the_validation_share_trains():
    paths, labels = images_of((50, 50, 50))
    groups = [0] * 30 + list(range(1, 121))
    split = draw(paths, labels, groups, test_per_class=0)
    assert set(range(30)) <= set(split.train)


def test_large_groups_alone_still_leave_every_split_something():
    paths, labels = images_of((40, 40, 40))
    split = draw(paths, labels, [index // 20 for index in range(120)], test_per_class=0)  # two groups a class
    assert counts(split.val, labels) == counts(split.train, labels) == [20, 20, 20]


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [((41, 60, 60), range(161)), ((60, 0, 60), range(120)), ((60, 60, 60), [0] * 60 + list(range(1, 121)))],
    ids=["one short", "none", "one patient"],
)
def test_too_few_images_or_groups_name_what_to_change(sizes, groups):
    with pytest.raises(UserError, match=r"too few.*data\.test_per_class.*data\.val_fraction.*data\.test_root"):
        draw(*images_of(sizes), groups)


def test_the_fewest_images_are_one_to_train_one_to_validate_and_the_holdout():
    paths, labels = images_of((42, 42, 42))
    split = draw(paths, labels)
    assert [counts(indices, labels) for _, indices in split.items()] == [[1] * 3, [1] * 3, [40] * 3]


@pytest.fixture
def small():
    paths, labels = images_of((4, 4, 4))
    return draw(paths, labels, test_per_class=1), paths, labels


def test_a_split_comes_back_from_its_file(tmp_path, small):
    split, paths, labels = small
    write_split(tmp_path / "split.csv", split, paths, labels, CLASSES)
    assert read_split(tmp_path / "split.csv", paths, labels, CLASSES) == (split, [])


def test_a_split_file_is_read_for_a_folder_listed_in_another_order(tmp_path, small):
    split, paths, labels = small
    write_split(tmp_path / "split.csv", split, paths, labels, CLASSES)
    again, _ = read_split(tmp_path / "split.csv", paths[::-1], labels[::-1], CLASSES)
    assert sides(again, paths[::-1]) == sides(split, paths)
    assert all(indices == sorted(indices) for _, indices in again.items())


def test_a_split_file_is_sorted_and_names_classes(tmp_path, small):
    split, paths, labels = small
    write_split(tmp_path / "split.csv", split, paths, labels, CLASSES)
    header, *rows = csv.reader((tmp_path / "split.csv").read_text().splitlines())
    assert header == ["path", "label", "split"]
    assert [row[0] for row in rows] == sorted(paths)
    assert {row[1] for row in rows} == set(CLASSES)


@pytest.mark.parametrize(
    "name", ["a, b.png", 'a "b".png', "röntgen.png", "a\nb.png", " a.png", b"caf\xe9.png"], ids=repr
)
def test_a_split_file_keeps_awkward_names(tmp_path, name):
    path = name if isinstance(name, str) else name.decode(errors="surrogateescape")  # as os.listdir gives it
    split = Split([0], [], [])
    write_split(tmp_path / "split.csv", split, [path], [0], CLASSES[:1])
    assert read_split(tmp_path / "split.csv", [path], [0], CLASSES[:1]) == (split, [])


def test_images_that_the_file_does_not_name_are_returned(tmp_path, small):
    split, paths, labels = small
    write_split(tmp_path / "split.csv", split, paths, labels, CLASSES)
    again, unnamed = read_split(tmp_path / "split.csv", [*paths, "NORMAL/new.png"], [*labels, 1], CLASSES)
    assert (again, unnamed) == (split, ["NORMAL/new.png"])


def test_a_spreadsheets_byte_order_mark_and_extra_columns_do_no_harm(tmp_path):
    rows = "\ufeffpath,split,label,note\r\na.png,train,NORMAL,blurred\r\n"
    (tmp_path / "split.csv").write_text(rows, encoding="utf-8", newline="")
    assert read_split(tmp_path / "split.csv", ["a.png"], [0], ["NORMAL"]) == (Split([0], [], []), [])


BAD_FILES = {
    "no column": ("path,label\na.png,NORMAL\n", r"has the columns \['path', 'label'\]"),
    "nothing": ("", r"has the columns \[\]"),
    "unknown image": (
        "path,label,split\nb.png,NORMAL,val\n",
        r"1 images that are not in the folder.*'b\.png'.*data\.root",
    ),
    "no path": ("split,label,path\nval,NORMAL\nval,NORMAL,b.png\n", "not in the folder"),
    "other class": ("path,label,split\na.png,COVID-19,val\n", "calls 'a.png' 'COVID-19'; its folder says 'NORMAL'"),
    "other split": ("path,label,split\na.png,NORMAL,dev\n", "in 'dev'; a split is one of train, val, test"),
    "short row": ("path,label,split\na.png,NORMAL\n", "a split is one of train, val, test"),
    "twice": ("path,label,split\na.png,NORMAL,val\na.png,NORMAL,train\n", "names 'a.png' twice"),
    "another encoding": ("path,label,split\ncafé.png,NORMAL,val\n".encode("latin-1"), "be read|not in"),
    "no text": (b"\x89PNG\r\n\x1a\n\x00\xff", "cannot be read|has the columns"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_split_file_names_the_mistake_and_the_key(tmp_path, content, message):
    file = tmp_path / "split.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as mistake:
        read_split(file, ["a.png"], [1], CLASSES)
    assert str(file) in str(mistake.value)
    assert "data.split_file" in str(mistake.value)


def test_a_missing_split_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.csv cannot be read.*data\.split_file"):
        read_split(tmp_path / "nowhere.csv", [], [], CLASSES)
