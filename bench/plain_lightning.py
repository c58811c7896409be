"""The usual script: ImageFolder, Resize, a DataLoader with workers. Run by ``bench.epochs``."""

import argparse

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, random_split
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from bench.networks import plain
from bench.timer import EpochTimer


class Plain(LightningModule):
    """A network, cross-entropy, Adam."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = F.cross_entropy(self.network(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log("val_loss", F.cross_entropy(self.network(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


def main() -> None:
    """Train for some epochs; write the times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root")
    parser.add_argument("--model")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--times")
    parser.add_argument("--precision", default="32-true")
    args = parser.parse_args()
    seed_everything(0)
    size = (args.image_size, args.image_size)
    transform = v2.Compose([v2.Resize(size), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    images = ImageFolder(args.root, transform)
    held = 40 * len(images.classes)
    rest = len(images) - held
    train, val, _ = random_split(images, [rest - rest // 5, rest // 5, held])
    options = {"batch_size": args.batch_size, "num_workers": args.workers, "persistent_workers": args.workers > 0}
    trainer = Trainer(
        max_epochs=args.epochs,
        devices=1,
        precision=args.precision,
        logger=False,
        callbacks=[EpochTimer(args.times), ModelCheckpoint(dirpath=f"{args.times}.ckpt", monitor="val_loss")],
    )
    model = Plain(plain(args.model, len(images.classes), args.image_size))
    trainer.fit(model, DataLoader(train, shuffle=True, **options), DataLoader(val, **options))


if __name__ == "__main__":
    main()
