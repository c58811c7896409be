import pytest

from bench.scaling import all_reduce_seconds, cache_bytes, decode_seconds, steps


def test_a_ring_of_two_sends_all_once_and_of_many_nearly_twice():
    values = 250_000_000 // 4  # 250 MB, 2 Gbit
    assert all_reduce_seconds(values, 2, gigabits=2) == pytest.approx(1.0)
    assert all_reduce_seconds(values, 1000, gigabits=2) == pytest.approx(2.0, rel=2e-3)
    assert all_reduce_seconds(values, 1, gigabits=2) == 0


def test_a_cache_is_a_byte_a_pixel():
    assert cache_bytes(1_000_000, 256) == 65_536_000_000


def test_decoding_takes_all_cores_and_the_last_step_may_be_small():
    assert decode_seconds(1000, rate=50, cores=2) == 10
    assert (steps(100, 10, 5), steps(101, 10, 5)) == (2, 3)
