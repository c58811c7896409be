"""Lightning's Trainer with one more command, ``run``: fit, then test the final and the best model."""

import platform
import time
from collections.abc import Callable, Mapping
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any, Concatenate, Literal

import pytorch_lightning as pl

from covidnet.__version__ import __version__
from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError
from covidnet.evaluation.fit import fit_calibration
from covidnet.files.tensors import read_tensors
from covidnet.machine.telling import warn
from covidnet.models.classifier import Classifier
from covidnet.models.parts.epoch import Outputs
from covidnet.runs.checkpoint import Checkpoint, finish_checkpoint
from covidnet.runs.files import LAST, PREDICTED, RESULTS, TESTS, count_test, looks_told, write_results
from covidnet.runs.find import run_directory
from covidnet.runs.predictions import write_predictions
from covidnet.runs.scoring import scores_of_test
from covidnet.runs.screen import print_gaps, print_scores, result_told, screen
from covidnet.training.fitted import fit_looks, look_at, tell_too_few
from covidnet.training.groups import by_group, source_told
from covidnet.training.loggers import alone, tell_results
from covidnet.training.precision import Given, in_full_precision


def _finishing(
    method: Callable[Concatenate[pl.Trainer, Given], None],
) -> Callable[Concatenate[pl.Trainer, Given], None]:
    """Return a trainer's training, after which the last checkpoint alone holds all that going on takes."""

    @wraps(method)
    def trained(trainer: pl.Trainer, /, *args: Given.args, **kwargs: Given.kwargs) -> None:
        method(trainer, *args, **kwargs)
        assert isinstance(trainer, Trainer)
        trainer.finish_checkpoints()

    return trained


class Trainer(pl.Trainer):
    """Lightning's Trainer, which also knows the whole job and what it leaves in the run directory.

    It trains, and validates while it trains, in ``trainer.precision``. Whatever else it says of a model is computed in
    float32: in a lower precision, ``predict`` and ``evaluate`` would say something else.
    """

    shown: Literal["", "line", "table"] = "line"  # what is printed of a test
    fit = _finishing(pl.Trainer.fit)
    validate = in_full_precision(pl.Trainer.validate)
    test = in_full_precision(pl.Trainer.test)
    predict = in_full_precision(pl.Trainer.predict)

    def run(
        self,
        model: Classifier,
        datamodule: RadiographyDataModule,
        ckpt_path: str | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Train a model, then test its final and its best state.

        Writes ``results.json`` and, of the best model, ``predictions.csv`` and ``val_predictions.csv`` into the run
        directory; into the best checkpoint what is fitted after training: temperature, thresholds and prediction sets,
        on the validation split, and what tells whether an image looks like the training's.

        Args:
            model: Model to train.
            datamodule: Its data.
            ckpt_path: Checkpoint to go on from.
            weights_only: Load checkpoints without executing code in them; Lightning's default where left out.

        Returns:
            What ``results.json`` holds.
        """
        if not datamodule.split.test:  # told now, not after hours of training
            raise UserError(
                f"run tests the models, but data.test_per_class={datamodule.test_per_class} or data.split_file leaves "
                "no images for that. Give data.test_per_class or data.test_root, or train alone with the command fit."
            )
        began = time.perf_counter()
        self.fit(model, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=weights_only)
        fitted = time.perf_counter()
        epochs = self.current_epoch
        if self.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it while it connects its parts
            self.test(model, datamodule=datamodule, verbose=False)
            return {}
        with alone(self):
            scores, outputs, _ = self._tested(model, datamodule, None)
        models, told = {"final": scores}, dict[str, Any]()
        checkpoint = self.checkpoint_callback
        best = getattr(checkpoint, "best_model_path", "")
        if best:
            with alone(self):
                models["best"], outputs, told = self._tested(model, datamodule, best)
        else:
            warn("No best checkpoint was written, so the final model alone is tested.")
        results = {
            **models,
            "classes": datamodule.classes,
            "counts": datamodule.counts,
            "epochs": epochs,
            "best_epoch": _epoch_of(best) if best else None,
            "versions": _versions(),
            "seconds": {"fit": fitted - began, "test": time.perf_counter() - fitted},
        }
        if told:
            results["source_probe"] = told
        results |= model.findings
        self._leave(outputs, datamodule, results, models, self.run_directory)
        return results

    def report_test(self, model: Classifier, datamodule: RadiographyDataModule, checkpoint: Path) -> dict[str, Any]:
        """Write and print the scores of the test of ``checkpoint`` that has just run, as the one key ``test``."""
        calibration = Checkpoint(checkpoint).calibration
        outputs = model.take_outputs()
        models = {"test": self._scores(outputs, model, datamodule, calibration)}
        results: dict[str, Any] = {**models, "classes": datamodule.classes, "counts": datamodule.counts}
        self._leave({"test": outputs}, datamodule, results, models, run_directory(checkpoint) or self.run_directory)
        return results

    def finish_checkpoints(self) -> None:
        """Drop what an optimizer remembers from the best checkpoints."""
        if self.is_global_zero:
            for path in map(Path, getattr(self.checkpoint_callback, "best_k_models", {})):
                if path.is_file() and path.name != LAST:  # whatever a checkpoint that was gone on with called the best
                    finish_checkpoint(path)

    @property
    def run_directory(self) -> Path:
        """The directory of this run, the same on every process; to be asked for by all of them."""
        return Path(self.log_dir or self.default_root_dir)

    def _tested(
        self, model: Classifier, datamodule: RadiographyDataModule, ckpt_path: str | None
    ) -> tuple[dict[str, Any], dict[str, Outputs], dict[str, Any]]:
        """Test a model; return its scores, what it said of the images by split, and how far it tells their sources."""
        told: dict[str, Any] = {}
        validated = self._validated(model, datamodule, ckpt_path)
        calibration = fit_calibration(*validated, datamodule.classes)
        self.test(model, datamodule=datamodule, ckpt_path=ckpt_path, verbose=False, weights_only=True)
        outputs = model.take_outputs()
        if ckpt_path and self.is_global_zero:
            checkpoint = Path(ckpt_path)
            seen = look_at(checkpoint, datamodule, self.strategy.root_device) if calibration else None
            finish_checkpoint(checkpoint, calibration=calibration, novelty=fit_looks(seen))
            tell_too_few(calibration)
            told = source_told(seen, datamodule)
        return self._scores(outputs, model, datamodule, calibration), {"val": validated, "test": outputs}, told

    def _validated(self, model: Classifier, datamodule: RadiographyDataModule, ckpt_path: str | None) -> Outputs:
        """Return what a model says of the validation images, on which is fitted what makes its numbers usable."""
        datamodule.predict_split = "val"
        try:
            self.predict(model, datamodule=datamodule, ckpt_path=ckpt_path, return_predictions=False, weights_only=True)
        finally:
            datamodule.predict_split = "test"
        return model.take_outputs()

    def _scores(
        self,
        outputs: Outputs,
        model: Classifier,
        datamodule: RadiographyDataModule,
        calibration: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        return scores_of_test(*outputs, datamodule, model.class_weights.cpu().numpy(), calibration)

    def _leave(
        self,
        outputs: Mapping[str, Outputs],
        datamodule: RadiographyDataModule,
        results: dict[str, Any],
        models: dict[str, dict[str, Any]],
        trained: Path,
    ) -> None:
        """Write and print the scores of ``models``; ``trained`` is the directory of the run that trained them."""
        folder = self.run_directory
        if not self.is_global_zero:
            return
        self._write_predictions(outputs, datamodule, folder)
        *_, tested = models.values()  # the outputs are of the last
        results |= by_group(outputs["test"], datamodule, tested.get("calibrated", {"temperature": 1.0})["temperature"])
        for name in models:
            results["test_evaluations"] = count_test(trained, name)
        write_results(folder / RESULTS, results)
        tell_results(self, models)
        if self.shown:
            looks = looks_told(results["test_evaluations"])
            screen().print(result_told(results), markup=False)
            if results["test_evaluations"] > len(models) or self.shown == "table":
                screen().print(f"{looks}, as {trained / TESTS} tells.", markup=False)
        if self.shown == "table":
            print_scores(models, f"{datamodule.notice}{folder}")
            print_gaps(results["subgroups"])

    def _write_predictions(
        self, outputs: Mapping[str, Outputs], datamodule: RadiographyDataModule, folder: Path
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for split, (logits, labels) in outputs.items():
            paths = datamodule.datasets[split].paths
            write_predictions(folder / PREDICTED[split], paths, logits, labels, datamodule.classes)


def _epoch_of(checkpoint: str) -> int:
    """Return how many epochs a checkpoint's weights have seen: 1 after the first."""
    return int(read_tensors(Path(checkpoint), mmap=True)["epoch"]) + 1


def _versions() -> dict[str, str]:
    packages = ("torch", "torchvision", "pytorch-lightning", "timm", "numpy", "pillow", "imagecodecs")
    return {"covidnet": __version__, "python": platform.python_version(), **{name: version(name) for name in packages}}
