"""Facts about what is told of an epoch."""

import pytest
import torch

from covidnet.models.parts.epoch import WeightedMean


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_mean_over_many_batches_loses_none_whatever_type_the_module_was_cast_to(dtype):
    mean = WeightedMean().to(dtype)
    for epoch in range(2):
        for _ in range(2000):
            mean.update(torch.tensor([1.0, 3.0 + epoch]), torch.tensor([3.0, 1.0], dtype=dtype))
        assert mean.compute() == pytest.approx((3 + 3 + epoch) / 4, rel=1e-6)
        mean.reset()
