"""Facts about loggers beside our own: they hear of a run's making and of its results, once each."""

from types import SimpleNamespace
from typing import ClassVar

import pytest
from helpers import QUICK, paint, read_rows
from pytorch_lightning.loggers.logger import DummyLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from covidnet.commands.train import main
from covidnet.training.loggers import named_scores, tell_results

SIZES = ["data.image_size=12", "data.test_per_class=3", "data.batch_size=8", "trainer.max_epochs=2", "report=false"]


class StandIn(DummyLogger):
    """A logger of a service that is not there."""

    told: ClassVar[list] = []

    def log_hyperparams(self, params):
        self.told.append(("made", params))

    def log_metrics(self, metrics, step=None):
        self.told.append(("metrics", metrics))

    def finalize(self, status):
        self.told.append((status, {}))


def test_each_logger_hears_of_the_making_and_of_both_tests_once(tmp_path):
    StandIn.told.clear()
    keys = {"data.root": paint(tmp_path / "xrays"), "data.cache_dir": tmp_path / "cache"}
    words = [*(f"{key}={value}" for key, value in keys.items()), f"trainer.default_root_dir={tmp_path}", *SIZES, *QUICK]
    done = main([*words, "tensorboard=true", "trainer.logger=test_loggers.StandIn"])
    folder = done.trainer.run_directory
    (made,) = [params for kind, params in StandIn.told if kind == "made"]
    assert made["model"]["class_path"] == "covidnet.models.convnet.ConvNet"
    assert (made["seed_everything"], made["run_directory"]) == (28, str(folder))
    metrics = [found for kind, found in StandIn.told if kind == "metrics"]
    assert sum("val_loss" in found for found in metrics) == 2  # an epoch
    assert not any("test_loss" in found for found in metrics)  # which would be of two models
    (results,) = [found for found in metrics if "test_best/loss" in found]
    tested = done.trainer.logger.experiment.metrics  # our own
    assert results["test_best/accuracy"] == pytest.approx(tested[-1]["test_accuracy"])
    assert results["test_final/COVID-19/sensitivity_low"] < results["test_final/COVID-19/sensitivity_high"]
    assert "test_loss" in read_rows(folder / "metrics.csv")[0]
    board = EventAccumulator(str(folder)).Reload()
    assert "hp_metric" not in board.Tags()["scalars"]
    assert [one.value for one in board.Scalars("test_best/accuracy")] == [pytest.approx(results["test_best/accuracy"])]


def test_a_logger_that_fails_at_the_end_is_told_and_the_next_one_hears():
    class Gone(StandIn):
        def log_metrics(self, metrics, step=None):
            raise OSError("no route to host")

    StandIn.told.clear()
    trainer = SimpleNamespace(loggers=[None, Gone(), StandIn()], global_step=3)
    with pytest.warns(UserWarning, match=r"Gone of trainer.logger was not told all: no route to host. results.json"):
        tell_results(trainer, {"test": {"loss": 0.5, "accuracy": None, "per_class": {}}})
    assert StandIn.told == [("metrics", {"test/loss": 0.5}), ("success", {})]


def test_names_of_classes_are_written_in_letters_that_services_take():
    scores = {"per_class": {"<u>COVID/19": {"sensitivity": 1, "support": 3}}}
    named = {"test_best/u COVID 19/sensitivity": 1, "test_best/u COVID 19/support": 3}
    assert dict(named_scores("best", scores)) == named
