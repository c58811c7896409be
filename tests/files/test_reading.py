"""Names in YAML stay what they are; all else is left to the parser."""

import pytest
import yaml

from covidnet.files.reading import keep_names

KEYS = ("classes", "labels")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: {classes: [0, yes, 1e3, ~], n: 1}", {"data": {"classes": ["0", "yes", "1e3", "~"], "n": 1}}),
        ("classes:\n- 0\n- on\nx: on", {"classes": ["0", "on"], "x": True}),
        ("labels: {1: 2, no: [3, {4: 5}]}", {"labels": {"1": "2", "no": ["3", {"4": "5"}]}}),
        ("classes: null", {"classes": None}),
        ("classes: 3", {"classes": 3}),
        ("a: &a [1]\nclasses: *a", {"a": ["1"], "classes": ["1"]}),
        ("x: 1", {"x": 1}),
    ],
)
def test_values_below_the_keys_are_names_and_no_others(text, expected):
    assert yaml.safe_load(keep_names(text, KEYS)) == expected


def test_all_of_a_text_may_be_names():
    assert yaml.safe_load(keep_names("[0, NO, 2020-01-01, x]")) == ["0", "NO", "2020-01-01", "x"]


@pytest.mark.parametrize("text", ["", "x", "3", "[1", "a: [", "{", "classes: [", "\t- a", "[" * 100_000])
def test_what_is_no_such_text_is_left_to_who_reads_it(text):
    assert keep_names(text) == keep_names(text, KEYS) == text


def test_a_bomb_of_aliases_stays_as_small_as_it_is():
    lines = ["classes:", "  a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    bomb = "\n".join(lines + [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)])
    assert len(keep_names(bomb, KEYS)) < 3 * len(bomb)
