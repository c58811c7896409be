"""Facts about the learning rate: it rises, then stays or falls along a cosine, by the step."""

import math

import pytest
import torch

from covidnet.models.parts.schedule import learning_rate_factor, scheduler


def factors(schedule, warmup, total):
    return [learning_rate_factor(step, warmup=warmup, total=total, schedule=schedule) for step in range(total)]


def test_it_rises_in_equal_steps_and_never_begins_at_zero():
    assert factors("constant", 3, 6) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_a_cosine_falls_from_the_end_of_the_warm_up_to_nothing():
    values = factors("cosine", 2, 10)
    assert values[2] == 1
    assert values[6] == pytest.approx(0.5)  # half way
    assert values == sorted(values[:3]) + sorted(values[3:], reverse=True)
    assert learning_rate_factor(10, warmup=2, total=10, schedule="cosine") == pytest.approx(0)
    assert learning_rate_factor(99, warmup=2, total=10, schedule="cosine") == pytest.approx(0)  # a run that goes on


def test_without_warm_up_or_schedule_nothing_changes():
    assert factors("constant", 0, 4) == [1, 1, 1, 1]


def test_the_optimizer_gets_the_factor_at_each_step_even_where_its_rate_is_a_tensor():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=0.1)
    by_step = scheduler(optimizer, "cosine", warmup=0, total=4)
    rate = torch.tensor(optimizer.param_groups[0]["lr"])
    optimizer.param_groups[0]["lr"] = rate  # as on a GPU
    rates = []
    for _ in range(4):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        by_step.step()
    assert rates == pytest.approx([0.1 * 0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(4)])
    assert optimizer.param_groups[0]["lr"] is rate  # what a recorded step reads
