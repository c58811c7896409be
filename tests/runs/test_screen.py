import pytest

from covidnet.runs.screen import with_interval


@pytest.mark.parametrize(
    ("value", "interval", "shown"),
    [
        (0.51239, [0.4, 0.6], "0.5124 [0.40, 0.60]"),
        (0.51239, None, "0.5124"),
        (None, None, "-"),
        (12345, None, "12,345"),
    ],
)
def test_a_value_stands_before_its_interval(value, interval, shown):
    assert with_interval(value, interval, ".4f", ends=".2f") == shown
