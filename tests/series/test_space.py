"""The space of a search: what is written is what is tried, and a mistake names its key."""

from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Literal

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from covidnet.data.module import RadiographyDataModule
from covidnet.data.phantom_module import PhantomDataModule
from covidnet.data.phantoms import Phantoms
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.series.space import FIXED, combination, corners, default_space, plain_space, read_space, space_size

HINTS = {
    "model.learning_rate": float,
    "model.dropout": float,
    "model.weight_decay": float,
    "model.equalize": bool,
    "data.batch_size": int,
    "data.augment": Literal["none", "mild", "strong"],
    "data.seed": int,
    "trainer.max_epochs": int | None,
    "trainer.default_root_dir": str | None,
    "checkpoint.monitor": str | None,
    "seed_everything": bool | int,
}


@pytest.mark.parametrize(
    ("key", "written", "expected"),
    [
        ("model.dropout", [0.0, 0.6], FloatDistribution(0.0, 0.6)),
        ("model.dropout", [0, 1], FloatDistribution(0.0, 1.0)),
        ("model.learning_rate", ["1e-5", "1e-2", "log"], FloatDistribution(1e-5, 1e-2, log=True)),
        ("data.batch_size", [16, 256, "log"], IntDistribution(16, 256, log=True)),
        ("data.batch_size", [16, 256, "int", "log"], IntDistribution(16, 256, log=True)),
        ("model.weight_decay", [1, 3, "int"], IntDistribution(1, 3)),
        ("trainer.max_epochs", [5, 30], IntDistribution(5, 30)),
        ("data.augment", {"choices": ["none", "mild"]}, CategoricalDistribution(["none", "mild"])),
        ("model.equalize", {"choices": [True, False]}, CategoricalDistribution([True, False])),
        ("model.dropout", {"choices": ["1e-1", 0.5]}, CategoricalDistribution([0.1, 0.5])),
    ],
    ids=str,
)
def test_what_is_written_is_what_is_tried(key, written, expected):
    assert read_space({key: written}, HINTS) == {key: expected}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"model.droput": [0.0, 0.6]}, "unknown key 'model.droput'. Did you mean 'model.dropout'?"),
        ({"model.dropout": [0.6, 0.1]}, "model.dropout: [0.6, 0.1]: the first number must be below the second"),
        ({"model.dropout": [0.1]}, "must hold two numbers"),
        ({"model.dropout": [0.1, 0.2, 0.3]}, "must hold two numbers"),
        ({"model.dropout": [0.1, 0.2, "logarithmic"]}, "is no range"),
        ({"model.dropout": 0.3}, "To set it, type model.dropout=0.3"),
        ({"model.dropout": {"low": 0.1}}, "is no range"),
        ({"model.dropout": {"choices": [0.5]}}, "two or more different choices"),
        ({"model.dropout": {"choices": [[1], [2]]}}, "a choice must be one word"),
        ({"model.learning_rate": [0, 1e-2, "log"]}, "must be above 0"),
        ({"data.batch_size": [0.5, 8]}, "whole numbers"),
        ({"data.augment": [0, 1]}, "takes no numbers"),
        ({"data.seed": [0, 9]}, "data.seed cannot be searched: which images"),
        ({"trainer.default_root_dir": {"choices": ["a", "b"]}}, "it is where a trial runs"),
        ({"checkpoint.monitor": {"choices": ["a", "b"]}}, "checkpoint.monitor cannot be searched"),
        ({"seed_everything": [0, 9]}, "a lucky seed"),
        ({}, "must be a mapping"),
        ("nowhere.yaml", "space=nowhere.yaml cannot be read"),
        ("{model.dropout: [0.0", "is no YAML"),
    ],
    ids=str,
)
def test_a_wrong_space_is_refused_by_its_key(written, expected):
    with pytest.raises(UserError) as refused:
        read_space(written, HINTS)
    assert expected in str(refused.value)


def test_a_space_is_read_from_a_file(tmp_path: Path):
    file = tmp_path / "space.yaml"
    file.write_text("model.dropout: [0.0, 0.6]\nmodel.learning_rate: [1e-5, 1e-2, log]\n")
    space = read_space(str(file), HINTS)
    assert space["model.learning_rate"] == FloatDistribution(1e-5, 1e-2, log=True)
    file.write_text("space: {model.dropout: [0.0, 0.6]}\n")
    assert list(read_space(str(file), HINTS)) == ["model.dropout"]


def test_a_plain_space_reads_as_itself():
    written = {"data.augment": {"choices": ["none", "mild"]}, "data.batch_size": [16, 256, "int", "log"]}
    assert plain_space(read_space(written, HINTS)) == written


def test_the_default_space_is_what_the_model_takes_and_the_user_left_open():
    space = default_space(HINTS, ["model.dropout", "data.root"])
    assert set(space) == {"model.learning_rate", "model.weight_decay"}
    with pytest.raises(UserError, match="Nothing is left to search"):
        default_space(HINTS, list(HINTS))


def test_combinations_are_counted_and_each_has_a_number():
    space = read_space({"data.augment": {"choices": ["none", "mild"]}, "data.batch_size": [1, 3]}, HINTS)
    assert space_size(space) == 6
    assert len({tuple(combination(space, number).items()) for number in range(6)}) == 6
    assert space_size(read_space({"model.dropout": [0.0, 0.1]}, HINTS)) is None


def test_corners_hold_both_ends_and_every_choice():
    choices = ["none", "mild", "strong"]
    space = read_space({"data.augment": {"choices": choices}, "model.dropout": [0.0, 0.6]}, HINTS)
    tried = list(corners(space))
    assert {corner["data.augment"] for corner in tried} == set(choices)
    assert {corner["model.dropout"] for corner in tried} == {0.0, 0.6}


SEARCHED = {  # what changes how a model learns, and neither which images it learns from nor where it runs
    "data.image_size",
    "data.batch_size",
    "data.interpolation",
    "data.lungs",
    "data.augment",
    "data.unchanged",
    "data.surround",
    "data.restyle",
    "data.balance",
}


@pytest.mark.parametrize("kind", [RadiographyDataModule, PhantomDataModule])
def test_each_key_of_the_data_is_searchable_or_fixed_by_name(kind):
    parameters = chain.from_iterable(signature(base.__init__).parameters for base in kind.__mro__)
    keys = {f"data.{name}" for name in parameters} - {"data.self", "data.args", "data.kwargs", "data.options"}
    fixed = set(chain.from_iterable(FIXED.values()))
    assert {key for key in keys if key in fixed} == keys - SEARCHED
    assert keys >= SEARCHED
    assert not SEARCHED & fixed


def test_no_key_of_the_data_is_fixed_that_is_not_there():
    keys = {f"data.{name}" for kind in (Radiographs, Phantoms) for name in signature(kind).parameters}
    assert {key for key in chain.from_iterable(FIXED.values()) if key.startswith("data.")} <= keys
