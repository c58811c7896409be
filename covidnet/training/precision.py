"""What a run computes on, and in which precision it trains; what measuring computes in: float32, whatever that was."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import DoublePrecision, HalfPrecision, MixedPrecision, Precision
from torch.nn import Module

from covidnet.machine.device import best_device
from covidnet.machine.precision import full_precision
from covidnet.models.classifier import Classifier

# What strategies that keep whole weights have; one that shards them has a plugin of its own, which stays.
REPLACED = (Precision, MixedPrecision, HalfPrecision, DoublePrecision)
Given = ParamSpec("Given")
Found = TypeVar("Found")


class FullPrecision(Precision):
    """Measure a model in float32, as what loads its checkpoint does, whatever types its weights have.

    Args:
        device_type: Where the model is, as torch names it.
    """

    def __init__(self, device_type: str) -> None:
        self.device_type = device_type

    def convert_module(self, module: Module) -> Module:
        """Make the network what its checkpoint gives."""
        assert isinstance(module, Classifier)
        module.model.to_float32()
        return module

    @contextmanager
    def forward_context(self) -> Iterator[None]:
        """Keep a step from autocast and TF32."""
        with full_precision(self.device_type):
            yield


def in_full_precision(
    method: Callable[Concatenate[pl.Trainer, Given], Found],
) -> Callable[Concatenate[pl.Trainer, Given], Found]:
    """Return a method of a trainer that measures, as one that does so in float32; the model keeps that type."""

    @wraps(method)
    def measured(trainer: pl.Trainer, /, *args: Given.args, **kwargs: Given.kwargs) -> Found:
        strategy, own = trainer.strategy, trainer.strategy.precision_plugin
        if type(own) in REPLACED:
            strategy.precision_plugin = FullPrecision(strategy.root_device.type)
        try:
            return method(trainer, *args, **kwargs)
        finally:
            strategy.precision_plugin = own

    return measured


def where_and_how(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``accelerator`` and ``precision``: what was given, else a GPU's mixed bfloat16 where it computes in it."""
    given = trainer["accelerator"]
    accelerator = best_device() if given == "auto" else given  # Lightning's own takes Apple's GPUs too
    on_gpu = accelerator in ("gpu", "cuda") and torch.cuda.is_available()
    reduced = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    return {
        "accelerator": accelerator,
        "precision": trainer.get("precision") or ("bf16-mixed" if reduced else "32-true"),
    }
