import gc
import re
import warnings
import weakref
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BackboneFinetuning, GradientAccumulationScheduler, StochasticWeightAveraging
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from covidnet.errors import UserError
from covidnet.models.classifier import Classifier
from covidnet.models.convnet import ConvNet
from covidnet.models.parts import capture, captured_step
from covidnet.models.parts.cuda_graph import Recording
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

    def val_dataloader(self):
        return self.train_dataloader()


class Losses(pl.Callback):
    """The loss of each step."""

    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())


class StandIn:
    """A GPU on a CPU, whose replay takes the eager step once more; ``planted`` says what is wrong with it.

    Its clock tells that a step takes a second, less what a replay saves.
    """

    fault = staticmethod(lambda captured: nullcontext)  # a captured step -> what each replay runs under
    saved, memory, free = 0.5, 1, 1
    seconds = recordings = replays = 0

    def __call__(self, device):
        return self

    def aside(self):
        return nullcontext()

    waits_forbidden = aside

    def now(self):
        self.seconds += 1
        return self.seconds

    def free_memory(self):
        return self.free

    def record(self, work):
        self.recordings += 1
        captured = work.__self__
        under = self.fault(captured)
        rates, groups = captured._rates, captured._step.optimizer.param_groups

        def replay():
            self.replays += 1
            self.seconds -= self.saved
            given = [group["lr"] for group in groups]
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate  # where a graph reads it, whatever stands here
            with under():
                work()
            for group, rate in zip(groups, given, strict=True):
                group["lr"] = rate

        return Recording(replay, self.memory)

    @property
    def taken(self):
        """The steps of the training that were replayed: all but the two of each check."""
        return self.replays - 2 * self.recordings


@pytest.fixture
def gpu(monkeypatch):
    """A stand-in for a GPU, under which nothing hinders a recording."""
    stand_in = StandIn()
    monkeypatch.setattr(captured_step, "Gpu", stand_in)
    monkeypatch.setattr(capture, "obstacle", lambda trainer: "")
    return stand_in


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


class Normalised(Classifier):
    """A network with what a step changes besides weights: buffers."""

    def __init__(self, **options):
        torch.manual_seed(0)
        features = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        super().__init__(nn.Sequential(features, nn.Linear(4, 3)), 3, learning_rate=RATE, **options)


def assert_equal_weights(model, expected):
    for a, b in zip(
        [*model.parameters(), *model.buffers()], [*expected.parameters(), *expected.buffers()], strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("precision", capture.PRECISIONS)
@pytest.mark.parametrize("make", [lambda **options: network(dropout=0.0, **options), Normalised])
def test_a_replayed_step_gives_the_eager_steps_losses_and_weights(gpu, make, precision):
    captured, eager = make(), make(capture=False)
    trainer, losses = train(captured, precision=precision)
    _, expected = train(eager, precision=precision)
    assert (gpu.recordings, gpu.taken) == (1, 4)  # the ragged batch of each epoch is eager
    assert losses == expected
    assert trainer.global_step == 6
    assert_equal_weights(captured, eager)


def test_a_replayed_step_follows_the_schedule_and_equalises_as_an_eager_one(gpu):
    robust = {"weight_decay": 0.02, "schedule": "cosine", "warmup_epochs": 0.5, "label_smoothing": 0.05}
    captured, eager = (network(dropout=0.0, equalize=True, capture=wanted, **robust) for wanted in ("auto", False))
    _, losses = train(captured)
    _, expected = train(eager)
    assert gpu.taken == 4
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=0)  # a rate read from a tensor is float32


def test_recording_leaves_the_random_numbers_as_they_were(gpu):
    _, losses = train(network(dropout=0.5))
    _, expected = train(network(dropout=0.5, capture=False))
    assert gpu.taken == 4
    assert losses == expected


def test_epoch_metrics_are_those_of_the_eager_run(gpu):
    metrics = [
        train(network(dropout=0.0, capture=wanted))[0].callback_metrics["train_loss"] for wanted in ("auto", False)
    ]
    assert metrics[0] == metrics[1]


def test_a_learning_rate_that_changes_reaches_the_replayed_step(gpu):
    class Halving(pl.Callback):
        def on_train_epoch_start(self, trainer, module):
            trainer.optimizers[0].param_groups[0]["lr"] = RATE / 2**trainer.current_epoch

    _, losses = train(network(dropout=0.0), epochs=3, callbacks=[Halving()])
    _, expected = train(network(dropout=0.0, capture=False), epochs=3, callbacks=[Halving()])
    assert (gpu.recordings, gpu.taken) == (1, 6)
    assert losses == expected


def test_a_number_that_a_recording_holds_for_good_is_not_changed_unheard(gpu):
    class Cycling(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            trainer.optimizers[0].param_groups[0]["betas"] = (0.9 if batch_idx == 0 else 0.5, 0.999)

    _, losses = train(network(dropout=0.0), callbacks=[Cycling()])
    _, expected = train(network(dropout=0.0, capture=False), callbacks=[Cycling()])
    assert gpu.taken == 2  # the first batch of each epoch
    assert losses == expected


def test_training_goes_on_from_a_captured_runs_checkpoint_as_if_never_stopped(gpu, tmp_path):
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


# What a recorded step may do wrong: each takes the captured step as it is recorded, and gives what a replay runs under.
def stale(number):
    """Read what a batch held at the recording: its images, or its labels."""

    def fault(captured):
        recorded = captured._batch[number].clone()

        @contextmanager
        def under():
            captured._batch[number].copy_(recorded)
            yield

        return under

    return fault


def leaving_out(method):
    """Do not call a method of the optimizer."""

    def fault(captured):
        @contextmanager
        def under():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(captured._step.optimizer, method, lambda **options: None)
                yield

        return under

    return fault


def same_masks(captured):
    state = torch.get_rng_state()

    @contextmanager
    def under():
        torch.set_rng_state(state)
        yield

    return under


def stale_rate(captured):
    @contextmanager
    def under():
        now = [rate.clone() for rate in captured._rates]
        for rate in captured._rates:
            rate.fill_(RATE)
        yield
        for rate, value in zip(captured._rates, now, strict=True):
            rate.copy_(value)

    return under


def fails_when_recorded(error):
    def fault(captured):
        raise error

    return fault


def fails_when_replayed(captured):
    @contextmanager
    def under():
        raise RuntimeError("CUDA error: unspecified launch failure\nCompile with more")
        yield

    return under


UNEQUAL = r"the captured step is not the eager one: .*its {} are off by [01]\.\d\d of"
FAULTS = {
    "stale images": (stale(0), UNEQUAL.format("logits")),
    "stale labels": (stale(1), UNEQUAL.format("moments")),
    "adding gradients": (leaving_out("zero_grad"), UNEQUAL.format("moments")),
    "no update": (leaving_out("step"), UNEQUAL.format("counts")),
    "same masks": (same_masks, UNEQUAL.format("logits")),
    "stale rate": (
        stale_rate,
        r"the captured step is not the eager one: its weights are off by 0\.\d\d of the change\.",
    ),
    "error at recording": (
        fails_when_recorded(RuntimeError("not permitted")),
        r"RuntimeError: not permitted \(test_capt",
    ),
    "error at replay": (fails_when_replayed, r"RuntimeError: CUDA error: unspecified launch failure \(test_capture.py"),
    "any exception": (fails_when_recorded(ValueError("odd")), r"ValueError: odd \(test_capture.py, line \d+\)\.$"),
}
CASES = [(name, dropout) for name in FAULTS for dropout in (0.0, 0.5) if (name, dropout) != ("same masks", 0.0)]


@pytest.fixture(scope="module")
def eager():
    """The losses and the model of an eager training, for each dropout."""
    trained = {}
    for dropout in (0.0, 0.5):
        model = network(dropout=dropout, capture=False)
        trained[dropout] = train(model)[1], model
    return trained


@pytest.mark.parametrize(("name", "dropout"), CASES)
def test_a_captured_step_that_is_not_the_eager_one_is_not_used(name, dropout, eager, gpu, caplog):
    gpu.fault, line = FAULTS[name]
    model = network(dropout=dropout)
    with caplog.at_level("INFO"):
        _, losses = train(model)
    expected, same = eager[dropout]
    assert losses == expected
    assert_equal_weights(model, same)
    assert gpu.taken <= 0
    [told] = [record.message for record in caplog.records if record.name == "covidnet"]
    assert re.match("The training step is not captured in a CUDA graph: " + line, told)


def test_another_batch_has_other_images_in_another_order_than_their_labels_and_weights():
    images = torch.arange(3.0).reshape(3, 1, 1, 1) + torch.tensor([0.0, 0.5])
    other, labels, weights = captured_step.another((images, torch.tensor([0, 1, 2]), torch.tensor([1.0, 2.0, 3.0])))
    assert other[:, 0, 0].tolist() == [[2.5, 2.0], [1.5, 1.0], [0.5, 0.0]]
    assert labels.tolist() == [2, 0, 1]
    assert weights.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("name", FAULTS)
def test_capture_that_was_demanded_is_refused_where_the_captured_step_is_not_the_eager_one(name, gpu):
    gpu.fault, _ = FAULTS[name]
    with pytest.raises(UserError, match=r"model\.capture=true cannot be had: .*\. Leave it at auto"):
        train(network(dropout=0.5, capture=True))


def test_the_same_masks_are_no_fault_where_nothing_is_dropped(gpu, eager):
    gpu.fault = same_masks
    assert train(network(dropout=0.0, capture=True))[1] == eager[0.0][0]
    assert gpu.taken == 4


def test_a_step_that_waits_for_the_gpu_is_found_out_before_anything_is_recorded(gpu, eager, caplog):
    @contextmanager
    def waits_forbidden():
        yield
        raise RuntimeError("called a synchronizing CUDA operation")

    gpu.waits_forbidden = waits_forbidden
    with caplog.at_level("INFO"):
        assert train(network(dropout=0.5))[1] == eager[0.5][0]
    assert "RuntimeError: called a synchronizing CUDA operation (test_capture.py, line" in caplog.text
    assert gpu.recordings == 0


def test_what_a_failed_recording_computed_is_let_go_before_training_goes_on(gpu):
    computed, kept = [], []

    def fault(captured):
        activations = torch.ones(1)
        computed.append(weakref.ref(activations))
        error = RuntimeError("operation failed due to a previous error during capture")
        raise error  # whose traceback leads here, where its own name leads to it

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            kept.append(computed[0]())

    gpu.fault = fault
    gc.disable()
    try:
        train(network(dropout=0.0), epochs=1, callbacks=[Look()])
    finally:
        gc.enable()
    assert kept == [None, None, None]


@pytest.mark.parametrize(
    ("about", "line"),
    [
        ({"saved": 0.05}, "it is hardly faster, 950.0 ms where an eager step takes 1000.0 ms"),
        ({"memory": 2**31, "free": 2**30}, "it would keep 2,048 MB of the GPU's memory, and 1,024 MB are free"),
    ],
)
def test_a_graph_that_is_not_worth_it_is_not_kept(about, line, gpu, eager, caplog):
    vars(gpu).update(about)
    with caplog.at_level("INFO"):
        assert train(network(dropout=0.5))[1] == eager[0.5][0]
    assert line in caplog.text
    assert gpu.taken == 0


def test_a_diverged_training_is_told_of_by_its_loss_and_not_by_its_graph(gpu):
    model = network(dropout=0.0, capture=True)
    with torch.no_grad():
        next(model.network[-1].parameters()).fill_(torch.inf)
    with pytest.raises(UserError, match="has diverged"):
        train(model, epochs=1)
    assert gpu.taken == 2


class Move(pl.Callback):
    """Change in the second epoch what the first recording reads."""

    def __init__(self, change):
        self.change = change

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 1:
            self.change(module, trainer.optimizers[0])


def move_weights(module, optimizer):
    for parameter in module.parameters():
        parameter.data = parameter.data.clone()


def move_moments(module, optimizer):
    for state in optimizer.state.values():
        state["exp_avg"] = state["exp_avg"].clone()


def freeze(module, optimizer):
    module.network[0][0].requires_grad_(False)


def stop_statistics(module, optimizer):
    module.network[0][1].eval()


@pytest.mark.parametrize("change", [move_weights, move_moments, freeze, stop_statistics])
def test_what_lies_or_trains_elsewise_in_a_new_epoch_is_recorded_anew(change, gpu):
    captured, eager = Normalised(), Normalised(capture=False)
    _, losses = train(captured, epochs=3, callbacks=[Move(change)])
    _, expected = train(eager, epochs=3, callbacks=[Move(change)])
    assert (gpu.recordings, gpu.taken) == (2, 6)
    assert losses == expected
    assert_equal_weights(captured, eager)


@pytest.mark.parametrize("averaging", [StochasticWeightAveraging, pl.callbacks.EMAWeightAveraging])
def test_a_step_is_replayed_only_where_a_backward_pass_is_due(averaging, gpu):
    # Lightning's averaging of weights ends with a pass over the images that adds none to the weights.
    options = {"swa_lrs": RATE, "swa_epoch_start": 2} if averaging is StochasticWeightAveraging else {}
    captured, eager = Normalised(), Normalised(capture=False)
    _, losses = train(captured, epochs=4, callbacks=[averaging(**options)])
    _, expected = train(eager, epochs=4, callbacks=[averaging(**options)])
    assert gpu.taken == 8
    assert losses == expected
    assert_equal_weights(captured, eager)


class Tight(Normalised):
    """A model of whose ragged batch a GPU has no room beside a graph."""

    fits = True

    def loss_and_logits(self, images, labels, weights=None):
        given = super().loss_and_logits(images, labels, weights)
        if not self.fits and len(images) < BATCH:
            self.fits = True
            raise torch.OutOfMemoryError("CUDA out of memory")
        return given


def test_an_eager_batch_that_needs_the_graphs_memory_gets_it(gpu, caplog):
    tight, eager = Tight(), Tight(capture=False)
    tight.fits = False
    with caplog.at_level("INFO"):
        _, losses = train(tight)
    _, expected = train(eager)
    assert losses == expected
    assert_equal_weights(tight, eager)
    assert gpu.taken == 2
    assert caplog.text.count("did not fit into the GPU's memory beside the captured step") == 1


def test_a_batch_that_needs_more_memory_than_there_is_ends_the_training(gpu):
    class TooLarge(Tight):
        fits = property(lambda model: False, lambda model, value: None)

    with pytest.raises(torch.OutOfMemoryError):
        train(TooLarge())


class Clipper(pl.Callback):
    def on_before_optimizer_step(self, trainer, module, optimizer):
        pass


class OwnClipping(ConvNet):
    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        pass


class OwnLoss(ConvNet):
    def training_step(self, batch, batch_idx):
        return 2 * super().training_step(batch, batch_idx)


def planned(monkeypatch, **options):
    """Return what a trainer would be that has a GPU, and ``options``."""
    for strategy in (pl.strategies.SingleDeviceStrategy, pl.strategies.DDPStrategy):
        monkeypatch.setattr(strategy, "root_device", property(lambda strategy: torch.device("cuda")))
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    keys = ("strategy", "world_size", "gradient_clip_val", "accumulate_grad_batches", "precision", "callbacks")
    given = {key: getattr(trainer, key) for key in keys}
    given |= {"lightning_module": network(), "optimizers": [network().configure_optimizers()]}
    return SimpleNamespace(**{**given, **options})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"gradient_clip_val": 1.0}, "trainer.gradient_clip_val=1.0"),
        ({"accumulate_grad_batches": 2}, "trainer.accumulate_grad_batches=2"),
        ({"precision": "16-mixed"}, "trainer.precision=16-mixed"),
        ({"world_size": 2}, "2 processes exchange gradients"),
        ({"strategy": pl.strategies.DDPStrategy()}, "DDPStrategy is made for several processes, and there is one"),
        ({"optimizers": [torch.optim.SGD(network().parameters())]}, "no fused Adam"),
        ({"callbacks": [Clipper()]}, "Clipper.on_before_optimizer_step"),
        ({"callbacks": [StochasticWeightAveraging(RATE)]}, "StochasticWeightAveraging changes"),
        ({"callbacks": [BackboneFinetuning()]}, "BackboneFinetuning changes"),
        ({"callbacks": [GradientAccumulationScheduler({2: 2})]}, "GradientAccumulationScheduler changes"),
        ({"lightning_module": OwnClipping(3, SIZE)}, "OwnClipping.configure_gradient_clipping is not covidnet's own"),
        ({"lightning_module": OwnLoss(3, SIZE)}, "OwnLoss.training_step is not covidnet's own"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_what_hinders_a_recording_is_named(options, reason, monkeypatch):
    assert capture.obstacle(planned(monkeypatch)) == ""
    assert reason in capture.obstacle(planned(monkeypatch, **options))


def test_a_search_for_odd_gradients_hinders_a_recording(monkeypatch):
    with torch.autograd.set_detect_anomaly(True):  # as the trainer trains with trainer.detect_anomaly
        assert capture.obstacle(planned(monkeypatch)) == "trainer.detect_anomaly=true"


def test_a_training_on_a_machine_without_a_gpu_is_not_captured_and_says_nothing_of_it(caplog):
    with caplog.at_level("INFO"):
        train(network(), epochs=1)
    assert "not captured" not in caplog.text  # nobody has expected it


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
