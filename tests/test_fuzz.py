"""Facts about odd input: each case ends in success or a message. Few cases here; `python -m bench.fuzz` runs more."""

import os

import pytest
from helpers import slow

from bench.fuzz.configurations import Configuration, run_command_line
from bench.fuzz.folders import Folder, look_at_folder
from bench.fuzz.running import fuzz, holds
from bench.fuzz.targets import TARGETS
from bench.fuzz.trained import trained

pytestmark = pytest.mark.xdist_group("fuzz")  # some of them read one run
CASES = 60 if os.environ.get("COVIDNET_TEST_SLOW") else 20


@pytest.mark.parametrize(
    "name",  # to make all that a run may hold takes long
    [pytest.param(name, marks=slow if target.prepare is trained else ()) for name, target in TARGETS.items()],
)
def test_no_traceback_reaches_the_user(name):
    cases = max(1, round(CASES * TARGETS[name].share))
    found = fuzz(TARGETS[name], cases, 0)
    assert found.cases == cases
    assert not found.failures, "\n".join(found.examples.values())


# What was found so, each once


def test_a_class_without_a_readable_image_is_audited():
    holds(look_at_folder, Folder(True, [(["C"], "unreadable.png", b"text")]))


@pytest.mark.parametrize(
    "configuration",
    [
        Configuration(["trainer.max_time={'false': 1}"], None),
        Configuration(["checkpoint.mode=[A]"], None),
        Configuration(["early_stopping.mode=os.system"], None),
        Configuration(["model.warmup_epochs=&a"], None),
        Configuration(["early_stopping.monitor=2"], None),
        Configuration(["checkpoint.monitor=val_los"], None),
        Configuration(["trainer.limit_val_batches=-0.0"], None),
        Configuration([], "checkpoint: [1, {}]"),
        Configuration([], "trainer: [1]"),
    ],
)
def test_a_configuration_that_was_a_traceback_is_none(configuration):
    holds(run_command_line, configuration)
