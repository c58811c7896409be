"""The floor: a bare PyTorch loop over images that are decoded already. Run by ``bench.epochs``."""

import argparse
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from bench.networks import ours, plain
from covidnet.data.module import RadiographyDataModule


def main() -> None:
    """Train for some epochs; write the times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root")
    parser.add_argument("--model")
    parser.add_argument("--network", choices=["plain", "ours"])
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--times")
    parser.add_argument("--cache-dir")
    args = parser.parse_args()
    torch.manual_seed(0)
    data = RadiographyDataModule(args.root, args.image_size, args.batch_size, cache_dir=args.cache_dir, metadata="none")
    tensors = {}
    for name in ("train", "val"):
        dataset = data.datasets[name]
        tensors[name] = dataset.__getitems__(list(range(len(dataset))))
    make = ours if args.network == "ours" else plain
    network = make(args.model, data.num_classes, args.image_size)
    layout = torch.channels_last if args.network == "ours" else torch.contiguous_format
    network.to(memory_format=layout)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    images, labels = (part.to(device) for part in tensors["train"])
    images = images.contiguous(memory_format=layout)
    val_images, val_labels = (part.to(device) for part in tensors["val"])
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    optimizer = torch.optim.Adam(network.parameters(), fused=args.network == "ours")
    epochs = []
    for _ in range(args.epochs):
        began = time.perf_counter()
        network.train()
        for chosen in torch.randperm(len(images)).split(args.batch_size):
            optimizer.zero_grad()
            with autocast:
                loss = F.cross_entropy(network(images[chosen]), labels[chosen])
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad(), autocast:
            for part, truth in zip(val_images.split(args.batch_size), val_labels.split(args.batch_size), strict=True):
                F.cross_entropy(network(part), truth)
        if device.type == "cuda":
            torch.cuda.synchronize()
        epochs.append(time.perf_counter() - began)
    Path(args.times).write_text(json.dumps({"epochs": epochs, "between": []}))


if __name__ == "__main__":
    main()
