"""What all models do: step, weighted loss, metrics, optimizer."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MetricCollection

from covidnet.batch import PADDING, Batch, TrainingBatch
from covidnet.errors import DivergedError, UserError, require
from covidnet.files.plain import refuse_misfits
from covidnet.machine.telling import tell
from covidnet.models.network import Network
from covidnet.models.parts.capture import CapturedModule, is_fused_adam
from covidnet.models.parts.epoch import Outputs, epoch_metrics, gather, several_processes
from covidnet.models.parts.schedule import Schedule, scheduler

METRICS = ("loss", "loss_unweighted", "accuracy")  # of every stage
MODEL = "model."  # before the network's keys, which a checkpoint leaves out
Rates = list[tuple[list[nn.Parameter], float]]  # parameters that train, and their learning rate
EPSILON = 1e-7  # Adam's, as Keras has it; PyTorch's own is 1e-8


class Classifier(CapturedModule):
    """Train ``network`` (B, 3, H, W) -> logits (B, C) with balanced cross-entropy and Adam.

    Training minimises mean(w_i * l_i), as Keras weights classes; the weight of an image is that of its class, or what
    the batch says. Logged for each epoch, exact whatever the batch size
    and the number of processes: ``<stage>_loss`` = sum(w_i * l_i) / sum(w_i), ``<stage>_loss_unweighted`` = mean(l_i)
    and ``<stage>_accuracy`` of the most probable class. After a test or a prediction, ``take_outputs`` gives its
    logits and labels in the order of the data, on every process.

    This is the contract of a model: hand over the network, and call ``save_hyperparameters(logger=False)``. The network
    is two or more parts in a row; the last takes the features of an image. ``model`` is the network without Lightning.

    Args:
        network: Images in [0, 1] -> logits; its last part takes features.
        num_classes: Number of classes C.
        learning_rate: Step size of Adam; the greatest one, where it is scheduled.
        weight_decay: Share of the learning rate by which AdamW shrinks weights in each step, biases and normalisation
            apart; 0 is Adam.
        schedule: "constant", or "cosine": from the learning rate down to 0 over trainer.max_epochs.
        warmup_epochs: Epochs, also parts of one, over which the learning rate rises from 0.
        linear_scaling: Multiply the learning rate by the number of processes and of accumulated batches, as the images
            of a step are (Goyal et al. 2017, arXiv:1706.02677); needs a warm-up.
        label_smoothing: Share of each label that training spreads evenly over all classes, in [0, 1).
        equalize: Spread the grey values of each image evenly, as the model's first layer.
        average_mirrored: Average, outside training, the logits of each image and its mirror image.
        capture: Launch the training step as one CUDA graph: "auto" where that can be and is faster, true or an error,
            false never.
    """

    def __init__(
        self,
        network: nn.Sequential,
        num_classes: int,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        schedule: Schedule = "constant",
        warmup_epochs: float = 0.0,
        linear_scaling: bool = False,
        label_smoothing: float = 0.0,
        equalize: bool = False,
        average_mirrored: bool = False,
        capture: bool | Literal["auto"] = "auto",
    ) -> None:
        refuse_misfits(Classifier, locals(), "model.")
        super().__init__(capture)
        self.model = Network(
            network,
            num_classes,
            equalize=equalize,
            average_mirrored=average_mirrored,
            name=type(self).__name__,
        )
        # A checkpoint holds the network's own keys, whatever trains it. (torch leaves both functions bare.)
        self.register_state_dict_post_hook(_without_prefix)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_prefix)  # type: ignore[no-untyped-call]
        require(0 < learning_rate < math.inf, "model.learning_rate", learning_rate, "a number above 0")
        require(0 <= weight_decay < math.inf, "model.weight_decay", weight_decay, "a number, 0 or more")
        require(warmup_epochs >= 0, "model.warmup_epochs", warmup_epochs, "0 or more")
        require(0 <= label_smoothing < 1, "model.label_smoothing", label_smoothing, "in [0, 1)")
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule: Schedule = schedule
        if linear_scaling and not warmup_epochs:
            raise UserError(
                "model.linear_scaling=true begins with a learning rate that is too large for untrained weights: give "
                "model.warmup_epochs too; 5 is what its authors took."
            )
        self.warmup_epochs = warmup_epochs
        self.linear_scaling = linear_scaling
        self.label_smoothing = label_smoothing
        self.train_metrics = epoch_metrics(num_classes, "train_")
        self.val_metrics = epoch_metrics(num_classes, "val_")
        self.test_metrics = epoch_metrics(num_classes, "test_")
        self.findings: dict[str, Any] = {}  # what a training finds beside weights and scores, for results.json
        self._outputs: Outputs | None = None
        self._parts: list[Batch] = []

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C), as ``Network``; not to be overridden, as what predicts knows the network alone."""
        logits: Tensor = self.model(images)
        return logits

    @property
    def network(self) -> nn.Sequential:
        """The parts of the network."""
        return self.model.network

    @property
    def class_weights(self) -> Tensor:
        """What each class weighs in the loss (C,); ones until a training sets them."""
        return self.model.class_weights

    @property
    def frozen(self) -> bool:
        """Whether training leaves all but the network's last part as it is, and so the features that this one takes."""
        return False

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """Return the mean weighted loss of a batch."""
        if several_processes() and self.trainer.is_last_batch:
            return self._shared_step(batch)
        loss, logits = self.captured_or_eager(batch)
        self._update(self.train_metrics, logits, batch[1])
        return loss

    def _shared_step(self, batch: TrainingBatch) -> Tensor:
        """Return this process's share of the mean weighted loss of an epoch's last batch.

        There the processes may hold different numbers of images, but the mean of their gradients weighs each process
        alike. ``PADDING`` counts for nothing.
        """
        held = batch[1] != PADDING
        count = held.sum()
        total = self.trainer.strategy.reduce(count.clone(), reduce_op="sum")  # which works in place
        if not count:  # this process must take part in the step all the same
            loss, _ = self.loss_and_logits(batch[0], batch[1].clamp(min=0))
            return loss * 0
        images, labels, *weights = (part[held] for part in batch)
        loss, logits = self.loss_and_logits(images, labels, *weights)
        self._update(self.train_metrics, logits, labels)
        return loss * (count * dist.get_world_size() / total)

    def loss_and_logits(self, images: Tensor, labels: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the mean weighted loss () of a batch and its logits (B, C); by class where no weights are given."""
        logits = self(images)
        losses = F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.label_smoothing)
        return torch.mean((self.class_weights[labels] if weights is None else weights) * losses), logits

    def on_train_epoch_end(self) -> None:
        """End a training that has diverged before a checkpoint takes its weights.

        Raises:
            DivergedError: Where a loss of this epoch is not finite; asked once an epoch, so that a GPU need not wait.
        """
        losses = {name: self.trainer.callback_metrics.get(name) for name in ("train_loss", "val_loss")}
        lost = [f"{name}={value}" for name, value in losses.items() if value is not None and not value.isfinite()]
        if lost:
            raise self._diverged(lost)

    def _diverged(self, lost: Sequence[str]) -> DivergedError:
        end, best = self.trainer.global_step, getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        kept = f"The best model before it is kept: {best}." if best else "No epoch before it left a model."
        return DivergedError(
            f"The training has diverged in epoch {self.trainer.current_epoch + 1}, steps "
            f"{end - int(self.trainer.num_training_batches) + 1} to {end}: {', '.join(lost)}. This epoch is not kept. "
            f"{kept} Train again with a lower model.learning_rate (now {self.learning_rate}), or with "
            "trainer.precision=32-true where it is another; odd images are found by: covidnet audit."
        )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a validation batch."""
        images, labels = batch
        self._update(self.val_metrics, self(images), labels)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a test batch and keep its outputs."""
        images, labels = batch
        logits = self(images)
        self._update(self.test_metrics, logits, labels)
        self._parts.append((logits.float().cpu(), labels.cpu()))

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the probabilities (B, C) of a batch and keep its outputs."""
        images, labels = batch
        logits: Tensor = self(images).float()
        self._parts.append((logits.cpu(), labels.cpu()))
        return logits.softmax(dim=1)

    def on_test_epoch_start(self) -> None:
        self._parts.clear()

    def on_test_epoch_end(self) -> None:
        self._outputs = gather(self._parts)

    def on_predict_epoch_start(self) -> None:
        self._parts.clear()

    def on_predict_epoch_end(self) -> None:
        self._outputs = gather(self._parts)

    def take_outputs(self) -> Outputs:
        """Return the outputs of the test or prediction that has just run: once, so none are taken for another's."""
        outputs, self._outputs = self._outputs, None
        assert outputs is not None, "nothing was tested or predicted since the outputs were last taken"
        return outputs

    def configure_optimizers(self) -> Any:
        """Return Adam or AdamW over the parameters that train, with its schedule where there is one."""
        factor = self.trainer.world_size * self.trainer.accumulate_grad_batches if self.linear_scaling else 1
        rate = factor * self.learning_rate
        if factor > 1:
            tell(
                f"Linear scaling: the learning rate {self.learning_rate:g} becomes {rate:g} for {factor} batches a "
                f"step, after {self.warmup_epochs:g} epochs of warm-up."
            )
        optimizer = self._optimizer([(parameters, factor * own) for parameters, own in self.rates()])
        if self.schedule == "constant" and not self.warmup_epochs:
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        epochs = self.trainer.max_epochs
        if math.isinf(steps) or not epochs or epochs < 0:
            raise UserError(
                f"model.schedule={self.schedule} with model.warmup_epochs={self.warmup_epochs} needs to know where "
                "training ends: give trainer.max_epochs."
            )
        warmup = self.warmup_epochs * steps / epochs
        by_step = scheduler(optimizer, self.schedule, warmup=warmup, total=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": by_step, "interval": "step"}}

    def rates(self) -> Rates:
        """Return the parameters that train, and their learning rate, before any scaling or schedule."""
        return [([parameter for parameter in self.parameters() if parameter.requires_grad], self.learning_rate)]

    def _optimizer(self, rates: Rates) -> torch.optim.Optimizer:
        # Fused: one pass over the weights instead of a dozen.
        if not self.weight_decay:
            plain = [{"params": parameters, "lr": rate} for parameters, rate in rates]
            return torch.optim.Adam(plain, eps=EPSILON, fused=True)
        # Biases and the scales of a normalisation have one dimension; shrinking them gains nothing.
        groups: list[dict[str, Any]] = []
        for parameters, rate in rates:
            shrunk = [parameter for parameter in parameters if parameter.dim() > 1]
            others = [parameter for parameter in parameters if parameter.dim() <= 1]
            groups += [{"params": shrunk, "lr": rate}, {"params": others, "lr": rate, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, eps=EPSILON, weight_decay=self.weight_decay, fused=True)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip as Lightning does, also where it refuses to: a fused Adam under mixed precision."""
        mixed = self.trainer.precision_plugin
        if not gradient_clip_val or not isinstance(mixed, MixedPrecision) or not is_fused_adam(optimizer):
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        if mixed.scaler is not None:  # of float16; such an Adam would take the scale out itself, after the clipping
            mixed.scaler.unscale_(optimizer)
        how = GradClipAlgorithmType(gradient_clip_algorithm or GradClipAlgorithmType.NORM)
        Precision.clip_gradients(mixed, optimizer, gradient_clip_val, how)

    def _update(self, metrics: MetricCollection, logits: Tensor, labels: Tensor) -> None:
        """Add a batch to ``metrics`` and have Lightning log them at the epoch's end."""
        logits = logits.detach().float()
        losses = F.cross_entropy(logits, labels, reduction="none")
        metrics["loss"].update(losses, self.class_weights[labels].float())
        metrics["loss_unweighted"].update(losses, torch.ones_like(losses))
        metrics["accuracy"].update(logits, labels)
        for name in METRICS:
            shown = metrics.prefix == "val_" and name != "loss_unweighted"
            self.log(f"{metrics.prefix}{name}", metrics[name], on_step=False, on_epoch=True, prog_bar=shown)


# Hooks of the whole state, so that every way to save or load it knows the same keys.
def _without_prefix(module: nn.Module, state_dict: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    """Take ``model.`` away from the keys of a state (and from those of its versions)."""
    for named in (state_dict, getattr(state_dict, "_metadata", {})):  # torch keeps the layers' versions there
        for key in list(named):
            named[_shorter(key, prefix)] = named.pop(key)


def _with_prefix(module: nn.Module, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
    """Give the keys of a network's state their ``model.``."""
    assert isinstance(module, Classifier)
    own = {key.partition(".")[0] for key in module.model.state_dict()}
    for key in list(state_dict):
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and name.partition(".")[0] in own:
            state_dict[f"{prefix}{MODEL}{name}"] = state_dict.pop(key)


def _shorter(key: str, prefix: str) -> str:
    name = f"{key.removeprefix(prefix)}."
    return prefix + name.removeprefix(MODEL)[:-1] if key.startswith(prefix) and name.startswith(MODEL) else key
