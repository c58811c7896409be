import pytest

from covidnet.data.sampler import PADDING, EpochSampler


def orders(size: int, world: int, epoch: int = 0) -> list[list[int]]:
    samplers = [EpochSampler(range(size), world, rank) for rank in range(world)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return [list(sampler) for sampler in samplers]


@pytest.mark.parametrize(("size", "world"), [(7, 1), (7, 2), (7, 3), (12, 3), (4, 3)])
def test_the_processes_share_each_image_once(size, world):
    shares = orders(size, world)
    assert len({len(share) for share in shares}) == 1  # or some would wait for ever
    numbers = [number for share in shares for number in share]
    assert sorted(number for number in numbers if number != PADDING) == list(range(size))
    assert numbers.count(PADDING) == -size % world


@pytest.mark.parametrize("world", [2, 3])
def test_a_step_of_all_processes_takes_the_images_that_one_process_takes(world):
    [one] = orders(47, 1, epoch=3)
    shares = orders(47, world, epoch=3)
    batch = 12 // world
    for step in range(4):
        taken = {n for share in shares for n in share[step * batch : (step + 1) * batch]} - {PADDING}
        assert taken == set(one[step * 12 : (step + 1) * 12])


def test_the_order_is_that_of_seed_and_epoch(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "28")
    first = orders(20, 1)
    assert orders(20, 1) == first != orders(20, 1, epoch=1)
    monkeypatch.setenv("PL_GLOBAL_SEED", "29")
    assert orders(20, 1) != first
