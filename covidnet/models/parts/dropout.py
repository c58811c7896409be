"""Dropout that does not hold up a CPU."""

import torch
from torch import Tensor, nn

from covidnet.errors import UserError

LEVELS = 256  # of a random byte


class Dropout(nn.Dropout):
    """``nn.Dropout``, from random bytes where that is exact: on a CPU, for shares that are multiples of 1/256.

    PyTorch draws one 32-bit number an element there, which took longer than the ConvNet's convolution; here one 64-bit
    number serves eight elements. Elsewhere, and for other shares, it is PyTorch's own (Srivastava et al. 2014).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return ``input``, in training with a share ``p`` of its elements 0 and the rest scaled by 1 / (1 - p)."""
        dropped = self.p * LEVELS  # levels of a byte that drop its element
        if not self.training or self.p == 0 or input.device.type != "cpu" or dropped != int(dropped):
            return super().forward(input)
        if not input.is_contiguous(memory_format=torch.channels_last if input.dim() == 4 else torch.contiguous_format):
            input = input.contiguous()
        words = torch.randint(-(2**63), 2**63 - 1, (-(-input.numel() // 8),), dtype=torch.int64)
        # In the layout of the input: a product of two layouts is slow.
        levels = words.view(torch.uint8)[: input.numel()].as_strided(input.size(), input.stride())
        kept = (levels >= int(dropped)).to(input.dtype).mul_(1 / (1 - self.p))
        return input * kept


def check_dropout(dropout: float) -> None:
    """Refuse a share outside [0, 1)."""
    if not 0 <= dropout < 1:
        raise UserError(f"model.dropout={dropout} must be in [0, 1).")
