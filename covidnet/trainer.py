"""Lightning's Trainer with one more command, ``run``: fit, then test the final and the best model."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_utilities.core.rank_zero import rank_zero_warn

from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError
from covidnet.evaluation.scores import score_outputs
from covidnet.models.classifier import Classifier
from covidnet.results import print_scores, write_predictions, write_results

RESULTS, PREDICTIONS, SPLIT = "results.json", "predictions.csv", "split.csv"


class Trainer(pl.Trainer):
    """Lightning's Trainer, which also knows the whole job and what it leaves in the run directory."""

    def run(
        self,
        model: Classifier,
        datamodule: RadiographyDataModule,
        ckpt_path: str | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Train a model, then test its final and its best state.

        Writes ``results.json`` and, of the best model, ``predictions.csv`` into the run directory.

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
        models = {"final": self._tested(model, datamodule, None)}
        checkpoint = self.checkpoint_callback
        best = getattr(checkpoint, "best_model_path", "")
        if best:
            models["best"] = self._tested(model, datamodule, best)
        else:
            rank_zero_warn("No best checkpoint was written, so the final model alone is tested.")
        results = {
            **models,
            "classes": datamodule.classes,
            "counts": datamodule.counts,
            "epochs": epochs,
            "best_epoch": _epoch_of(best) if best else None,
            "seconds": {"fit": fitted - began, "test": time.perf_counter() - fitted},
        }
        self._leave(model, datamodule, results, models)
        return results

    def report_test(self, model: Classifier, datamodule: RadiographyDataModule) -> dict[str, Any]:
        """Write and print the scores of the test that has just run, as the one key ``test``."""
        results = {"test": self._scores(model, datamodule)}
        self._leave(model, datamodule, results, results)
        return results

    def report_predictions(self, model: Classifier, datamodule: RadiographyDataModule) -> None:
        """Write ``predictions.csv`` of the prediction that has just run."""
        folder = self.run_directory
        if self.is_global_zero:
            self._write_predictions(model, datamodule, folder)
            print(f"{datamodule.notice}{folder / PREDICTIONS}")

    @property
    def run_directory(self) -> Path:
        """The directory of this run, the same on every process; to be asked for by all of them."""
        return Path(self.log_dir or self.default_root_dir)

    def _tested(self, model: Classifier, datamodule: RadiographyDataModule, ckpt_path: str | None) -> dict[str, Any]:
        self.test(model, datamodule=datamodule, ckpt_path=ckpt_path, verbose=False, weights_only=True)
        return self._scores(model, datamodule)

    def _scores(self, model: Classifier, datamodule: RadiographyDataModule) -> dict[str, Any]:
        assert model.outputs is not None
        logits, labels = model.outputs
        scores = score_outputs(logits, labels, datamodule.classes, model.class_weights.cpu().numpy())
        return {"notice": datamodule.notice.strip(), **scores} if datamodule.notice else scores

    def _leave(
        self,
        model: Classifier,
        datamodule: RadiographyDataModule,
        results: dict[str, Any],
        models: dict[str, dict[str, Any]],
    ) -> None:
        folder = self.run_directory
        if not self.is_global_zero:
            return
        self._write_predictions(model, datamodule, folder)
        write_results(folder / RESULTS, results)
        print_scores(models, f"{datamodule.notice}{folder}")

    def _write_predictions(self, model: Classifier, datamodule: RadiographyDataModule, folder: Path) -> None:
        assert model.outputs is not None
        logits, labels = model.outputs
        paths = datamodule.datasets["test"].paths
        folder.mkdir(parents=True, exist_ok=True)
        write_predictions(folder / PREDICTIONS, paths, logits, labels, datamodule.classes)


def _epoch_of(checkpoint: str) -> int:
    """Return how many epochs a checkpoint's weights have seen: 1 after the first."""
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["epoch"]) + 1
