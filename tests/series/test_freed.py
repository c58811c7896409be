"""Before a run of several begins, nothing is left of the ones before it: a GPU's memory is theirs no more."""

import weakref

import pytest
import torch
from helpers import QUICK, slow

from covidnet.commands.train import main
from covidnet.data.module import RadiographyDataModule
from covidnet.errors import DivergedError
from covidnet.models.classifier import Classifier
from covidnet.training.interface import CommandLineInterface

ALL = {"model", "datamodule", "trainer", "pixels"}


@pytest.fixture
def left(monkeypatch) -> list[list[set[str]]]:
    """Return, of each run that begins, what is left then of each run before it."""
    begun: list[list[weakref.ref]] = []
    found = []
    build, serve = CommandLineInterface.instantiate_classes, RadiographyDataModule._serve_on

    def watched(self):
        found.append([{name for name, ref in run.items() if ref() is not None} for run in begun])
        build(self)
        begun.append({name: weakref.ref(getattr(self, name)) for name in ("model", "datamodule", "trainer")})

    def serve_as_on_a_gpu(self, device):
        serve(self, device)
        if self.resident is None:
            self.resident = torch.zeros(1)
            begun[-1]["pixels"] = weakref.ref(self.resident)

    monkeypatch.setattr(CommandLineInterface, "instantiate_classes", watched)
    monkeypatch.setattr(RadiographyDataModule, "_serve_on", serve_as_on_a_gpu)
    return found


@pytest.fixture
def args(xray_root) -> list[str]:
    return [f"data.root={xray_root}", "data.test_per_class=3", "data.image_size=12", "trainer.max_epochs=1", *QUICK]


@slow
@pytest.mark.parametrize("command", [["repeat", "seeds=3"], ["search", "trials=3"]], ids=["repeat", "search"])
def test_nothing_is_left_of_a_run_when_the_next_begins(command, args, left):
    main([*command, *args])
    assert left == [[], [set()], [set(), set()]]


@slow
def test_nothing_is_left_of_a_trial_that_ended_with_an_error(args, left, monkeypatch):
    def diverge(_: Classifier) -> None:
        raise DivergedError("as if")

    monkeypatch.setattr(Classifier, "on_train_epoch_end", diverge)
    main(["search", "trials=2", *args])
    assert left == [[], [set()]]


@slow
def test_the_lungs_test_trains_without_the_pixels_of_its_run_and_frees_each_of_its_own(args, left):
    main([*args, "shortcuts=true"])
    assert len(left) == 5  # the run, two trainings, two tests
    assert all(run == [ALL - {"pixels"}, *[set()] * (len(run) - 1)] for run in left[1:])
