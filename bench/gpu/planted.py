"""What may happen to a captured step in somebody's training: models and callbacks, each with one oddity."""

import gc
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from covidnet.models.classifier import Classifier
from covidnet.models.networks.convnet import convnet

LITTER = 50  # cycles of garbage
OFTEN = 20  # objects after which Python's collector runs


class _Waits(nn.Module):
    """Look at a value in the middle of a training step, for which Python waits; no graph can be recorded of that."""

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            float(images.mean())
        return images


class WaitingConvNet(Classifier):
    """ConvNet whose training step waits for the GPU.

    Args:
        num_classes: Number of classes C.
        image_size: Side of the images in pixels.
        dropout: As ConvNet's.
        options: What every classifier takes.
    """

    def __init__(self, num_classes: int, image_size: int = 50, dropout: float = 0.5, **options: Any) -> None:
        super().__init__(nn.Sequential(_Waits(), *convnet(num_classes, image_size, dropout)), num_classes, **options)
        self.save_hyperparameters(logger=False)


class Moved(Callback):
    """Give the weights other places in memory before the second epoch, as some callbacks do."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            for parameter in pl_module.parameters():
                parameter.data = parameter.data.clone()


class Littered(Callback):
    """Leave garbage that holds CUDA objects, and have Python's collector run often: in a recording, too."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.threshold = gc.get_threshold()
        gc.set_threshold(OFTEN)
        for _ in range(LITTER):
            held: list[Any] = [torch.ones(1, device=pl_module.device)]
            if pl_module.device.type == "cuda":
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it bare
                event.record()
                held.append(event)
            held.append(held)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        gc.set_threshold(*self.threshold)
