"""Facts about precisions: whatever a model is trained in, it is reported as its checkpoint says in float32."""

import csv
import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers import CLASSES, QUICK, RUN, read_json, read_rows, slow
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.utils.data import DataLoader, TensorDataset

from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.data.module import RadiographyDataModule
from covidnet.evaluation.calibration import fit_temperature
from covidnet.models.convnet import ConvNet
from covidnet.models.outputs import outputs_of
from covidnet.runs.checkpoint import Checkpoint
from covidnet.training.joining import Joining

SIZE = 12
BEST = RUN / "checkpoints" / "best.ckpt"
BARE = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture
def args(xray_root):
    keys = [f"data.root={xray_root}", "data.test_per_class=3", f"data.image_size={SIZE}", "data.batch_size=8"]
    return [*keys, "trainer.max_epochs=2", *QUICK]


def predicted(run, capsys):
    capsys.readouterr()
    assert tools(["predict", str(run)]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


@slow
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_what_is_reported_of_a_model_is_what_predict_says(args, precision, capsys):
    main([*args, f"trainer.precision={precision}"])
    rows = predicted(RUN, capsys)
    kept = read_rows(RUN / "predictions.csv")
    columns = [f"prob_{name}" for name in CLASSES]
    found, expected = ([[float(row[key]) for key in columns] for row in table] for table in (rows, kept))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert [row["predicted"] for row in rows] == [row["predicted"] for row in kept]

    best = read_json(RUN / "results.json")["best"]
    losses = [-math.log(float(row[f"prob_{row['label']}"])) for row in rows]
    assert best["loss"] == pytest.approx(np.mean(losses), abs=1e-5)
    main(["test", f"ckpt_path={BEST}", f"trainer.precision={precision}", *QUICK])
    again = read_json(RUN.with_name("version_1") / "results.json")["test"]
    assert again["weighted_loss"] == pytest.approx(best["weighted_loss"], abs=1e-5)


@slow
@pytest.mark.parametrize("frozen", [False, True])
def test_what_is_fitted_is_fitted_to_what_the_checkpoint_says(args, frozen):
    backbone = ["model.backbone=resnet10t", "model.pretrained=false", "data.image_size=32"]
    model = ["model=inception", *backbone, "model.freeze_backbone=true"] if frozen else ["model=convnet"]
    cli = main([*args, *model, "trainer.precision=bf16-true"])
    best = Checkpoint(next(cli.trainer.run_directory.glob("**/best.ckpt")))
    data = cli.datamodule
    dataset = data.datasets["val"]
    logits, _ = outputs_of(best.model(), data.images.gather, dataset.numbers, torch.device("cpu"), title="asking")
    assert best.calibration["temperature"] == pytest.approx(fit_temperature(logits, dataset.labels.numpy()), rel=1e-4)


def test_training_validates_in_its_own_precision(xray_root):
    seen = []

    class Seeing(ConvNet):
        def forward(self, images):
            logits = super().forward(images)
            seen.append((self.trainer.state.stage.value, logits.dtype))
            return logits

    data = RadiographyDataModule(str(xray_root), image_size=SIZE, test_per_class=3)
    pl.Trainer(**BARE, max_epochs=1, accelerator="cpu", precision="bf16-mixed").fit(Seeing(3, SIZE), datamodule=data)
    assert set(seen) == {(stage, torch.bfloat16) for stage in ("train", "sanity_check", "validate")}


@pytest.mark.parametrize("equalize", [False, True])
@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true", "bf16-mixed"])
def test_images_made_after_the_transfer_are_those_made_before(xray_root, monkeypatch, precision, equalize):
    losses = []
    for late in (False, True):
        if late:
            monkeypatch.setattr(RadiographyDataModule, "_serve_on", finish_late)
        torch.manual_seed(0)
        data = RadiographyDataModule(str(xray_root), image_size=SIZE, test_per_class=3, batch_size=8)
        model = ConvNet(3, SIZE, dropout=0.0, equalize=equalize)
        trainer = pl.Trainer(**BARE, max_epochs=1, accelerator="cpu", precision=precision, callbacks=[Joining()])
        trainer.fit(model, datamodule=data)
        losses.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    assert losses[0] == losses[1]


def finish_late(data, device):
    """Serve numbers, as on a GPU: pixels are looked up and made images where the model is."""
    data.resident = torch.from_numpy(data.images.gather(np.arange(len(data.images.paths))))
    for dataset in data.datasets.values():
        dataset.finish, dataset.resident = False, True


class Clipped(pl.Callback):
    """The gradients of each step, before and after they are clipped."""

    def __init__(self):
        self.steps = []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        scale = trainer.scaler.get_scale() if trainer.scaler else 1
        self.before = [parameter.grad.double() / scale for parameter in module.parameters()]

    def on_train_batch_end(self, trainer, module, *_):
        self.steps.append((self.before, [parameter.grad.double() for parameter in module.parameters()]))


LIMIT = 1e-3


def by_norm(gradients):
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    assert norm > LIMIT
    return [gradient * LIMIT / norm for gradient in gradients]


def by_value(gradients):
    return [gradient.clamp(-LIMIT, LIMIT) for gradient in gradients]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize(("algorithm", "expected"), [(None, by_norm), ("norm", by_norm), ("value", by_value)])
def test_gradients_are_clipped_in_each_precision(precision, algorithm, expected):
    torch.manual_seed(0)
    batches = DataLoader(TensorDataset(torch.rand(8, 3, SIZE, SIZE), torch.arange(8) % 3), batch_size=4)
    # On a CPU Lightning takes bfloat16 where float16 is asked for.
    how = {"plugins": [MixedPrecision("16-mixed", "cpu")]} if precision == "16-mixed" else {"precision": precision}
    clipped = Clipped()
    options = {**BARE, "accelerator": "cpu", "max_epochs": 2, "callbacks": [clipped], **how}
    trainer = pl.Trainer(**options, gradient_clip_val=LIMIT, gradient_clip_algorithm=algorithm)
    model = ConvNet(3, SIZE, dropout=0.0)
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    trainer.fit(model, batches, batches)
    assert len(clipped.steps) == 4
    for before, after in clipped.steps:
        for wanted, found in zip(expected(before), after, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-9)
    assert all((a != b).any() for a, b in zip(weights, model.parameters(), strict=True))


def test_a_trainer_that_shards_weights_measures_in_its_own_way(monkeypatch):
    from covidnet.training.precision import in_full_precision

    class Sharded(MixedPrecision):
        pass

    own = Sharded("bf16-mixed", "cpu")
    trainer = SimpleNamespace(strategy=SimpleNamespace(precision_plugin=own, root_device=torch.device("cpu")))
    assert in_full_precision(lambda trainer: trainer.strategy.precision_plugin)(trainer) is own
