import math

import pytest
import torch

from covidnet.models.parts.agreement import LIMITS, difference, gaps

SOUND = {kind: [torch.tensor(3.0), torch.tensor(4.0)] for kind in LIMITS}
QUIET = dict.fromkeys(LIMITS, 0.0)


def off(kind, by):
    return {**SOUND, kind: [torch.tensor(3.0 + 5 * by), torch.tensor(4.0)]}


@pytest.mark.parametrize("kind", LIMITS)
def test_a_replay_may_be_off_by_the_limit_and_no_more(kind):
    assert difference(SOUND, off(kind, 0.99 * LIMITS[kind]), QUIET) == ""
    assert f"its {kind} are off by " in difference(SOUND, off(kind, LIMITS[kind] + 0.01), QUIET)


def test_a_replay_may_be_off_by_four_times_what_two_eager_steps_are_apart():
    noise = gaps(SOUND, off("moments", 0.1))
    assert noise == pytest.approx({**QUIET, "moments": 0.1})
    assert difference(SOUND, off("moments", 0.39), noise) == ""
    assert difference(SOUND, off("moments", 0.41), noise) == "its moments are off by 0.41 of the change"


def test_what_is_no_number_or_changes_alone_is_no_match():
    assert "nan" in difference(SOUND, off("weights", math.nan), QUIET)
    still = {**SOUND, "buffers": [torch.tensor(0.0), torch.tensor(0.0)]}
    assert difference(still, still, QUIET) == ""
    assert "its buffers are off by inf" in difference(still, SOUND, QUIET)


def test_a_model_without_buffers_can_be_compared():
    bare = {**SOUND, "buffers": []}
    assert difference(bare, bare, QUIET) == ""


def test_a_loss_that_is_not_finite_tells_nothing_of_the_replay():
    lost = {**SOUND, "losses": [torch.tensor(math.inf)]}
    assert difference(lost, off("moments", 1.0), QUIET) == ""
