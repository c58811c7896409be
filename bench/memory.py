"""What a training step gains on a CPU if freed memory stays in the process: images a second of processor time.

python -m bench.memory --backbone tf_efficientnet_lite0 --size 96 --batch-size 64
"""

import argparse
import os
import subprocess
import sys

import torch

from covidnet.machine.memory import keep_freed_memory
from covidnet.models.inception import InceptionV3

WAYS = ("given back", "kept")


def main() -> None:
    """Let both ways take turns, each in a process of its own, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(measure(args))
        return
    command = [sys.executable, "-m", "bench.memory", *sys.argv[1:]]
    rates: dict[str, float] = dict.fromkeys(WAYS, 0.0)
    for _ in range(args.rounds):
        for way in WAYS:
            done = subprocess.run([*command, "--way", way], capture_output=True, text=True, check=True)
            rates[way] = max(rates[way], float(done.stdout))
    for way, rate in rates.items():
        print(f"freed memory {way}: {rate:.0f} images a processor second ({rate / rates[WAYS[0]]:.2f})")


def measure(args: argparse.Namespace) -> float:
    """Return the images of some steps on one thread, by the processor time that they took."""
    if args.way == "kept":
        keep_freed_memory()
    torch.set_num_threads(1)
    model = InceptionV3(3, backbone=args.backbone, pretrained=False)
    optimizer = model.configure_optimizers()
    images = torch.rand(args.batch_size, 3, args.size, args.size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 3, (args.batch_size,))
    began = 0.0
    for step in range(args.steps + 1):
        if step == 1:  # the first one warms up
            began = sum(os.times()[:2])
        optimizer.zero_grad()
        model.loss_and_logits(images, labels)[0].backward()
        optimizer.step()
    return args.steps * args.batch_size / (sum(os.times()[:2]) - began)


if __name__ == "__main__":
    main()
