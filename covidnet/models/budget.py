"""A limit for the weights that a network may ask for, so that a file of few cannot have it ask for millions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from covidnet.errors import UserError

FREE = 2**24  # values besides: what a network keeps that no checkpoint holds
# By these a layer asks for its memory; all else that it does works on what they gave.
MAKERS = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})


class Budget(TorchFunctionMode):
    """Within it, tensors are made for twice as many values as ``count``, and some free; then a UserError is raised.

    A size is found out on the meta device, where a tensor has no memory.

    Args:
        count: Weights in the file.
        file: For the message.
    """

    def __init__(self, count: int, file: Path) -> None:
        super().__init__()
        self.count = count
        self.file = file
        self.left = 2 * count + FREE

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Make a tensor, or do what else was asked for."""
        options = dict(kwargs or {})
        if func in MAKERS:
            plain = {key: value for key, value in options.items() if key not in ("generator", "pin_memory", "out")}
            self.left -= func(*args, **{**plain, "device": "meta"}).numel()
            if self.left < 0:
                raise UserError(
                    f"{self.file} holds no model of its recipe: the network would have many more weights than the "
                    f"{self.count:,} in the file."
                )
        return func(*args, **options)
