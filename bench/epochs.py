"""Seconds an epoch: covidnet's own command, a plain Lightning script and bare loops, in turn, in one run.

python -m bench.epochs --source FOLDER --size 1024 --model convnet
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.images import prepare

SIZES = {"convnet": (50, 250), "inception": (256, 15)}
SCRATCH = Path(tempfile.gettempdir(), "covidnet-bench")
TRAIN = Path(__file__).parent.parent / "train.py"


def run(command: list[str], log: Path) -> tuple[float, float]:
    """Run a command; return its wall seconds and the peak memory in MB of its largest process."""
    began = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed; see {log}:\n{log.read_text()[-2000:]}")
    return time.perf_counter() - began, usage.ru_maxrss / 1000


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder of radiographs by class; drawn ones where left out")
    parser.add_argument("--work", type=Path, default=SCRATCH, help="scratch folder")
    parser.add_argument("--size", type=int, default=1024, help="side of the PNG files")
    parser.add_argument("--per-class", type=int, help="use so many images a class; all where left out")
    parser.add_argument("--model", choices=list(SIZES), default="convnet")
    parser.add_argument("--batch-size", type=int, help="the recipe's where left out")
    parser.add_argument("--precision", default="32-true", help="of the plain Lightning script, as bf16-mixed on a GPU")
    parser.add_argument("--epochs", type=int, default=4, help="of covidnet and the bare loops")
    parser.add_argument("--plain-epochs", type=int, default=2, help="of the plain Lightning script, which is slow")
    parser.add_argument("--workers", type=int, default=2, help="of the plain Lightning script")
    parser.add_argument("--rounds", type=int, default=1, help="take turns so often; the best median of each counts")
    args = parser.parse_args()
    image_size, batch_size = SIZES[args.model]
    batch_size = args.batch_size or batch_size
    root = prepare(args.source, args.work, args.size, args.per_class)
    module = [sys.executable, "-m"]
    sizes = ["--model", args.model, "--image-size", str(image_size), "--batch-size", str(batch_size)]
    with tempfile.TemporaryDirectory(dir=args.work) as scratch:
        times, cache = Path(scratch, "times.json"), Path(scratch, "cache")
        common = ["--root", str(root), *sizes, "--times", str(times)]
        keys = [
            f"model={args.model}",
            f"data.root={root}",
            f"data.batch_size={batch_size}",
            f"data.cache_dir={cache}",
            "data.metadata=none",
            f"trainer.default_root_dir={scratch}/runs",
            "trainer.enable_progress_bar=false",
            f"trainer.max_epochs={args.epochs}",
            "early_stopping.patience=1000",
            f'--trainer.callbacks={{"class_path": "bench.timer.EpochTimer", "init_args": {{"file": "{times}"}}}}',
            *(["model.pretrained=false"] if args.model == "inception" else []),
        ]
        ours = [sys.executable, str(TRAIN), "fit", *keys]
        bare = [*module, "bench.bare_loop", *common, "--epochs", str(args.epochs), "--cache-dir", str(cache)]
        workers = ["--workers", str(args.workers), "--epochs", str(args.plain_epochs), "--precision", args.precision]
        contenders = {
            "covidnet, cold": ours,
            "covidnet": ours,
            "covidnet, recipe=robust": [*ours, "recipe=robust"],
            "bare loop, our network": [*bare, "--network", "ours"],
            "bare loop, plain modules": [*bare, "--network", "plain"],
            "plain Lightning": [*module, "bench.plain_lightning", *common, *workers],
        }
        measured: dict[str, dict[str, float]] = {}
        for _ in range(args.rounds):
            for name, command in contenders.items():
                if name == "covidnet, cold" and cache.exists():
                    continue
                wall, memory = run(command, Path(scratch, "log.txt"))
                record = json.loads(times.read_text())
                steady = statistics.median(record["epochs"][1:] or record["epochs"])
                between = statistics.median(record["between"] or [0.0])
                old = measured.get(name)
                if old is None or steady < old["steady"]:
                    first = record["epochs"][0]
                    measured[name] = {
                        "steady": steady,
                        "first": first,
                        "between": between,
                        "wall": wall,
                        "memory": memory,
                    }
    report(measured, args)


def report(measured: dict[str, dict[str, float]], args: argparse.Namespace) -> None:
    """Print the table with its ratios."""
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    title = f"{args.model}, PNG {args.size}x{args.size}, {machine}"
    table = Table(title=title, title_justify="left")
    columns = ("", "epoch s", "first s", "between epochs s", "whole command s", "peak MB", "epoch / covidnet")
    for column in columns:
        table.add_column(column, justify="left" if not column else "right")
    reference = measured["covidnet"]["steady"]
    for name, row in measured.items():
        cells = [f"{row[key]:.2f}" for key in ("steady", "first", "between", "wall")]
        table.add_row(name, *cells, f"{row['memory']:.0f}", f"{row['steady'] / reference:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
