"""Facts about odd input: each case ends in success or a message. 200 cases here; `python -m bench.fuzz` runs more."""

import pytest

from bench.fuzz import PNGS, TARGETS, Folder, fuzz, holds, look_at_folder

CASES = 200


@pytest.mark.parametrize("name", TARGETS)
def test_no_traceback_reaches_the_user(name):
    cases = round(CASES * TARGETS[name][2])
    found = fuzz(name, cases, 0)
    assert found.cases == cases
    assert not found.failures, "\n".join(found.examples.values())


# What was found so, each once


@pytest.mark.parametrize(
    "folder",
    [
        Folder(True, [(["C"], "unreadable.png", b"text")]),  # audit: a class without a readable image
        Folder(False, [([name], f"{n}.png", PNGS[n]) for name in "AB" for n in range(2)]),
    ],
)
def test_a_folder_that_was_a_traceback_is_none(folder):
    holds(look_at_folder, folder)
