"""Which device is taken where none was named, and what is left of a run when another begins."""

import weakref
from contextlib import suppress

import pytest
import torch
from helpers import BARE
from pytorch_lightning.accelerators import CPUAccelerator, MPSAccelerator

from covidnet.commands.train import main
from covidnet.machine.device import best_device, find_device, freed_afterwards
from covidnet.training.interface import where_and_how


@pytest.fixture
def machine(request, monkeypatch) -> None:
    """A machine with one of the kinds of GPU, or none."""
    kind = request.param
    monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: kind == "mps")
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: kind == "mps"))


@pytest.mark.parametrize(
    ("machine", "given", "accelerator", "precision"),
    [
        ("cuda", "auto", "cuda", "bf16-mixed"),
        ("cuda", "cpu", "cpu", "32-true"),
        ("mps", "auto", "cpu", "32-true"),
        ("mps", "mps", "mps", "32-true"),
        ("none", "auto", "cpu", "32-true"),
    ],
    indirect=["machine"],
)
@pytest.mark.usefixtures("machine")
def test_auto_is_a_gpu_by_cuda_or_the_cpu_and_what_is_typed_counts(given, accelerator, precision):
    assert where_and_how({"accelerator": given}) == {"accelerator": accelerator, "precision": precision}
    assert where_and_how({"accelerator": given, "precision": "64-true"})["precision"] == "64-true"


@pytest.mark.parametrize("machine", ["mps"], indirect=True)
@pytest.mark.usefixtures("machine")
def test_a_mac_trains_and_predicts_on_its_cpu(xray_root):
    sizes = ["data.test_per_class=3", "data.image_size=12", "trainer.max_epochs=1"]
    trainer = main(["fit", f"data.root={xray_root}", "trainer=auto", *sizes, *BARE]).trainer
    assert isinstance(trainer.accelerator, CPUAccelerator)
    assert best_device() == find_device(None).type == "cpu"


class Part:
    """What holds another and is held by it."""


@pytest.mark.parametrize("error", [None, ValueError])
def test_what_only_holds_one_another_is_gone_after_a_run(error):
    def run() -> "weakref.ref[Part]":
        one, two = Part(), Part()
        one.other, two.other = two, one
        kept.append(weakref.ref(one))
        if error:
            raise error

    kept = []
    with freed_afterwards(), suppress(ValueError):
        run()
    assert kept[0]() is None
