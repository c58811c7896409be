import warnings

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from covidnet.errors import UserError
from covidnet.models.convnet import ConvNet
from covidnet.models.parts import capture
from covidnet.training.joining import Joining

SIZE, BATCH, IMAGES = 8, 4, 10  # two full batches and a ragged one
RATE = 2**-10  # the same in float32, in which a recorded step reads it, and in Python's numbers


class Data(pl.LightningDataModule):
    """Fixed batches with what a classifier asks of its data."""

    augment = None
    classes = ("a", "b", "c")
    class_counts = torch.tensor([4, 3, 3])

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(1)
        images = torch.rand(IMAGES, 3, SIZE, SIZE, generator=generator).contiguous(memory_format=torch.channels_last)
        return DataLoader(TensorDataset(images, torch.arange(IMAGES) % 3), batch_size=BATCH)


class Losses(pl.Callback):
    """The loss of each step."""

    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())


@pytest.fixture
def recorder(monkeypatch):
    """Record on a CPU: a stand-in that warms up, restores, and replays by calling the step again."""
    replays = []

    def record(step, restore):
        for _ in range(capture.WARM_UP):
            step()
        restore()

        def replay():
            replays.append(1)
            step()

        return replay

    monkeypatch.setattr(capture, "record", record)
    monkeypatch.setattr(capture, "obstacle", lambda trainer: "")
    return replays


def train(model, epochs=2, callbacks=(), **trainer):
    losses = Losses()
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    options |= {"enable_checkpointing": False, "max_epochs": epochs, "deterministic": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(**{**options, **trainer}, callbacks=[losses, Joining(), *callbacks])
        trainer.fit(model, datamodule=Data())
    return trainer, losses.losses


def network(**options):
    torch.manual_seed(0)
    return ConvNet(3, image_size=SIZE, learning_rate=RATE, **options)


def test_a_replayed_step_gives_the_eager_steps_losses_and_weights(recorder):
    captured, eager = network(dropout=0.0), network(dropout=0.0, capture=False)
    trainer, losses = train(captured)
    _, expected = train(eager)
    assert len(recorder) == 4  # the ragged batch of each epoch is eager
    assert losses == expected
    assert trainer.global_step == 6
    for a, b in zip(captured.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_replayed_step_follows_the_schedule_and_equalises_as_an_eager_one(recorder):
    robust = {"weight_decay": 0.02, "schedule": "cosine", "warmup_epochs": 0.5, "label_smoothing": 0.05}
    captured, eager = (network(dropout=0.0, equalize=True, capture=wanted, **robust) for wanted in ("auto", False))
    _, losses = train(captured)
    _, expected = train(eager)
    assert len(recorder) == 4
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=0)  # a rate read from a tensor is float32


def test_recording_leaves_the_random_numbers_as_they_were(recorder):
    _, losses = train(network(dropout=0.5))
    _, expected = train(network(dropout=0.5, capture=False))
    assert losses == expected


def test_epoch_metrics_are_those_of_the_eager_run(recorder):
    metrics = [
        train(network(dropout=0.0, capture=wanted))[0].callback_metrics["train_loss"] for wanted in ("auto", False)
    ]
    assert metrics[0] == metrics[1]


def test_a_learning_rate_that_changes_reaches_the_replayed_step(recorder):
    class Halving(pl.Callback):
        def on_train_epoch_start(self, trainer, module):
            trainer.optimizers[0].param_groups[0]["lr"] = RATE / 2**trainer.current_epoch

    _, losses = train(network(dropout=0.0), epochs=3, callbacks=[Halving()])
    _, expected = train(network(dropout=0.0, capture=False), epochs=3, callbacks=[Halving()])
    assert losses == expected


def test_training_goes_on_from_a_captured_runs_checkpoint_as_if_never_stopped(recorder, tmp_path):
    whole = network(dropout=0.0)
    train(whole, epochs=2)
    trainer, _ = train(network(dropout=0.0), epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    group = torch.load(tmp_path / "last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"][0]
    assert isinstance(group["lr"], float)
    assert group["capturable"] is False
    resumed = network(dropout=0.0)
    losses = Losses()
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(**options, enable_checkpointing=False, max_epochs=2, callbacks=[losses])
        trainer.fit(resumed, datamodule=Data(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    for a, b in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_step_that_cannot_be_recorded_runs_eagerly_and_says_why(recorder, monkeypatch, caplog):
    def fail(step, restore):
        step()
        restore()
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(capture, "record", fail)
    with caplog.at_level("INFO"):
        _, losses = train(network(dropout=0.0))
    _, expected = train(network(dropout=0.0, capture=False))
    assert losses == expected
    assert "operation not permitted" in caplog.text


class Clipper(pl.Callback):
    def on_before_optimizer_step(self, trainer, module, optimizer):
        pass


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "no CUDA GPU"),
        ({"gradient_clip_val": 1.0}, "trainer.gradient_clip_val=1.0"),
        ({"accumulate_grad_batches": 2}, "trainer.accumulate_grad_batches=2"),
        ({"precision": "16-mixed"}, "trainer.precision=16-mixed"),
        ({"detect_anomaly": True}, "trainer.detect_anomaly"),
        ({"callbacks": [Clipper()]}, "Clipper.on_before_optimizer_step"),
    ],
)
def test_what_hinders_a_recording_is_named(options, reason, monkeypatch, caplog):
    if options:
        monkeypatch.setattr(
            "pytorch_lightning.strategies.SingleDeviceStrategy.root_device",
            property(lambda strategy: torch.device("cuda")),
        )
        trainer = type("Given", (), {})()
        base = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        for key in ("strategy", "gradient_clip_val", "accumulate_grad_batches", "precision", "callbacks"):
            setattr(trainer, key, getattr(base, key))
        trainer.lightning_module, trainer.optimizers = network(), [network().configure_optimizers()]
        assert capture.obstacle(trainer) == ""
        for key, value in options.items():
            setattr(trainer, key, value)
        with torch.autograd.set_detect_anomaly(options.get("detect_anomaly", False)):  # as the trainer trains
            assert reason in capture.obstacle(trainer)
    else:
        with caplog.at_level("INFO"):
            train(network(), epochs=1)
        assert reason in caplog.text


def test_an_odd_optimizer_hinders_a_recording():
    plain = torch.optim.SGD(network().parameters(), lr=1e-3)
    assert not capture.is_fused_adam(plain)


def test_capture_that_was_demanded_and_cannot_be_had_is_refused():
    with pytest.raises(UserError, match=r"model\.capture=true .* no CUDA GPU"):
        train(network(capture=True))


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA GPU")


@needs_gpu
def test_on_a_gpu_captured_and_eager_losses_are_equal_bit_for_bit():
    options = {"accelerator": "gpu", "devices": 1, "precision": "bf16-mixed", "epochs": 3}
    _, losses = train(network(dropout=0.0, capture=True), **options)
    _, expected = train(network(dropout=0.0, capture=False), **options)
    assert losses == expected
